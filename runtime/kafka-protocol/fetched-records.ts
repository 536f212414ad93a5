/**
 * The records of one partition as a broker sent them, walked once and read where they stand: where each begins and ends is kept in arrays,
 * and no object is made for a record. What a reader with isolation "read committed" must not see is left out (the algorithm of Kafka's own
 * consumer).
 */
import { CodedError } from '../kernel/errors.ts'
import { crc32c } from '../kernel/crc32c.ts'
import type { RecordHeader } from '../kernel/record-header.ts'
import type { AbortedTransaction } from './read-committed.ts'
import { batchOverheadBytes } from './record-batch.ts'

/** What a batch's records were before they were compressed, by Kafka's number for how. Undefined: not known here. */
export type Decompress = (codec: number, bytes: Uint8Array) => Uint8Array | undefined

/** Some records are compressed in a way that `Decompress` does not know. */
export class UnknownCompression extends Error {
  readonly codec: number
  constructor(codec: number) {
    super(`record batches compressed by codec ${codec}`)
    this.codec = codec
  }
}

const corrupt = (what: string): CodedError => new CodedError('CORRUPT', `Kafka record batch: ${what}`)

const magicAt = 16
const crcAt = 17
const attributesAt = 21
const lastDeltaAt = 23
const baseTimeAt = 27
const maxTimeAt = 35
const producerIdAt = 43
const countAt = 57

const compressionBits = 7
const logAppendBit = 8
const transactionalBit = 0x10
const controlBit = 0x20

/** A batch whose records are to be read. */
interface Visible {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  readonly baseOffset: number
  readonly baseTime: number
  /** Of all its records, where the broker stamps them. */
  readonly time: number | undefined
  readonly count: number
}

/** Where the parts of record `i` stand: so many numbers at `i * slots`. Behind where a part begins stands where it ends; -1: there is none. */
const slots = 5
const keyAt = 0
const valueAt = 2
const headersAt = 4

export class FetchedRecords {
  readonly count: number
  /** Of keys and values. */
  readonly sizeBytes: number
  /** Behind the last batch, whatever is in it. */
  readonly next: number
  private readonly offsets: Float64Array
  private readonly times: Float64Array
  private readonly places: Int32Array
  /** Of record `i`: the buffer in which it stands is the last one that begins at `i` or before. */
  private readonly buffers: readonly { readonly first: number; readonly bytes: Uint8Array }[]
  private lastBuffer = 0

  /**
   * @param bytes whole batches; a broker may cut the last one off where its limit was
   * @param position records before it are left out: a broker answers whole batches
   * Throws CORRUPT, UnknownCompression.
   */
  constructor(
    bytes: Uint8Array,
    aborted: readonly AbortedTransaction[],
    position: number,
    decompress: Decompress = () => undefined
  ) {
    const { batches, next } = visibleBatches(bytes, aborted, position, decompress)
    const most = batches.reduce((sum, { count }) => sum + count, 0)
    this.next = next
    this.offsets = new Float64Array(most)
    this.times = new Float64Array(most)
    this.places = new Int32Array(most * slots)
    const buffers: { first: number; bytes: Uint8Array }[] = []
    let count = 0
    for (const batch of batches) {
      if (buffers.at(-1)?.bytes !== batch.bytes) buffers.push({ first: count, bytes: batch.bytes })
      count = this.walk(batch, count, position)
    }
    this.buffers = buffers
    this.count = count
    let size = 0
    for (let at = 0; at < count * slots; at += slots) size += this.partSize(at + keyAt) + this.partSize(at + valueAt)
    this.sizeBytes = size
  }

  offset(i: number): number {
    return this.offsets[i] as number
  }
  /** -1: it has none. */
  timestamp(i: number): number {
    return this.times[i] as number
  }
  key(i: number): Uint8Array | undefined {
    return this.part(i, keyAt)
  }
  value(i: number): Uint8Array | undefined {
    return this.part(i, valueAt)
  }
  /** Of key and value. */
  size(i: number): number {
    return this.partSize(i * slots + keyAt) + this.partSize(i * slots + valueAt)
  }

  headers(i: number): readonly RecordHeader[] | undefined {
    const cursor = new Cursor(this.bytesOf(i), this.places[i * slots + headersAt] as number)
    const count = cursor.varint()
    if (count === 0) return undefined
    const headers: RecordHeader[] = []
    for (let n = 0; n < count; n++) headers.push({ name: names.decode(cursor.part()), value: cursor.part() })
    return headers
  }

  private partSize(at: number): number {
    const from = this.places[at] as number
    return from < 0 ? 0 : (this.places[at + 1] as number) - from
  }

  private part(i: number, which: number): Uint8Array | undefined {
    const from = this.places[i * slots + which] as number
    return from < 0 ? undefined : this.bytesOf(i).subarray(from, this.places[i * slots + which + 1])
  }

  /** Records are read in their order, nearly always. */
  private bytesOf(i: number): Uint8Array {
    const { buffers } = this
    let at = this.lastBuffer
    while (at > 0 && (buffers[at]?.first ?? 0) > i) at--
    while ((buffers[at + 1]?.first ?? Infinity) <= i) at++
    this.lastBuffer = at
    return (buffers[at] as { bytes: Uint8Array }).bytes
  }

  /** Answers how many records there are then. */
  private walk(
    { bytes, start, end, baseOffset, baseTime, time, count }: Visible,
    first: number,
    position: number
  ): number {
    const { offsets, times, places } = this
    const cursor = new Cursor(bytes, start, end)
    let n = first
    for (let left = count; left > 0; left--) {
      const length = cursor.varint()
      const after = cursor.at + length
      if (length < 1 || after > end) throw corrupt(`a record of ${length} bytes at offset ${baseOffset}`)
      // Attributes of a record: none are defined.
      cursor.at++
      const timestamp = time ?? baseTime + cursor.varint()
      if (time !== undefined) cursor.varint()
      const offset = baseOffset + cursor.varint()
      const at = n * slots
      for (const which of [keyAt, valueAt]) {
        const size = cursor.varint()
        if (size < -1 || cursor.at + size > after) throw corrupt(`a key or value of ${size} bytes at offset ${offset}`)
        places[at + which] = size < 0 ? -1 : cursor.at
        if (size > 0) cursor.at += size
        places[at + which + 1] = cursor.at
      }
      places[at + headersAt] = cursor.at
      cursor.skipHeaders(after)
      if (cursor.at !== after) throw corrupt(`a record that is longer than what is in it, at offset ${offset}`)
      if (offset < position) continue
      offsets[n] = offset
      times[n] = timestamp
      n++
    }
    if (cursor.at !== end) throw corrupt(`bytes behind the last record of the batch at offset ${baseOffset}`)
    return n
  }
}

const names = new TextDecoder()

function visibleBatches(
  bytes: Uint8Array,
  aborted: readonly AbortedTransaction[],
  position: number,
  decompress: Decompress
): { readonly batches: readonly Visible[]; readonly next: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const pending = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const skipped = new Set<number>()
  const batches: Visible[] = []
  let next = position
  let ended = 0
  for (let at = 0; at + 12 <= bytes.length;) {
    const baseOffset = int64(view, at)
    const end = at + 12 + view.getUint32(at + 8)
    if (end > bytes.length) break
    if (end - at < batchOverheadBytes) throw corrupt(`a length of ${end - at} bytes at offset ${baseOffset}`)
    const magic = view.getUint8(at + magicAt)
    if (magic !== 2) throw corrupt(`format ${magic} at offset ${baseOffset}; only that of Kafka 0.11 and newer is read`)
    if (view.getUint32(at + crcAt) !== crc32c(bytes.subarray(at + attributesAt, end)))
      throw corrupt(`wrong check at offset ${baseOffset}`)
    const attributes = view.getUint16(at + attributesAt)
    const lastOffset = baseOffset + view.getUint32(at + lastDeltaAt)
    const producerId = int64(view, at + producerIdAt)
    next = Math.max(next, lastOffset + 1)
    for (; (pending[ended]?.firstOffset ?? Infinity) <= lastOffset; ended++)
      skipped.add((pending[ended] as AbortedTransaction).producerId)
    const from = at + batchOverheadBytes
    if ((attributes & controlBit) !== 0) {
      if (isAbort(bytes, from, end)) skipped.delete(producerId)
    } else if (lastOffset >= position && ((attributes & transactionalBit) === 0 || !skipped.has(producerId)))
      batches.push({
        ...bodyOf(bytes, from, end, attributes & compressionBits, decompress),
        baseOffset,
        baseTime: int64(view, at + baseTimeAt),
        time: (attributes & logAppendBit) === 0 ? undefined : int64(view, at + maxTimeAt),
        count: view.getUint32(at + countAt)
      })
    at = end
  }
  for (const { count, start, end, baseOffset } of batches)
    // A record takes seven bytes at least.
    if (count * 7 > end - start) throw corrupt(`${count} records in ${end - start} bytes at offset ${baseOffset}`)
  return { batches, next }
}

function bodyOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  codec: number,
  decompress: Decompress
): Pick<Visible, 'bytes' | 'start' | 'end'> {
  if (codec === 0) return { bytes, start, end }
  const body = decompress(codec, bytes.subarray(start, end))
  if (body === undefined) throw new UnknownCompression(codec)
  return { bytes: body, start: 0, end: body.length }
}

function int64(view: DataView, at: number): number {
  const n = view.getInt32(at) * 2 ** 32 + view.getUint32(at + 4)
  if (!Number.isSafeInteger(n)) throw corrupt(`a 64-bit integer beyond 2^53`)
  return n
}

/** The key of a control record: its version, then what it says. Compaction may leave a marker's batch without its record. */
function isAbort(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false
  const cursor = new Cursor(bytes, start, end)
  cursor.varint()
  cursor.at++
  cursor.varint()
  cursor.varint()
  const key = cursor.part()
  if (key === undefined || key.length < 4) throw corrupt('a control record that says nothing')
  return key[2] === 0 && key[3] === 0
}

/** Zigzag varints of up to 64 bits, of which 53 are used. */
class Cursor {
  at: number
  private readonly bytes: Uint8Array
  private readonly end: number

  constructor(bytes: Uint8Array, at: number, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  varint(): number {
    const { bytes, end } = this
    let { at } = this
    let raw = 0
    let byte: number
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) throw corrupt('a number that has no end')
      byte = bytes[at++] as number
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.at = at
        return (raw >>> 1) ^ -(raw & 1)
      }
    }
    let large = raw
    for (let factor = 2 ** 28; factor <= 2 ** 63; factor *= 128) {
      if (at >= end) throw corrupt('a number that has no end')
      byte = bytes[at++] as number
      large += (byte & 0x7f) * factor
      if (byte < 0x80) {
        this.at = at
        const n = large % 2 === 0 ? large / 2 : -(large + 1) / 2
        if (!Number.isSafeInteger(n)) throw corrupt('a number beyond 2^53')
        return n
      }
    }
    throw corrupt('a number of more than 64 bits')
  }

  /** A length and so many bytes; undefined: null. */
  part(): Uint8Array | undefined {
    const size = this.varint()
    if (size < 0) return undefined
    if (this.at + size > this.end) throw corrupt(`a part of ${size} bytes`)
    return this.bytes.subarray(this.at, (this.at += size))
  }

  skipHeaders(after: number): void {
    const count = this.varint()
    if (count < 0 || count * 2 > after - this.at) throw corrupt(`${count} headers`)
    for (let n = 0; n < count; n++) {
      const name = this.varint()
      if (name < 0) throw corrupt('a header without a name')
      this.at += name
      const value = this.varint()
      if (value > 0) this.at += value
      if (this.at > after) throw corrupt('a header that is longer than its record')
    }
  }
}
