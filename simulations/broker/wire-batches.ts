/** The simulated broker's own reading and writing of record batches. */
import { crc32c } from '../../runtime/kernel/crc32c.ts'
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import type { StoredBatch } from './partition.ts'
import type { NewBatch, NewRecord, TopicPartition } from './requests.ts'
import { Cursor, Out, WireError } from './wire-bytes.ts'

const nothing = {
  producerId: -1,
  producerEpoch: -1,
  baseSequence: -1,
  transactional: false,
  records: [],
  corrupt: true
}

/** What a producer sends for one partition: exactly one batch. */
export function readBatch(at: TopicPartition, bytes: Uint8Array): NewBatch {
  const head = new Cursor(bytes)
  if (head.int64() !== 0) throw new WireError('a producer numbers from 0')
  const length = head.int32()
  if (length !== head.left) throw new WireError(`a batch of ${length} bytes in ${head.left}`)
  head.int32()
  const magic = head.int8()
  if (magic !== 2) throw new WireError(`magic ${magic}`)
  const crc = head.uint32()
  const isWhole = crc === crc32c(bytes.subarray(bytes.length - head.left))
  if (!isWhole) return { ...nothing, ...at, sizeBytes: bytes.length }
  const attributes = head.int16()
  if ((attributes & ~0x10) !== 0) throw new WireError(`attributes ${attributes}`)
  const lastDelta = head.int32()
  const firstTime = head.int64()
  const lastTime = head.int64()
  const producerId = head.int64()
  const producerEpoch = head.int16()
  const baseSequence = head.int32()
  const count = head.int32()
  if (count < 1 || lastDelta !== count - 1) throw new WireError(`${count} records, last delta ${lastDelta}`)
  const records: NewRecord[] = []
  for (let i = 0; i < count; i++) records.push(readRecord(head, firstTime, i))
  head.done()
  if (lastTime !== Math.max(...records.map(({ timestamp }) => timestamp))) throw new WireError('largest time is wrong')
  const transactional = (attributes & 0x10) !== 0
  return { ...at, producerId, producerEpoch, baseSequence, transactional, records, sizeBytes: bytes.length }
}

function readRecord(head: Cursor, firstTime: number, index: number): NewRecord {
  const length = head.varint()
  const record = new Cursor(head.raw(length))
  if (record.int8() !== 0) throw new WireError('attributes of a record')
  const timestamp = firstTime + record.varint()
  if (record.varint() !== index) throw new WireError(`record ${index} has another number`)
  const part = (): Uint8Array | undefined => {
    const size = record.varint()
    return size < 0 ? undefined : record.raw(size)
  }
  const key = part()
  const value = part()
  const headers: RecordHeader[] = []
  for (let left = record.varint(); left > 0; left--) {
    const name = part()
    if (name === undefined) throw new WireError('a header without a name')
    headers.push({ name: new TextDecoder().decode(name), value: part() })
  }
  record.done()
  return headers.length === 0 ? { timestamp, key, value } : { timestamp, key, value, headers }
}

const written = new WeakMap<StoredBatch, Uint8Array>()

export function writeBatch(batch: StoredBatch): Uint8Array {
  let bytes = written.get(batch)
  if (bytes === undefined) written.set(batch, (bytes = encode(batch)))
  return bytes
}

function encode(batch: StoredBatch): Uint8Array {
  const { baseOffset, lastOffset, control, records } = batch
  const firstTime = records[0]?.timestamp ?? Math.trunc(batch.appendedAt)
  const body = new Out()
  body.int16((batch.transactional ? 16 : 0) + (control === undefined ? 0 : 32))
  body.int32(lastOffset - baseOffset)
  body.int64(firstTime).int64(Math.max(firstTime, ...records.map(({ timestamp }) => timestamp)))
  body.int64(batch.producerId).int16(batch.producerEpoch).int32(batch.baseSequence)
  if (control === undefined) {
    body.int32(records.length)
    for (const { offset, timestamp, key, value, headers } of records)
      writeRecord(body, timestamp - firstTime, offset - baseOffset, key, value, headers)
  } else {
    body.int32(1)
    const key = new Out()
      .int16(0)
      .int16(control === 'commit' ? 1 : 0)
      .take()
    const value = new Out()
      .int16(0)
      .int32(batch.coordinatorEpoch ?? 0)
      .take()
    writeRecord(body, 0, 0, key, value)
  }
  const checked = body.take()
  const whole = new Out()
    .int64(baseOffset)
    .int32(checked.length + 9)
    .int32(batch.leaderEpoch)
    .int8(2)
  whole.int32(0)
  whole.patchUint32(17, crc32c(checked))
  return whole.raw(checked).take()
}

function writeRecord(
  out: Out,
  time: number,
  delta: number,
  key: Uint8Array | undefined,
  value: Uint8Array | undefined,
  headers: readonly RecordHeader[] = []
): void {
  const record = new Out().int8(0).varint(time).varint(delta)
  const add = (part: Uint8Array | undefined): void => {
    record.varint(part?.length ?? -1)
    if (part !== undefined) record.raw(part)
  }
  add(key)
  add(value)
  record.varint(headers.length)
  for (const header of headers) {
    add(new TextEncoder().encode(header.name))
    add(header.value)
  }
  out.varint(record.size).raw(record.take())
}
