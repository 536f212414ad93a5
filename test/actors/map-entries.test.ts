import fc from 'fast-check'
import t from 'tap'
import {
  checkedMapKey,
  compareMapKeys,
  decodeMapKey,
  isPlainEntry,
  readMapEntry,
  writeMapEntry,
  writeMapKey,
  type MapKey
} from '../../actors/map-entries.ts'
import { encodeValue } from '../../actors/state-codec.ts'
import { ByteWriter, compareBytes } from '../../runtime/kernel/bytes.ts'

/** Units around the places where the order of UTF-16 and of code points part. */
const unit = fc.constantFrom(0x00, 0x41, 0x7f, 0x80, 0x7ff, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff)
const units = fc.array(unit, { maxLength: 5 }).map(list => String.fromCharCode(...list))
const number = fc.oneof(fc.double({ noNaN: true }), fc.integer(), fc.constantFrom(0, -0, Infinity, -Infinity))
const key: fc.Arbitrary<MapKey> = fc.oneof(units, fc.string({ unit: 'binary' }), number)

const bytesOf = (key: MapKey): Uint8Array => {
  const writer = new ByteWriter()
  writeMapKey(checkedMapKey(key), writer)
  return writer.take()
}

void t.test('the order of map keys is that of their bytes', t => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      const [x, y] = [checkedMapKey(a), checkedMapKey(b)]
      return Math.sign(compareMapKeys(x, y)) === Math.sign(compareBytes(bytesOf(a), bytesOf(b)))
    }),
    { numRuns: 20_000 }
  )
  t.end()
})

void t.test('a map key comes back from its bytes, −0 as 0', t => {
  fc.assert(fc.property(key, each => Object.is(decodeMapKey(bytesOf(each)), checkedMapKey(each))))
  t.ok(Object.is(checkedMapKey(-0), 0))
  t.throws(() => decodeMapKey(Uint8Array.of(3, 1)), { code: 'CORRUPT' })
  t.throws(() => decodeMapKey(Uint8Array.of(...bytesOf(1), 0)), { code: 'CORRUPT' })
  for (const wrong of [NaN, true, null, undefined, 1n, {}]) t.throws(() => checkedMapKey(wrong), TypeError)
  t.end()
})

void t.test('an entry that stands for itself has the bytes of its value, and comes back', t => {
  const plain = fc.oneof(number, fc.constant(NaN), units, fc.boolean(), fc.bigInt(), fc.constant(null))
  fc.assert(
    fc.property(plain, value => {
      const [written, expected] = [new ByteWriter(), new ByteWriter()]
      writeMapEntry(value, written)
      expected.f64(Infinity)
      encodeValue(value, expected, 'value')
      return (
        isPlainEntry(value) &&
        compareBytes(written.view(), expected.view()) === 0 &&
        Object.is(readMapEntry(written.view()), value)
      )
    })
  )
  t.end()
})

void t.test('an entry that expires, and one that could change, are kept as bytes of their own', t => {
  for (const [expires, value] of [
    [1000, 7],
    [Infinity, { n: 7 }],
    [Infinity, new Uint8Array(3)]
  ] as const) {
    const record = new ByteWriter()
    record.f64(expires)
    encodeValue(value, record, 'value')
    const bytes = record.take()
    const entry = readMapEntry(record.view())
    record.raw.fill(0)
    t.same(entry, bytes)
    const again = new ByteWriter()
    writeMapEntry(entry, again)
    t.same(again.view(), bytes)
  }
  t.end()
})
