/**
 * A map too large to load whole: its entries are records of their own, read one at a time. Writes are buffered until the handler
 * has succeeded, so undoing them costs nothing.
 */
import { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { parseDuration, type Duration } from '../runtime/kernel/durations.ts'
import { readOrderedNumber, writeOrderedNumber } from '../runtime/kernel/ordered-bytes.ts'
import type { DurableMapBackend } from './definition-types.ts'
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

const numberKind = 1
const stringKind = 2
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

  get(key: string | number): unknown {
    const bytes = encodeMapKey(key)
    const stored = this.bound().get(bytes)
    if (stored === undefined) return undefined
    const value = this.decode(stored)
    if (value === undefined) this.bound().delete(bytes)
    return value?.value
  }

  has(key: string | number): boolean {
    return this.get(key) !== undefined
  }

  set(key: string | number, value: unknown): void {
    const mapKey = encodeMapKey(key)
    if (value === undefined) throw new TypeError('durableMap: undefined is not a value; use delete()')
    const backend = this.bound()
    scratch.reset()
    scratch.f64(backend.now() + this.ttlMs)
    encodeValue(value, scratch, `durableMap[${JSON.stringify(key)}]`)
    backend.set(mapKey, scratch.take())
  }

  delete(key: string | number): void {
    this.bound().delete(encodeMapKey(key))
  }

  update(key: string | number, change: (value: unknown) => unknown): void {
    this.set(key, change(this.get(key)))
  }

  async *entries(
    range: { from?: string | number; to?: string | number; limit?: number } = {}
  ): AsyncGenerator<[string | number, unknown]> {
    const backend = this.bound()
    const to = range.to === undefined ? undefined : encodeMapKey(range.to)
    let from = range.from === undefined ? undefined : encodeMapKey(range.from)
    let left = range.limit ?? Infinity
    while (left > 0) {
      const { entries, next } = await backend.entries(from, to, pageSize)
      for (const [key, stored] of entries) {
        const value = this.decode(stored)
        if (value === undefined) continue
        yield [decodeMapKey(key), value.value]
        if (--left <= 0) return
      }
      if (next === undefined) return
      from = next
    }
  }

  /** undefined = it has outlived its time. */
  private decode(stored: Uint8Array): { readonly value: unknown } | undefined {
    const reader = new ByteReader(stored)
    if (reader.f64() <= this.bound().now()) return undefined
    const value = decodeValue(reader)
    return { value: typeof value === 'object' && !(value instanceof Uint8Array) ? Object.freeze(value) : value }
  }

  private bound(): DurableMapBackend {
    if (this.backend === undefined) throw new TypeError('a durableMap is used before its actor handles anything')
    return this.backend
  }
}

/** Byte order is key order. */
export function encodeMapKey(key: string | number): Uint8Array {
  scratch.reset()
  if (typeof key === 'number') {
    if (Number.isNaN(key)) throw new TypeError('durableMap: NaN is not a key')
    scratch.u8(numberKind)
    writeOrderedNumber(key, scratch)
  } else if (typeof key === 'string') {
    scratch.u8(stringKind)
    scratch.text(key)
  } else throw new TypeError(`durableMap: a key is a string or a number, not ${typeof key}`)
  return scratch.take()
}

export function decodeMapKey(bytes: Uint8Array): string | number {
  const reader = new ByteReader(bytes)
  return reader.u8() === numberKind ? readOrderedNumber(reader) : reader.text(reader.remaining)
}
