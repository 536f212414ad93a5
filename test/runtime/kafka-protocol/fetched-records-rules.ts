/** What records that are read where they stand must be: those that are decoded one by one. */
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { FetchedRecords } from '../../../runtime/kafka-protocol/fetched-records.ts'
import { readCommitted } from '../../../runtime/kafka-protocol/read-committed.ts'
import { decodeBatches, encodeBatch, type KafkaRecord } from '../../../runtime/kafka-protocol/record-batch.ts'
import { crc32c } from '../../../runtime/kernel/crc32c.ts'
import { writeBatch } from '../../../simulations/broker/wire-batches.ts'

const optionalBytes = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined })
const header = fc.record({ name: fc.string({ unit: 'grapheme' }), value: optionalBytes })
const record: fc.Arbitrary<KafkaRecord> = fc.record(
  {
    timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
    key: optionalBytes,
    value: optionalBytes,
    headers: fc.array(header, { minLength: 1, maxLength: 4 })
  },
  { requiredKeys: ['timestamp', 'key', 'value'] }
)

interface Batch {
  readonly producerId: number
  readonly transactional: boolean
  readonly control: 'commit' | 'abort' | undefined
  readonly records: readonly KafkaRecord[]
  /** Offsets that compaction took, before each record and behind the last. */
  readonly gap: number
}
const batch: fc.Arbitrary<Batch> = fc.record({
  producerId: fc.integer({ min: 1, max: 3 }),
  transactional: fc.boolean(),
  control: fc.constantFrom(undefined, undefined, undefined, 'commit', 'abort'),
  records: fc.array(record, { minLength: 1, maxLength: 8 }),
  gap: fc.integer({ min: 0, max: 3 })
})

function written(batches: readonly Batch[]): Uint8Array {
  let offset = 0
  return Buffer.concat(
    batches.map(({ producerId, transactional, control, records, gap }) => {
      const baseOffset = offset
      const placed = control === undefined ? records.map(each => ({ ...each, offset: (offset += gap + 1) - 1 })) : []
      offset += 1
      return writeBatch({
        baseOffset,
        lastOffset: offset - 1,
        leaderEpoch: 3,
        producerId,
        producerEpoch: 0,
        baseSequence: 0,
        transactional: transactional || control !== undefined,
        control,
        appendedAt: 10,
        records: placed,
        sizeBytes: 0,
        transaction: undefined
      })
    })
  )
}

export const listOf = (read: FetchedRecords): object[] =>
  Array.from({ length: read.count }, (_, i) => {
    const headers = read.headers(i)
    return {
      offset: read.offset(i),
      timestamp: read.timestamp(i),
      key: read.key(i),
      value: read.value(i),
      ...(headers === undefined ? {} : { headers })
    }
  })

const plain = (list: readonly object[]): unknown =>
  JSON.parse(JSON.stringify(list, (_, value: unknown) => (Array.isArray(value) ? value : bytesOf(value))))
const bytesOf = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? [...value]
    : (value as { type?: string; data?: unknown } | null)?.type === 'Buffer'
      ? (value as { data: unknown }).data
      : value

const owner = { producerId: 7, producerEpoch: 0, baseSequence: 0 }
const some = (count: number): KafkaRecord[] =>
  Array.from({ length: count }, (_, i) => ({
    timestamp: 1_000 + i,
    key: new TextEncoder().encode(`k${i}`),
    value: new TextEncoder().encode('the same again and again')
  }))

/** @param Records the class of this build, or of one with a mistake in it */
export async function testFetchedRecords(t: Test, Records: typeof FetchedRecords): Promise<void> {
  await t.test('they are what is decoded and committed, from any position, gaps and aborted ones left out', async t =>
    testModel(t, Records)
  )

  await t.test('compressed batches among others; a compression that is not known is said', async t => {
    const packed = encodeBatch(some(50), owner, { codec: 1, compress: part => gzipSync(part) })
    const bytes = Buffer.concat([encodeBatch(some(3), owner), packed, encodeBatch(some(2), owner)])
    const gunzip = (codec: number, part: Uint8Array): Uint8Array | undefined =>
      codec === 1 ? gunzipSync(part) : undefined
    const read = new Records(bytes, [], 0, gunzip)
    t.equal(read.count, 55)
    const expected = [...some(3), ...some(50), ...some(2)]
    const order = [...expected.keys()].sort((a, b) => ((a * 7) % 55) - ((b * 7) % 55))
    t.same(
      order.map(i => [read.timestamp(i), plain([{ key: read.key(i), value: read.value(i) }])]),
      order.map(i => [expected[i]?.timestamp, plain([{ key: expected[i]?.key, value: expected[i]?.value }])]),
      'in any order'
    )
    t.throws(() => new Records(bytes, [], 0), { message: /codec 1/ })
  })

  await t.test('where the broker stamps records, its time counts', async t => {
    const bytes = Buffer.from(encodeBatch(some(3), owner))
    bytes.writeUInt16BE(bytes.readUInt16BE(21) | 8, 21)
    bytes.writeBigInt64BE(77_777n, 35)
    bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
    const read = new Records(bytes, [], 0)
    t.same([read.timestamp(0), read.timestamp(2)], [77_777, 77_777])
  })

  await t.test('a batch that was cut off is left out; damage is told, and nothing else happens', async t => {
    const one = encodeBatch(some(2), owner)
    const two = Buffer.concat([one, one])
    for (let length = 0; length < two.length; length++)
      t.equal(new Records(two.subarray(0, length), [], 0).count, 2 * Math.floor(length / one.length))
    for (let at = 21; at < one.length; at++) {
      const damaged = Buffer.from(one)
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at)
      t.throws(() => new Records(damaged, [], 0), { code: 'CORRUPT', message: /wrong check/ })
    }
    testDamage(one, Records)
  })
}

function testModel(t: Test, Records: typeof FetchedRecords): void {
  const aborted = fc.array(
    fc.record({ producerId: fc.integer({ min: 1, max: 3 }), firstOffset: fc.integer({ min: 0, max: 40 }) }),
    { maxLength: 4 }
  )
  fc.assert(
    fc.property(
      fc.array(batch, { maxLength: 6 }),
      aborted,
      fc.integer({ min: 0, max: 60 }),
      (batches, given, position) => {
        const bytes = written(batches)
        const { records, next } = readCommitted(decodeBatches(bytes), given, position)
        const read = new Records(bytes, given, position)
        t.same(plain(listOf(read)), plain(records))
        t.equal(read.next, next)
        const sizes = records.map(({ key, value }) => (key?.length ?? 0) + (value?.length ?? 0))
        t.same(
          sizes,
          sizes.map((_, i) => read.size(i))
        )
        t.equal(
          read.sizeBytes,
          sizes.reduce((sum, size) => sum + size, 0)
        )
      }
    ),
    { numRuns: 300, seed: 5 }
  )
}

function testDamage(one: Uint8Array, Records: typeof FetchedRecords): void {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 21, max: one.length - 1 }), fc.integer({ min: 0, max: 255 })), {
        minLength: 1,
        maxLength: 5
      }),
      changes => {
        const damaged = Buffer.from(one)
        for (const [at, byte] of changes) damaged[at] = byte
        // The check would notice most of it: what is behind it must hold by itself.
        damaged.writeUInt32BE(crc32c(damaged.subarray(21)), 17)
        try {
          listOf(new Records(damaged, [], 0, (_, part) => part))
        } catch (error) {
          // By its name: a patched build has a class of its own.
          if ((error as Error).name !== 'CodedError') throw error
        }
      }
    ),
    { numRuns: 3000 }
  )
}
