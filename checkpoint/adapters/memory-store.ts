/** A state store in memory: cold actors as bytes instead of objects. */
import { latin1OfBytes } from '../../runtime/kernel/bytes.ts'
import type { StateStore, StoreEntry, StorePrefixDelete, StoreWrite } from '../state-store.ts'

/** Writes between two turns of the event loop. */
const slice = 10_000

export class MemoryStore implements StateStore {
  private readonly values = new Map<string, StoreEntry>()
  /** Keys in order, made when somebody scans; undefined after a key came or went. */
  private order: string[] | undefined

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return Promise.resolve(keys.map(key => this.getSync(key)))
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.values.get(latin1OfBytes(key))?.value
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<readonly StoreEntry[]> {
    this.order ??= [...this.values.keys()].sort()
    const order = this.order
    const end = latin1OfBytes(to)
    const found: StoreEntry[] = []
    for (let i = lowerBound(order, latin1OfBytes(from)); i < order.length && found.length < limit; i++) {
      const key = order[i] as string
      if (key >= end) break
      found.push(this.values.get(key) as StoreEntry)
    }
    return Promise.resolve(found)
  }

  async apply(
    writes: Iterable<StoreWrite | StorePrefixDelete> | AsyncIterable<StoreWrite | StorePrefixDelete>
  ): Promise<void> {
    let left = slice
    for await (const write of writes) {
      if ('prefix' in write) this.deletePrefix(latin1OfBytes(write.prefix))
      else this.put(write)
      if (--left > 0) continue
      left = slice
      await new Promise<void>(resolve => setImmediate(resolve))
    }
  }

  /** It is given up with its last reference. */
  close(): Promise<void> {
    return Promise.resolve()
  }

  private put({ key, value }: StoreWrite): void {
    const id = latin1OfBytes(key)
    if (value === undefined) {
      if (this.values.delete(id)) this.order = undefined
      return
    }
    if (!this.values.has(id)) this.order = undefined
    this.values.set(id, { key: key.slice(), value: value.slice() })
  }

  private deletePrefix(prefix: string): void {
    for (const key of this.values.keys()) if (key.startsWith(prefix) && this.values.delete(key)) this.order = undefined
  }
}

function lowerBound(order: readonly string[], key: string): number {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((order[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}
