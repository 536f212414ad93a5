import fc from 'fast-check'
import t from 'tap'
import { ByteReader, ByteWriter } from '../../../runtime/kernel/bytes.ts'

/** Short and long, of ASCII alone and of everything, lone surrogates among it. */
const length = { maxLength: 160, size: 'max' } as const
const ascii = fc.string({ unit: 'binary-ascii', ...length })
const wellFormed = fc.string({ unit: 'binary', ...length })
const units = fc.array(fc.integer({ min: 0, max: 0xffff }), length).map(list => String.fromCharCode(...list))
const almostAscii = fc.tuple(ascii, fc.constantFrom('', 'ü', '€', '😀', '\ud83d', '\ude00'), ascii)
const text = fc.oneof(
  ascii,
  wellFormed,
  units,
  almostAscii.map(parts => parts.join(''))
)

void t.test('text comes back exactly, whatever its length and whatever it holds', t => {
  fc.assert(
    fc.property(text, fc.nat(3), text, (first, before, second) => {
      const writer = new ByteWriter(8)
      for (let i = 0; i < before; i++) writer.u8(0xff)
      writer.string(first)
      const at = writer.length
      writer.text(second)
      const reader = new ByteReader(writer.take(), before)
      return reader.string() === first && reader.offset === at && reader.text(reader.remaining) === second
    }),
    { numRuns: 3000 }
  )
  t.end()
})

void t.test('text whose length takes more bytes than its characters promise keeps its first character', t => {
  for (const [letter, count] of [
    ['ࠀ', 43],
    ['ü', 64],
    ['ü', 127],
    ['ü', 8192],
    ['😀', 32]
  ] as const) {
    const writer = new ByteWriter()
    writer.string(letter.repeat(count))
    t.equal(new ByteReader(writer.take()).string(), letter.repeat(count))
  }
  t.end()
})

void t.test('well-formed text has the bytes of UTF-8, with and without its length before it', t => {
  fc.assert(
    fc.property(wellFormed, each => {
      const utf8 = Buffer.from(each)
      const expected = new ByteWriter()
      expected.block(utf8)
      expected.bytes(utf8)
      const written = new ByteWriter(8)
      written.string(each)
      written.text(each)
      return Buffer.compare(written.view(), expected.view()) === 0
    }),
    { numRuns: 3000 }
  )
  t.end()
})

void t.test('a lone surrogate is three bytes, in long text, too', t => {
  for (const around of ['', 'x'.repeat(100)]) {
    const writer = new ByteWriter()
    writer.text(`${around}\ud800${around}`)
    t.same(
      [...writer.take()].filter(byte => byte !== 0x78),
      [0xed, 0xa0, 0x80]
    )
  }
  t.end()
})

void t.test('what is taken is a copy, large or small', t => {
  for (const size of [10, 100_000]) {
    const writer = new ByteWriter()
    for (let i = 0; i < size; i++) writer.u8(i)
    const taken = writer.take()
    writer.reset()
    for (let i = 0; i < size; i++) writer.u8(0)
    t.equal(taken.length, size)
    t.ok(taken.every((byte, i) => byte === (i & 0xff)))
  }
  t.end()
})
