/**
 * The RocksDB driver is an optional package with a native addon: it is loaded when a job asks for its store. It has no types: what is used
 * of it is typed here. Its contract is that of abstract-level 1.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CodedError } from '../../runtime/kernel/errors.ts'
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

const packageName = '@nxtedition/rocksdb'
const variable = 'CAIRN_ROCKSDB'

/** Where `npm run services -- install rocksdb` puts it in a clone. */
function installedPlace(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    if (dirname(folder) === folder) return undefined
    folder = dirname(folder)
  }
  const place = join(folder, '.cache', 'services', 'rocksdb', 'node_modules', packageName)
  return existsSync(place) ? place : undefined
}

let loaded: RocksPackage | undefined

/** Throws PACKAGE_MISSING, which says what was tried. */
export function loadRocks(load: (name: string) => unknown = createRequire(import.meta.url)): RocksPackage {
  if (loaded !== undefined) return loaded
  const named = process.env[variable]
  const places = named === undefined || named === '' ? [packageName, installedPlace()] : [named]
  const tried: string[] = []
  for (const place of places) {
    if (place === undefined) continue
    try {
      const found = load(place) as Partial<RocksPackage>
      if (found.RocksLevel !== undefined) return (loaded = found as RocksPackage)
      tried.push(`${place}: it is another package`)
    } catch (error) {
      const [sentence] = (error instanceof Error ? error.message : String(error)).split('\n')
      tried.push(`${place}: ${sentence}`)
    }
  }
  throw new CodedError(
    'PACKAGE_MISSING',
    `store 'rocksdb' needs the package "${packageName}", which cannot be loaded (${tried.join('; ')})`,
    {
      remedy: `In a clone of Cairn: npm run services -- install rocksdb. Elsewhere: npm install ${packageName}@12.2; it holds a binary for Linux on x64 and macOS on arm64. Or take store 'level', which needs nothing.`
    }
  )
}
