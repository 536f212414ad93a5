/**
 * The local state store on the disk of one machine: reads and writes take time, fill the disk, fail half-way. What is behind a failure
 * may have been written or not. It outlives its process; when the machine loses power, what was not synced is lost from some write on.
 */
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import type { StateStore, StoreEntry, StorePrefixDelete, StoreWrite } from '../../checkpoint/state-store.ts'
import { latin1OfBytes } from '../../runtime/kernel/bytes.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { SimProcess } from './process.ts'

type Write = StoreWrite | StorePrefixDelete

/** Most writes of one operation of the disk; a reader sees all or nothing of these. Few at times: a crash is to strike in between. */
const mostWrites = 64
const path = 'store'
/** One in so many operations finds everything before it synced: a database flushes when it likes. */
const syncEvery = 8

/** What a disk holds of a store: what is synced, and the operations since. */
export class StoredEntries {
  private readonly random: Prng
  private readonly synced: Map<string, StoreWrite>
  private unsynced: (readonly Write[])[]

  constructor(random: Prng, synced: ReadonlyMap<string, StoreWrite> = new Map(), unsynced: (readonly Write[])[] = []) {
    this.random = random
    this.synced = new Map(synced)
    this.unsynced = [...unsynced]
  }

  /** Of the same disk, for the next process: what the last one still writes is written to nothing. */
  restart(): StoredEntries {
    return new StoredEntries(this.random, this.synced, this.unsynced)
  }

  crash(): StoredEntries {
    const left = this.unsynced.slice(0, this.random.int(this.unsynced.length + 1))
    return new StoredEntries(this.random, this.synced, left)
  }

  /** Writes of one operation. */
  slice(): number {
    return this.random.int(3) === 0 ? 1 + this.random.int(mostWrites) : mostWrites
  }

  write(writes: readonly Write[]): void {
    this.unsynced.push(writes)
    if (this.random.int(syncEvery) === 0) this.sync()
  }

  all(): StoreWrite[] {
    const after = this.restart()
    after.sync()
    return [...after.synced.values()]
  }

  private sync(): void {
    const { synced } = this
    for (const write of this.unsynced.flat())
      if ('prefix' in write) {
        const prefix = latin1OfBytes(write.prefix)
        for (const key of synced.keys()) if (key.startsWith(prefix)) synced.delete(key)
      } else if (write.value === undefined) synced.delete(latin1OfBytes(write.key))
      else synced.set(latin1OfBytes(write.key), write)
    this.unsynced = []
  }
}

export class LocalStore implements StateStore {
  private readonly process: SimProcess
  private readonly stored: StoredEntries
  private readonly truth = new MemoryStore()

  private constructor(process: SimProcess) {
    this.process = process
    this.stored = process.host.stored
  }

  /** With what the disk of the machine holds. */
  static open(process: SimProcess): Promise<LocalStore> {
    return process.onDisk('store open', async () => {
      const store = new LocalStore(process)
      const entries = store.stored.all()
      while (entries.length > 0) await store.truth.apply(entries.splice(0, 1000))
      return store
    })
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.process.onDisk('store read', () => this.truth.getMany(keys))
  }
  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.truth.getSync(key)
  }
  scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<readonly StoreEntry[]> {
    return this.process.onDisk('store scan', () => this.truth.scan(from, to, limit))
  }
  async apply(writes: Iterable<Write> | AsyncIterable<Write>): Promise<void> {
    const slice = this.stored.slice()
    const waiting: Write[] = []
    for await (const write of writes) if (waiting.push(copied(write)) === slice) await this.write(waiting.splice(0))
    if (waiting.length > 0) await this.write(waiting)
  }
  close(): Promise<void> {
    return this.truth.close()
  }

  private write(writes: readonly Write[]): Promise<void> {
    const { host } = this.process
    return this.process.onDisk('store write', async () => {
      const fault = host.diskFault(path)
      if (fault === undefined || fault.kind === 'deny') {
        this.stored.write(writes)
        await this.truth.apply(writes)
      }
      if (fault !== undefined)
        throw new CodedError('STORAGE_FAILED', `the local store of ${host.name}: ${'code' in fault ? fault.code : ''}`)
    })
  }
}

/** What is yielded may be gone with the next. */
const copied = (write: Write): Write =>
  'prefix' in write ? { prefix: write.prefix.slice() } : { key: write.key.slice(), value: write.value?.slice() }
