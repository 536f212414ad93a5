/** Record batches: a capture of Kafka's, the independent opinion of the simulated broker, and what is damaged. */
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { crc32c } from '../../../runtime/kernel/crc32c.ts'
import { isCodedError } from '../../../runtime/kernel/errors.ts'
import {
  decodeBatches,
  encodeBatch,
  recordSizeBytes,
  batchOverheadBytes
} from '../../../runtime/kafka-protocol/record-batch.ts'
import { readCommitted } from '../../../runtime/kafka-protocol/read-committed.ts'
import type { DecodedBatch } from '../../../runtime/kafka-protocol/record-batch.ts'
import type { StoredBatch } from '../../../simulations/broker/partition.ts'
import { readBatch, writeBatch } from '../../../simulations/broker/wire-batches.ts'

const bytes = (s: string): Uint8Array => new TextEncoder().encode(s)
const text = (b: Uint8Array | undefined): string | undefined =>
  b === undefined ? undefined : new TextDecoder().decode(b)
const owner = { producerId: 1001, producerEpoch: 7, baseSequence: 3 }

/** Three records with headers, as a broker of Kafka 2 sent them. */
const captured = Buffer.from(
  '0000000000000000000000cd0000000002d6545568000000000002' +
    '0000015f88c172a90000015f88c172a9ffffffffffffffff00000000000000000003' +
    [0, 1, 2]
      .map(
        i =>
          `660000` +
          `0${i * 2}` +
          `0a${Buffer.from(`key-${i}`).toString('hex')}18${Buffer.from(`some-value-${i}`).toString('hex')}` +
          `0218${Buffer.from(`header-key-${i}`).toString('hex')}1c${Buffer.from(`header-value-${i}`).toString('hex')}`
      )
      .join(''),
  'hex'
)

void t.test('a batch of Kafka is understood, its check included', t => {
  const [batch, ...more] = decodeBatches(captured)
  t.equal(more.length, 0)
  t.match(batch, { baseOffset: 0, lastOffset: 2, producerId: -1, transactional: false, control: undefined })
  t.same(
    batch?.records.map(({ headers }) => headers?.map(({ name, value }) => [name, text(value)])),
    [0, 1, 2].map(i => [[`header-key-${i}`, `header-value-${i}`]])
  )
  t.same(
    batch?.records.map(({ offset, timestamp, key, value }) => [offset, timestamp, text(key), text(value)]),
    [0, 1, 2].map(i => [i, 0x15f88c172a9, `key-${i}`, `some-value-${i}`])
  )
  t.end()
})

const optionalBytes = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined })
const header = fc.record({ name: fc.string({ unit: 'grapheme' }), value: optionalBytes })
const record = fc.record(
  {
    timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
    key: optionalBytes,
    value: optionalBytes,
    headers: fc.array(header, { minLength: 1, maxLength: 4 })
  },
  { requiredKeys: ['timestamp', 'key', 'value'] }
)

void t.test('what is written here, the simulated broker reads', t => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), records => {
      const encoded = encodeBatch(records, owner)
      const read = readBatch({ topic: 't', partition: 1 }, encoded)
      const most = records.reduce((sum, each) => sum + recordSizeBytes(each), batchOverheadBytes)
      if (encoded.length > most) throw new Error(`${encoded.length} bytes, at most ${most} expected`)
      t.same(read.records, records)
      t.match(read, { ...owner, transactional: true, sizeBytes: encoded.length })
    }),
    { numRuns: 200 }
  )
  t.end()
})

void t.test('compressed, the records are what they were, and what would not become smaller is left alone', t => {
  const recordsAt = batchOverheadBytes
  const one = (value: Uint8Array): { readonly plain: Uint8Array; readonly packed: Uint8Array } => {
    const records = Array.from({ length: 50 }, (_, i) => ({ timestamp: i, key: bytes(`k${i}`), value }))
    return {
      plain: encodeBatch(records, owner),
      packed: encodeBatch(records, owner, { codec: 1, compress: part => gzipSync(part) })
    }
  }
  const { plain, packed } = one(bytes('the same again and again'))
  t.ok(packed.length < plain.length / 2)
  t.equal((packed[22] as number) & 7, 1)
  t.same(new Uint8Array(gunzipSync(packed.subarray(recordsAt))), plain.subarray(recordsAt))
  const header = Buffer.from(packed)
  t.equal(header.readUInt32BE(8), packed.length - 12)
  t.equal(header.readUInt32BE(17), crc32c(packed.subarray(21)))
  t.equal(header.readUInt32BE(57), 50, 'the count is not compressed')
  t.throws(() => decodeBatches(packed), { code: 'CORRUPT', message: /compression 1/ })

  const single = [{ timestamp: 1, key: undefined, value: new Uint8Array([1]) }]
  t.same(encodeBatch(single, owner, { codec: 1, compress: part => gzipSync(part) }), encodeBatch(single, owner))
  t.end()
})

const stored = (change: Partial<StoredBatch>): StoredBatch => ({
  baseOffset: 5,
  lastOffset: 6,
  leaderEpoch: 3,
  ...owner,
  transactional: true,
  control: undefined,
  appendedAt: 10,
  records: [],
  sizeBytes: 0,
  transaction: undefined,
  ...change
})

void t.test('what the simulated broker writes is understood here', t => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), records => {
      const lastOffset = 5 + records.length * 2
      const batch = stored({ lastOffset, records: records.map((each, i) => ({ ...each, offset: 5 + i * 2 })) })
      const [read] = decodeBatches(writeBatch(batch))
      t.same(read?.records, batch.records)
      t.match(read, { baseOffset: 5, lastOffset, ...owner, transactional: true })
    }),
    { numRuns: 200 }
  )
  for (const control of ['commit', 'abort'] as const)
    t.match(decodeBatches(writeBatch(stored({ control, lastOffset: 5 })))[0], { control, lastOffset: 5 })
  t.end()
})

void t.test('a batch that was cut off is left out, and damage is told', t => {
  const batch = encodeBatch([{ timestamp: 1, key: bytes('key'), value: bytes('value') }], owner)
  const two = Buffer.concat([batch, batch])
  for (let length = 0; length < two.length; length++)
    t.equal(decodeBatches(two.subarray(0, length)).length, Math.floor(length / batch.length))
  let told = 0
  for (let at = 0; at < batch.length; at++)
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Uint8Array.from(batch)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << bit)
      try {
        // The base offset and the leader's epoch are the broker's to set: they are not under the check.
        const read = decodeBatches(damaged)
        if (read.length > 0) t.ok(at < 8 || (at >= 12 && at < 16), `byte ${at}`)
      } catch (error) {
        if (!isCodedError(error)) throw error
        told++
      }
    }
  t.ok(told > 8 * (batch.length - 21))
  t.end()
})

const decoded = (baseOffset: number, producerId: number, change: Partial<DecodedBatch> = {}): DecodedBatch => ({
  baseOffset,
  lastOffset: baseOffset,
  producerId,
  producerEpoch: 0,
  baseSequence: 0,
  transactional: true,
  control: undefined,
  records:
    change.control === undefined
      ? [{ offset: baseOffset, timestamp: 0, key: undefined, value: bytes(`${baseOffset}`) }]
      : [],
  ...change
})

void t.test('read committed: aborted records are left out up to their marker, and no further', t => {
  const batches = [
    decoded(0, 1),
    decoded(1, 2),
    decoded(2, -1, { transactional: false }),
    decoded(3, 1, { control: 'abort' }),
    decoded(4, 2, { control: 'commit' }),
    decoded(5, 1),
    decoded(6, 1, { control: 'commit' })
  ]
  const seen = readCommitted(batches, [{ producerId: 1, firstOffset: 0 }], 0)
  t.same(
    seen.records.map(({ offset }) => offset),
    [1, 2, 5]
  )
  t.equal(seen.next, 7)
  t.same(
    readCommitted(batches, [{ producerId: 1, firstOffset: 0 }], 2).records.map(({ offset }) => offset),
    [2, 5],
    'whole batches may begin before the position'
  )
  t.equal(readCommitted([], [], 9).next, 9)
  t.end()
})
