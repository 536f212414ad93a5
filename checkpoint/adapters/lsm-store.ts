/**
 * A state store on a log-structured database in a folder: LevelDB (`level-store.ts`) or RocksDB (`rocks-store.ts`). A value carries a
 * checksum over its key and itself: what a database reads wrong is noticed, not used. A folder that another process left behind is
 * checked once, before it is opened: what is damaged is thrown away.
 */
import { rm } from 'node:fs/promises'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'
import { crc32 } from '../../runtime/kernel/checksum.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import {
  afterPrefix,
  type StateStore,
  type StoreEntry,
  type StorePrefixDelete,
  type StoreWrite
} from '../state-store.ts'

/** What of a database is used, keys and values as views; the shapes are those of abstract-level. */
export interface LsmDatabase {
  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  getSync(key: Uint8Array): Uint8Array | undefined
  /** Of one moment, whatever is written meanwhile. */
  iterator(range: { readonly gte: Uint8Array; readonly lt: Uint8Array; readonly limit: number }): {
    all(): Promise<[Uint8Array, Uint8Array][]>
  }
  batch(): LsmBatch
  clear(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void>
  close(): Promise<void>
}

/** Copies what it is given. */
export interface LsmBatch {
  readonly length: number
  put(key: Uint8Array, value: Uint8Array): unknown
  del(key: Uint8Array): unknown
  /** All of it or nothing is there after a crash. The event loop turns before it resolves. */
  write(): Promise<void>
  close(): Promise<void>
}

export interface LsmEngine {
  /** What its coverage marks begin with. */
  readonly name: string
  /** The most writes of one batch; to fill it holds the event loop for about 2 µs a write. */
  readonly batchWrites: number
  open(folder: string): Promise<LsmDatabase>
  /** Deletes the database in a folder. Throws what is locked when another process uses it. */
  destroy(folder: string): Promise<void>
  /** Throws what is damaged in a folder that is about to be opened. */
  check(folder: string): Promise<void>
}

const batchBytes = 1024 * 1024

/** Closed by this process without a fault: nobody else wrote there since, for the job's folder is locked. */
const sound = new Set<string>()
let strays = 0

export class LsmStore implements StateStore {
  readonly lost: string | undefined
  private readonly engine: LsmEngine
  private readonly folder: string
  private readonly db: LsmDatabase
  private readonly scratch = new ByteWriter(1024)
  private damaged = false
  /** Another process uses the folder that was asked for. */
  private readonly stray: boolean

  private constructor(engine: LsmEngine, folder: string, db: LsmDatabase, lost?: string, stray = false) {
    this.engine = engine
    this.folder = folder
    this.db = db
    this.lost = lost
    this.stray = stray
  }

  /** With what is there, unless it is damaged. In use by another process: another folder, for this time. Throws STORAGE_FAILED. */
  static async open(engine: LsmEngine, folder: string): Promise<LsmStore> {
    try {
      const lost = sound.delete(folder) ? undefined : await whyDamaged(engine, folder)
      if (lost !== undefined) return await LsmStore.create(engine, folder, lost)
      return new LsmStore(engine, folder, await engine.open(folder))
    } catch (error) {
      if (!isLocked(error)) return LsmStore.create(engine, folder, (error as Error).message)
      reached(`${engine.name} store: in use by another process`)
      const own = `${folder}-${process.pid}-${++strays}`
      return LsmStore.create(engine, own, undefined, true)
    }
  }

  /** An empty store in the folder, whatever was there. Throws STORAGE_FAILED. */
  static async create(engine: LsmEngine, folder: string, lost?: string, stray = false): Promise<LsmStore> {
    if (lost !== undefined) reached(`${engine.name} store: damaged`)
    return guarded(folder, async () => {
      // Refuses what another process uses.
      await engine.destroy(folder)
      await rm(folder, { recursive: true, force: true })
      return new LsmStore(engine, folder, await engine.open(folder), lost, stray)
    })
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values = await this.guarded(() => this.db.getMany([...keys]))
    return values.map((value, i) => this.opened(keys[i] as Uint8Array, value))
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    try {
      return this.opened(key, this.db.getSync(key))
    } catch (error) {
      throw this.noticed(coded(this.folder, error))
    }
  }

  async scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<readonly StoreEntry[]> {
    const found = await this.guarded(() => this.db.iterator({ gte: from, lt: to, limit }).all())
    return found.map(([key, value]) => ({ key, value: this.opened(key, value) as Uint8Array }))
  }

  async apply(
    writes: Iterable<StoreWrite | StorePrefixDelete> | AsyncIterable<StoreWrite | StorePrefixDelete>
  ): Promise<void> {
    // One batch is filled while the one before is written.
    let batch: LsmBatch | undefined
    let bytes = 0
    let writing: Promise<void> | undefined
    const written = async (): Promise<void> => {
      const before = writing
      writing = undefined
      await before
    }
    const flush = async (): Promise<void> => {
      await written()
      const full = batch
      batch = undefined
      bytes = 0
      writing = full === undefined ? undefined : this.guarded(() => full.write())
      writing?.catch(() => undefined)
    }
    try {
      for await (const write of writes) {
        if ('prefix' in write) {
          await flush()
          await written()
          await this.guarded(() => this.db.clear({ gte: write.prefix, lt: afterPrefix(write.prefix) }))
          continue
        }
        const { key, value } = write
        batch ??= this.db.batch()
        if (value === undefined) batch.del(key)
        else batch.put(key, this.sealed(key, value))
        bytes += key.length + (value?.length ?? 0)
        if (batch.length >= this.engine.batchWrites || bytes >= batchBytes) await flush()
      }
      await flush()
      await written()
    } catch (error) {
      await batch?.close()
      await writing?.catch(() => undefined)
      throw error
    }
  }

  async close(): Promise<void> {
    await this.guarded(() => this.db.close())
    if (this.damaged || this.stray) await rm(this.folder, { recursive: true, force: true })
    else sound.add(this.folder)
  }

  /** Good until the next call: a batch copies what it is given. */
  private sealed(key: Uint8Array, value: Uint8Array): Uint8Array {
    this.scratch.reset()
    this.scratch.u32(crc32(value, crc32(key)))
    this.scratch.bytes(value)
    return this.scratch.view()
  }

  private opened(key: Uint8Array, sealed: Uint8Array | undefined): Uint8Array | undefined {
    if (sealed === undefined) return undefined
    const value = sealed.subarray(4)
    if (sealed.length < 4 || new ByteReader(sealed).u32() !== crc32(value, crc32(key)))
      throw this.noticed(new CodedError('CORRUPT', `state store "${this.folder}": a value fails its checksum`))
    return value
  }

  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await guarded(this.folder, work)
    } catch (error) {
      throw this.noticed(error as CodedError)
    }
  }

  /** Damage is not met twice: the store is empty when it is opened again. */
  private noticed(error: CodedError): CodedError {
    if (error.code === 'CORRUPT') this.damaged = true
    return error
  }
}

async function whyDamaged(engine: LsmEngine, folder: string): Promise<string | undefined> {
  try {
    await engine.check(folder)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

export function isLocked(error: unknown): boolean {
  for (let each = error as (Error & { readonly code?: string }) | undefined; each !== undefined;)
    if (each.code === 'LEVEL_LOCKED' || /\block\b/i.test(each.message)) return true
    else each = each.cause as typeof each
  return false
}

async function guarded<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw coded(folder, error)
  }
}

function coded(folder: string, error: unknown): CodedError {
  if (error instanceof CodedError) return error
  const { message, cause } = error as Error & { readonly code?: string }
  const codes = [error, cause].map(each => (each as { readonly code?: unknown } | undefined)?.code)
  const code = codes.includes('LEVEL_CORRUPTION') ? 'CORRUPT' : 'STORAGE_FAILED'
  return new CodedError(code, `state store "${folder}": ${message}`, { cause: error })
}
