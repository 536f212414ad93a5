/**
 * A map too large to load whole: its entries are records of their own, read one at a time. Writes are buffered until the handler
 * has succeeded, so undoing them costs nothing.
 */
import { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { parseDuration, type Duration } from '../runtime/kernel/durations.ts'
import type { DurableMapBackend } from './definition-types.ts'
import { checkedMapKey, isPlainEntry, type MapKey } from './map-entries.ts'
import { decodeValue, encodeValue } from './state-codec.ts'

/** Point access is synchronous. What it returns is a copy: write it back with `set` or `update`. */
export interface DurableMap<K extends string | number, V> {
  get(key: K): Readonly<V> | undefined
  has(key: K): boolean
  set(key: K, value: V): void
  delete(key: K): void
  update(key: K, change: (value: Readonly<V> | undefined) => V): void
  /** Entries with from ≤ key < to, numbers before strings, each kind in its order; at most `limit`. For async handlers. */
  entries(range?: { from?: K; to?: K; limit?: number }): AsyncIterable<[K, Readonly<V>]>
}

/**
 * A durable map as a field of an actor: `orders = durableMap<string, Order>()`. Only there: it has no place inside other values.
 * @param options.ttl entries vanish so long after they were last written, by the wall clock. Throws CodedError OPTION_INVALID
 */
export function durableMap<K extends string | number, V>(options: { ttl?: Duration } = {}): DurableMap<K, V> {
  return new MapField(
    options.ttl === undefined ? Infinity : parseDuration(options.ttl, 'durableMap ttl')
  ) as unknown as DurableMap<K, V>
}

const pageSize = 256
const scratch = new ByteWriter(256)

export class MapField {
  private readonly ttlMs: number
  private backend: DurableMapBackend | undefined

  constructor(ttlMs: number) {
    this.ttlMs = ttlMs
  }

  bind(backend: DurableMapBackend): void {
    this.backend = backend
  }

  get(key: MapKey): unknown {
    const mapKey = checkedMapKey(key)
    const backend = this.bound()
    const entry = backend.get(mapKey)
    if (!(entry instanceof Uint8Array)) return entry
    const value = this.decode(entry)
    if (value === undefined) backend.delete(mapKey)
    return value
  }

  has(key: MapKey): boolean {
    return this.get(key) !== undefined
  }

  set(key: MapKey, value: unknown): void {
    const mapKey = checkedMapKey(key)
    if (value === undefined) throw new TypeError('durableMap: undefined is not a value; use delete()')
    const backend = this.bound()
    if (this.ttlMs === Infinity && isPlainEntry(value)) return backend.set(mapKey, value)
    scratch.reset()
    scratch.f64(backend.now() + this.ttlMs)
    encodeValue(value, scratch, `durableMap[${JSON.stringify(key)}]`)
    backend.set(mapKey, scratch.take())
  }

  delete(key: MapKey): void {
    this.bound().delete(checkedMapKey(key))
  }

  update(key: MapKey, change: (value: unknown) => unknown): void {
    this.set(key, change(this.get(key)))
  }

  async *entries(range: { from?: MapKey; to?: MapKey; limit?: number } = {}): AsyncGenerator<[MapKey, unknown]> {
    const backend = this.bound()
    const to = range.to === undefined ? undefined : checkedMapKey(range.to)
    const from = range.from === undefined ? undefined : checkedMapKey(range.from)
    let after: MapKey | undefined
    let left = range.limit ?? Infinity
    while (left > 0) {
      const { entries, last } = await backend.entries({ from, after, to }, pageSize)
      for (const [key, entry] of entries) {
        const value = entry instanceof Uint8Array ? this.decode(entry) : entry
        if (value === undefined) continue
        yield [key, value]
        if (--left <= 0) return
      }
      if (last === undefined) return
      after = last
    }
  }

  /** undefined = it has outlived its time. */
  private decode(stored: Uint8Array): unknown {
    const reader = new ByteReader(stored)
    if (reader.f64() <= this.bound().now()) return undefined
    const value = decodeValue(reader)
    return typeof value === 'object' && !(value instanceof Uint8Array) ? Object.freeze(value) : value
  }

  private bound(): DurableMapBackend {
    if (this.backend === undefined) throw new TypeError('a durableMap is used before its actor handles anything')
    return this.backend
  }
}
