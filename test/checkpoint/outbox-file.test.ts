import fc from 'fast-check'
import t from 'tap'
import { ByteWriter } from '../../runtime/kernel/bytes.ts'
import { murmur2 } from '../../runtime/kernel/murmur2.ts'
import { decodeChunk, OutboxFileWriter, type OutboxRecord } from '../../checkpoint/outbox-file.ts'

const bytes = fc.uint8Array({ maxLength: 300 })
const part = fc.option(bytes, { nil: undefined })
const headers = fc.array(fc.record({ name: fc.string({ maxLength: 5 }), value: part }), { minLength: 1, maxLength: 2 })
const plain = { partition: fc.nat(500), timestamp: fc.nat(), key: part, value: part }
const record: fc.Arbitrary<OutboxRecord> = fc.oneof(fc.record(plain), fc.record({ ...plain, headers }))
const written = fc.array(fc.record({ sink: fc.constantFrom('a', 'b'), slot: fc.nat(2), record }), { maxLength: 30 })
type Written = typeof written extends fc.Arbitrary<infer T> ? T : never

function add(outbox: OutboxFileWriter, all: Written): void {
  for (const { sink, slot, record } of all) outbox.append(sink, slot, record)
}

/** What a file holds for each slot. */
function readBack(outbox: OutboxFileWriter): Map<string, OutboxRecord[]> {
  const { bytes, sections } = outbox.finish()
  const found = new Map<string, OutboxRecord[]>()
  let end = 0
  for (const { sink, slot, chunks } of sections)
    for (const { offset, length, records, last } of chunks) {
      if (offset !== end) throw new Error('a gap between chunks')
      end = offset + length
      const decoded = decodeChunk(bytes.subarray(offset, end), 'f')
      if (decoded.length !== records || last !== (chunks.at(-1)?.offset === offset)) throw new Error('a wrong index')
      found.set(`${sink}/${slot}`, [...(found.get(`${sink}/${slot}`) ?? []), ...decoded])
    }
  if (end !== bytes.length) throw new Error('bytes that no chunk holds')
  return found
}

function bySlot(all: Written): Map<string, OutboxRecord[]> {
  const expected = new Map<string, OutboxRecord[]>()
  for (const { sink, slot, record } of all)
    expected.set(`${sink}/${slot}`, [...(expected.get(`${sink}/${slot}`) ?? []), record])
  return expected
}

void t.test('an outbox holds what was added for each slot, in order, and again after an epoch was abandoned', t => {
  fc.assert(
    fc.property(written, written, written, (first, meanwhile, later) => {
      const outbox = new OutboxFileWriter()
      add(outbox, first)
      const next = new OutboxFileWriter()
      add(next, meanwhile)
      t.same(readBack(outbox), bySlot(first))
      add(next, later)
      outbox.absorb(next)
      t.same(readBack(outbox), bySlot([...first, ...meanwhile, ...later]))
      add(outbox, first)
      const another = new OutboxFileWriter()
      add(another, later)
      t.same(readBack(another), bySlot(later))
      t.same(readBack(outbox), bySlot([...first, ...meanwhile, ...later, ...first]))
    }),
    { numRuns: 100 }
  )
  t.end()
})

void t.test('chunks end at a megabyte, and a record may be larger', t => {
  const outbox = new OutboxFileWriter()
  const sizes = [700_000, 700_000, 3_000_000, 10, 10]
  for (const [i, size] of sizes.entries())
    outbox.append('a', 0, { partition: 0, timestamp: i, key: undefined, value: new Uint8Array(size).fill(i) })
  const { bytes, sections } = outbox.finish()
  const chunks = sections[0]?.chunks ?? []
  t.same(
    chunks.map(({ records }) => records),
    [2, 1, 2]
  )
  const records = chunks.flatMap(({ offset, length }) => decodeChunk(bytes.subarray(offset, offset + length), 'f'))
  for (const [i, { value }] of records.entries()) {
    t.equal(value?.length, sizes[i])
    t.ok(value?.every(byte => byte === i))
  }
  t.same(outbox.finish().bytes, bytes)
  t.end()
})

void t.test('a key and a value that were just written are the same as bytes', t => {
  const record = { partition: 1, timestamp: 5, value: new TextEncoder().encode('v') }
  for (const text of [
    '',
    'k',
    'ü',
    'x'.repeat(49),
    'x'.repeat(200),
    '\ud800!',
    `${'x'.repeat(47)}€`,
    '\ud83d\ude00'.repeat(30)
  ]) {
    const bytes = new TextEncoder().encode(text)
    const key = new ByteWriter(1)
    key.u8(7)
    key.utf8(text)
    t.same(key.take(), Uint8Array.of(7, ...bytes))
    key.reset()
    key.utf8(text)
    const value = new ByteWriter(1)
    value.utf8('v')
    const [written, given] = [new OutboxFileWriter(), new OutboxFileWriter()]
    written.appendWritten('a', 0, 1, 5, key, value, undefined)
    given.append('a', 0, { ...record, key: bytes })
    t.same(written.finish(), given.finish())
    t.equal(murmur2(key.raw, key.length), murmur2(bytes))
  }
  t.end()
})
