/** A state store on LevelDB. A value carries a checksum over its key and itself: LevelDB does not verify what it reads. */
import { rm } from 'node:fs/promises'
import { Level } from 'level'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'
import { crc32 } from '../../runtime/kernel/checksum.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import {
  afterPrefix,
  type StateStore,
  type StoreEntry,
  type StorePrefixDelete,
  type StoreWrite
} from '../state-store.ts'

/** One batch holds the event loop for about 3 µs a write. */
const batchWrites = 500
const batchBytes = 1024 * 1024
const views = { keyEncoding: 'view', valueEncoding: 'view' } as const

export class LevelStore implements StateStore {
  private readonly folder: string
  private readonly db: Level<Uint8Array, Uint8Array>
  private readonly scratch = new ByteWriter(1024)

  private constructor(folder: string, db: Level<Uint8Array, Uint8Array>) {
    this.folder = folder
    this.db = db
  }

  /** An empty store in the folder, whatever was there. Throws CodedError STORAGE_FAILED. */
  static async create(folder: string): Promise<LevelStore> {
    return guarded(folder, async () => {
      await rm(folder, { recursive: true, force: true })
      const db = new Level<Uint8Array, Uint8Array>(folder, { ...views, writeBufferSize: 16 * 1024 * 1024 })
      await db.open()
      return new LevelStore(folder, db)
    })
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values = await guarded(this.folder, () => this.db.getMany([...keys], views))
    return values.map((value, i) => this.opened(keys[i] as Uint8Array, value))
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.opened(key, this.db.getSync(key, views))
  }

  async scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<readonly StoreEntry[]> {
    const found = await guarded(this.folder, () => this.db.iterator({ gte: from, lt: to, limit, ...views }).all())
    return found.map(([key, value]) => ({ key, value: this.opened(key, value) as Uint8Array }))
  }

  async apply(
    writes: Iterable<StoreWrite | StorePrefixDelete> | AsyncIterable<StoreWrite | StorePrefixDelete>
  ): Promise<void> {
    let batch: ({ type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array })[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      if (batch.length > 0) await guarded(this.folder, () => this.db.batch(batch, views))
      batch = []
      bytes = 0
    }
    for await (const write of writes) {
      if ('prefix' in write) {
        await flush()
        await guarded(this.folder, () => this.db.clear({ gte: write.prefix, lt: afterPrefix(write.prefix), ...views }))
        continue
      }
      const { key, value } = write
      if (value === undefined) batch.push({ type: 'del', key: key.slice() })
      else batch.push({ type: 'put', key: key.slice(), value: this.sealed(key, value) })
      bytes += key.length + (value?.length ?? 0)
      if (batch.length >= batchWrites || bytes >= batchBytes) await flush()
    }
    await flush()
  }

  async close(): Promise<void> {
    await this.db.close()
    await rm(this.folder, { recursive: true, force: true })
  }

  private sealed(key: Uint8Array, value: Uint8Array): Uint8Array {
    this.scratch.reset()
    this.scratch.u32(crc32(value, crc32(key)))
    this.scratch.bytes(value)
    return this.scratch.take()
  }

  private opened(key: Uint8Array, sealed: Uint8Array | undefined): Uint8Array | undefined {
    if (sealed === undefined) return undefined
    const value = sealed.subarray(4)
    if (sealed.length < 4 || new ByteReader(sealed).u32() !== crc32(value, crc32(key)))
      throw new CodedError('CORRUPT', `state store "${this.folder}": a value fails its checksum`)
    return value
  }
}

async function guarded<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof CodedError) throw error
    throw new CodedError('STORAGE_FAILED', `state store "${folder}": ${(error as Error).message}`, { cause: error })
  }
}
