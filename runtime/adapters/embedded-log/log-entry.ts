/**
 * What stands in LevelDB for a run of records: one stored entry holds up to some thousand records of one partition, or one
 * transaction marker. The key is (topic number, partition, offset of the first record); the checksum covers key and content.
 *
 *   crc32 u32 · flags u8 · 3 × 0 · producer u32 · count u32 · start of record i: count × u32
 *   record: timestamp f64 · key length i32 (−1 = none) · value length i32 (−1 = none) · key · value · headers, up to the next record
 */
import { crc32 } from '../../kernel/checksum.ts'
import { CodedError } from '../../kernel/errors.ts'
import { decodeHeaders, encodeHeaders, type RecordHeader } from '../../kernel/record-header.ts'
import type { OutputRecord } from '../../ports/log.ts'

/** Larger entries would make a fetch read much more than it asked for. */
const entryBytes = 64 * 1024
const entryRecords = 4096
const headerBytes = 16
const recordHeaderBytes = 16

/** First byte of an entry's LevelDB key. */
const entryTag = 3
const keyBytes = 17

export const transactional = 1
export const committed = 2
export const aborted = 4

export interface Place {
  readonly topic: number
  readonly partition: number
}

export function entryKey({ topic, partition }: Place, offset: number): Uint8Array {
  const key = new Uint8Array(keyBytes)
  const view = new DataView(key.buffer)
  view.setUint8(0, entryTag)
  view.setUint32(1, topic)
  view.setUint32(5, partition)
  view.setUint32(9, Math.floor(offset / 2 ** 32))
  view.setUint32(13, offset % 2 ** 32)
  return key
}

export function offsetOfKey(key: Uint8Array): number {
  if (key.length !== keyBytes) return NaN
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return view.getUint32(9) * 2 ** 32 + view.getUint32(13)
}

export interface EncodedEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly count: number
}

/** Cuts records of one partition into entries, in order. `producer` 0 and no flags = outside any transaction. */
export function encodeEntries(
  place: Place,
  offset: number,
  records: readonly OutputRecord[],
  flags: number,
  producer: number
): EncodedEntry[] {
  const entries: EncodedEntry[] = []
  const headers = records.map(record => encodeHeaders(record.headers))
  let from = 0
  let at = offset
  while (from < records.length) {
    let to = from
    let size = headerBytes
    while (to < records.length && to - from < entryRecords) {
      const { key, value } = records[to] as OutputRecord
      const more = 4 + recordHeaderBytes + (key?.length ?? 0) + (value?.length ?? 0) + (headers[to]?.length ?? 0)
      if (to > from && size + more > entryBytes) break
      size += more
      to++
    }
    entries.push(encode(place, at, records, headers, from, to, size, flags, producer))
    at += to - from
    from = to
  }
  return entries
}

export function encodeMarker(place: Place, offset: number, flags: number, producer: number): EncodedEntry {
  const key = entryKey(place, offset)
  const value = new Uint8Array(headerBytes)
  head(key, value, flags, producer, 1)
  return { key, value, count: 1 }
}

function encode(
  place: Place,
  offset: number,
  records: readonly OutputRecord[],
  headers: readonly Uint8Array[],
  from: number,
  to: number,
  size: number,
  flags: number,
  producer: number
): EncodedEntry {
  const value = new Uint8Array(size)
  const view = new DataView(value.buffer)
  const count = to - from
  let at = headerBytes + 4 * count
  for (let i = from; i < to; i++) {
    const record = records[i] as OutputRecord
    view.setUint32(headerBytes + 4 * (i - from), at)
    view.setFloat64(at, record.timestamp)
    view.setInt32(at + 8, record.key?.length ?? -1)
    view.setInt32(at + 12, record.value?.length ?? -1)
    at += recordHeaderBytes
    if (record.key !== undefined) value.set(record.key, at)
    at += record.key?.length ?? 0
    if (record.value !== undefined) value.set(record.value, at)
    at += record.value?.length ?? 0
    const behind = headers[i] as Uint8Array
    value.set(behind, at)
    at += behind.length
  }
  const key = entryKey(place, offset)
  head(key, value, flags, producer, count)
  return { key, value, count }
}

function head(key: Uint8Array, value: Uint8Array, flags: number, producer: number, count: number): void {
  const view = new DataView(value.buffer)
  view.setUint8(4, flags)
  view.setUint32(8, producer)
  view.setUint32(12, count)
  view.setUint32(0, crc32(value.subarray(4), crc32(key)))
}

/** A verified entry, read in place. */
export class LogEntry {
  readonly offset: number
  readonly count: number
  readonly flags: number
  readonly producer: number
  readonly sizeBytes: number
  private readonly bytes: Uint8Array
  private readonly view: DataView

  /** Throws CORRUPT when the checksum of key and content is wrong. `what` names topic and partition. */
  constructor(key: Uint8Array, stored: Uint8Array, what: string) {
    // A Buffer's `slice` does not copy; what leaves here must be a plain Uint8Array.
    this.bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
    this.view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength)
    this.offset = offsetOfKey(key)
    this.sizeBytes = stored.length
    const whole = stored.length >= headerBytes && this.view.getUint32(0) === crc32(this.bytes.subarray(4), crc32(key))
    this.flags = whole ? this.view.getUint8(4) : 0
    this.producer = whole ? this.view.getUint32(8) : 0
    this.count = whole ? this.view.getUint32(12) : 0
    if (!whole || this.count === 0)
      throw new CodedError('CORRUPT', `${what}, offset ${this.offset}: the stored entry fails its checksum`)
  }

  get isMarker(): boolean {
    return (this.flags & (committed | aborted)) !== 0
  }
  timestamp(i: number): number {
    return this.view.getFloat64(this.start(i))
  }
  key(i: number): Uint8Array | undefined {
    const at = this.start(i)
    const length = this.view.getInt32(at + 8)
    return length < 0 ? undefined : this.bytes.subarray(at + recordHeaderBytes, at + recordHeaderBytes + length)
  }
  value(i: number): Uint8Array | undefined {
    const at = this.start(i)
    const length = this.view.getInt32(at + 12)
    if (length < 0) return undefined
    const from = at + recordHeaderBytes + Math.max(0, this.view.getInt32(at + 8))
    return this.bytes.subarray(from, from + length)
  }
  headers(i: number): readonly RecordHeader[] | undefined {
    const at = this.start(i)
    const parts = Math.max(0, this.view.getInt32(at + 8)) + Math.max(0, this.view.getInt32(at + 12))
    const end = i + 1 < this.count ? this.start(i + 1) : this.bytes.length
    const from = at + recordHeaderBytes + parts
    return from >= end ? undefined : decodeHeaders(this.bytes.subarray(from, end))
  }
  private start(i: number): number {
    return this.view.getUint32(headerBytes + 4 * i)
  }
}

export function byPartition(records: readonly OutputRecord[]): Map<number, OutputRecord[]> {
  const parts = new Map<number, OutputRecord[]>()
  for (const record of records) {
    const part = parts.get(record.partition)
    if (part === undefined) parts.set(record.partition, [record])
    else part.push(record)
  }
  return parts
}
