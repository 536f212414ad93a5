/**
 * Record batches of format 2; compressed where they are written so, uncompressed where they are read.
 *
 *     base offset, length, leader epoch, magic 2, CRC-32C │ attributes, last delta, times, producer id, epoch, sequence, count │ records
 *                                                         └ the check covers everything from here
 */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts'
import { crc32c } from '../kernel/crc32c.ts'
import { CodedError } from '../kernel/errors.ts'
import { headersSizeBytes, type RecordHeader } from '../kernel/record-header.ts'
import { readInt64, writeInt64 } from './codec.ts'

export interface KafkaRecord {
  /** Milliseconds since 1970; -1 for none. */
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers?: readonly RecordHeader[]
}

export interface BatchOwner {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

export interface Compression {
  /** Kafka's number for it: 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  readonly codec: 1 | 2 | 3 | 4
  compress(bytes: Uint8Array): Uint8Array
}

export interface DecodedBatch extends BatchOwner {
  readonly baseOffset: number
  /** Compaction may have taken the last record away; the batch still spans its offset. */
  readonly lastOffset: number
  readonly transactional: boolean
  readonly control: 'commit' | 'abort' | 'other' | undefined
  readonly records: readonly (KafkaRecord & { readonly offset: number })[]
}

/** Up to the records: what a batch costs beside them. */
export const batchOverheadBytes = 61
const crcAt = 17
const checkedFrom = 21
const attributesAt = 21
const transactionalBit = 0x10
const controlBit = 0x20

const corrupt = (what: string): CodedError => new CodedError('CORRUPT', `Kafka record batch: ${what}`)

/** Zigzag, 64 bits of which 53 are used. */
function writeVarint(writer: ByteWriter, n: number): void {
  writer.varuint(n >= 0 ? n * 2 : -n * 2 - 1)
}

function readVarint(reader: ByteReader): number {
  const raw = reader.varuint()
  return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2
}

const varintBytes = (n: number): number => {
  let rest = n >= 0 ? n * 2 : -n * 2 - 1
  let bytes = 1
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

const sizeOf = (bytes: Uint8Array | undefined): number =>
  bytes === undefined ? 1 : varintBytes(bytes.length) + bytes.length

const timeOf = ({ timestamp }: KafkaRecord): number => (Number.isFinite(timestamp) ? Math.trunc(timestamp) : -1)

interface EncodedHeader {
  readonly name: Uint8Array
  readonly value: Uint8Array | undefined
}

const utf8 = new TextEncoder()
const names = new TextDecoder()
const noHeaders: readonly EncodedHeader[] = []

const encodedHeaders = ({ headers }: KafkaRecord): readonly EncodedHeader[] =>
  headers?.map(({ name, value }) => ({ name: utf8.encode(name), value })) ?? noHeaders

function bodySize(record: KafkaRecord, headers: readonly EncodedHeader[], timeDelta: number, index: number): number {
  let size = 1 + varintBytes(timeDelta) + varintBytes(index) + sizeOf(record.key) + sizeOf(record.value)
  size += varintBytes(headers.length)
  for (const { name, value } of headers) size += sizeOf(name) + sizeOf(value)
  return size
}

/** What a record takes in a batch, at most, wherever it stands there. */
export const recordSizeBytes = ({ key, value, headers }: KafkaRecord): number =>
  2 + 5 + 9 + 5 + sizeOf(key) + sizeOf(value) + (headers === undefined ? 0 : 4 + headersSizeBytes(headers))

/** Compressed only where that makes it smaller. */
export function encodeBatch(records: readonly KafkaRecord[], owner: BatchOwner, compression?: Compression): Uint8Array {
  const first = records[0]
  if (first === undefined) throw new TypeError('a batch of no records')
  const writer = new ByteWriter(batchOverheadBytes + 64)
  const baseTime = timeOf(first)
  writeInt64(writer, 0)
  writer.u32(0)
  writer.u32(0xffffffff)
  writer.u8(2)
  writer.u32(0)
  writer.u16(transactionalBit)
  writer.u32(records.length - 1)
  writeInt64(writer, baseTime)
  writeInt64(
    writer,
    records.reduce((most, record) => Math.max(most, timeOf(record)), baseTime)
  )
  writeInt64(writer, owner.producerId)
  writer.u16(owner.producerEpoch)
  writer.u32(owner.baseSequence)
  writer.u32(records.length)
  for (const [i, record] of records.entries()) {
    const timeDelta = timeOf(record) - baseTime
    const headers = encodedHeaders(record)
    writeVarint(writer, bodySize(record, headers, timeDelta, i))
    writer.u8(0)
    writeVarint(writer, timeDelta)
    writeVarint(writer, i)
    writePart(writer, record.key)
    writePart(writer, record.value)
    writeVarint(writer, headers.length)
    for (const { name, value } of headers) {
      writePart(writer, name)
      writePart(writer, value)
    }
  }
  if (compression !== undefined) {
    const smaller = compression.compress(writer.view().subarray(batchOverheadBytes))
    if (batchOverheadBytes + smaller.length < writer.length) {
      writer.truncate(batchOverheadBytes)
      writer.bytes(smaller)
      writer.patchU16(attributesAt, transactionalBit | compression.codec)
    }
  }
  writer.patchU32(8, writer.length - 12)
  writer.patchU32(crcAt, crc32c(writer.view().subarray(checkedFrom)))
  return writer.take()
}

function writePart(writer: ByteWriter, part: Uint8Array | undefined): void {
  writeVarint(writer, part?.length ?? -1)
  if (part !== undefined) writer.bytes(part)
}

/** All whole batches; a broker may cut the last one off where its limit was. */
export function decodeBatches(bytes: Uint8Array): DecodedBatch[] {
  const batches: DecodedBatch[] = []
  const reader = new ByteReader(bytes)
  while (reader.remaining >= 12) {
    const start = reader.offset
    readInt64(reader)
    const length = reader.u32()
    if (length > reader.remaining) break
    if (length < batchOverheadBytes - 12) throw corrupt(`a length of ${length}`)
    batches.push(decodeBatch(bytes.subarray(start, start + 12 + length)))
    reader.bytes(length)
  }
  return batches
}

function decodeBatch(bytes: Uint8Array): DecodedBatch {
  const reader = new ByteReader(bytes)
  const baseOffset = readInt64(reader)
  reader.bytes(8)
  const magic = reader.u8()
  if (magic !== 2) throw corrupt(`format ${magic}`)
  const crc = reader.u32()
  if (crc !== crc32c(bytes.subarray(checkedFrom))) throw corrupt(`wrong check at offset ${baseOffset}`)
  const attributes = reader.u16()
  if ((attributes & 7) !== 0) throw corrupt(`compression ${attributes & 7} at offset ${baseOffset}`)
  const lastDelta = reader.u32()
  const baseTime = readInt64(reader)
  readInt64(reader)
  const producerId = readInt64(reader)
  const producerEpoch = (reader.u16() << 16) >> 16
  const baseSequence = reader.u32() | 0
  const count = reader.u32()
  // A record takes seven bytes at least.
  if (count * 7 > reader.remaining) throw corrupt(`${count} records in ${reader.remaining} bytes`)
  const records: DecodedBatch['records'][number][] = []
  for (let i = 0; i < count; i++) records.push(decodeRecord(reader, baseOffset, baseTime))
  reader.expectEnd()
  return {
    baseOffset,
    lastOffset: baseOffset + lastDelta,
    producerId,
    producerEpoch,
    baseSequence,
    transactional: (attributes & transactionalBit) !== 0,
    control: (attributes & controlBit) === 0 ? undefined : controlOf(records[0]),
    records
  }
}

function decodeRecord(reader: ByteReader, baseOffset: number, baseTime: number): DecodedBatch['records'][number] {
  const length = readVarint(reader)
  if (length < 0 || length > reader.remaining) throw corrupt(`a record of ${length} bytes`)
  const body = new ByteReader(reader.bytes(length))
  body.u8()
  const timestamp = baseTime + readVarint(body)
  const offset = baseOffset + readVarint(body)
  const part = (): Uint8Array | undefined => {
    const size = readVarint(body)
    if (size < -1 || size > body.remaining) throw corrupt(`a key or value of ${size} bytes`)
    return size === -1 ? undefined : body.bytes(size)
  }
  const key = part()
  const value = part()
  const count = readVarint(body)
  if (count < 0 || count * 2 > body.remaining) throw corrupt(`${count} headers`)
  const headers: RecordHeader[] = []
  for (let i = 0; i < count; i++) {
    const name = part()
    if (name === undefined) throw corrupt('a header without a name')
    headers.push({ name: names.decode(name), value: part() })
  }
  body.expectEnd()
  return count === 0 ? { offset, timestamp, key, value } : { offset, timestamp, key, value, headers }
}

/** The key of a control record: its version, then what it says. */
function controlOf(record: KafkaRecord | undefined): DecodedBatch['control'] {
  // Compaction may leave a marker's batch without its record.
  if (record === undefined) return 'other'
  const { key } = record
  if (key === undefined || key.length < 4) throw corrupt('a control record that says nothing')
  const type = ((key[2] as number) << 8) | (key[3] as number)
  return type === 0 ? 'abort' : type === 1 ? 'commit' : 'other'
}
