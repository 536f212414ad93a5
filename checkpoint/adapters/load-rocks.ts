/**
 * The RocksDB driver is an optional package with a native addon: it is loaded when a job asks for its store. It has no types: what is used
 * of it is typed here. Its contract is that of abstract-level 1.
 */
import { loadAddon } from '../../runtime/packages/addon-package.ts'
import type { LsmBatch, LsmDatabase } from './lsm-store.ts'

interface Range {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

/** Batches are written, and ranges cleared, before the call returns; an iterator finds its beginning so, too. */
export interface RocksLevel {
  readonly status: string
  open(): Promise<void>
  close(): Promise<void>
  /** A block that fails its checksum is an uncaught exception, and this never answers. */
  getMany: LsmDatabase['getMany']
  _getManySync(keys: readonly Uint8Array[], options: object): (Uint8Array | undefined)[]
  iterator: LsmDatabase['iterator']
  keys(range: Range & { readonly limit: number }): { all(): Promise<Uint8Array[]> }
  batch(): LsmBatch
  clear(range: Range): Promise<void>
  getProperty(name: string): string
}

export interface RocksPackage {
  readonly RocksLevel: new (folder: string, options: object) => RocksLevel
}

let loaded: RocksPackage | undefined

/** Throws PACKAGE_MISSING, which says what was tried. */
export function loadRocks(load?: (name: string) => unknown): RocksPackage {
  loaded ??= loadAddon<RocksPackage>(
    {
      name: '@nxtedition/rocksdb',
      variable: 'CAIRN_ROCKSDB',
      cache: 'rocksdb',
      exported: 'RocksLevel',
      who: "store 'rocksdb'",
      remedy:
        "In a clone of Cairn: npm run services -- install rocksdb. Elsewhere: npm install @nxtedition/rocksdb@12.2; it holds a binary for Linux on x64 and macOS on arm64. Or take store 'level', which needs nothing."
    },
    load
  )
  return loaded
}
