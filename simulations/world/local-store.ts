/**
 * The local state store on the disk of one machine: reads and writes take time, fill the disk, fail half-way. What is behind a failure
 * may have been written or not; nothing of it outlives its process.
 */
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import type { StateStore, StoreEntry, StorePrefixDelete, StoreWrite } from '../../checkpoint/state-store.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { SimProcess } from './process.ts'

type Write = StoreWrite | StorePrefixDelete

/** Writes of one operation of the disk; a reader sees all or nothing of these. */
const slice = 64
const path = 'store'

export class LocalStore implements StateStore {
  private readonly process: SimProcess
  private readonly truth = new MemoryStore()

  constructor(process: SimProcess) {
    this.process = process
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
      if (fault === undefined || fault.kind === 'deny') await this.truth.apply(writes)
      if (fault !== undefined)
        throw new CodedError('STORAGE_FAILED', `the local store of ${host.name}: ${'code' in fault ? fault.code : ''}`)
    })
  }
}

/** What is yielded may be gone with the next. */
const copied = (write: Write): Write =>
  'prefix' in write ? { prefix: write.prefix.slice() } : { key: write.key.slice(), value: write.value?.slice() }
