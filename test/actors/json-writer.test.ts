import fc from 'fast-check'
import t from 'tap'
import { json } from '../../actors/codecs.ts'
import { writeJson } from '../../actors/json-writer.ts'

const target = new Uint8Array(4096)
const read = (bytes: number): string => new TextDecoder('utf-8', { fatal: true }).decode(target.subarray(0, bytes))

const oddText = fc.constantFrom(
  '',
  '"',
  '\\',
  '\u007f',
  '\u0000',
  'ü',
  '€',
  '\ud800',
  '\udc00x',
  '😀',
  'x'.repeat(300),
  '__proto__'
)
const anyText = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), oddText)
const edges = [
  -0,
  999_999_999,
  1e9,
  1e9 + 1,
  -1e15,
  2 ** 53 - 1,
  2 ** 53,
  1e21,
  1e-7,
  NaN,
  Infinity,
  2 ** 31,
  -(2 ** 31)
]
const anyNumber = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double(), fc.constantFrom(...edges))
const other = fc.constantFrom(
  undefined,
  null,
  true,
  false,
  Symbol('s'),
  () => 1,
  new Date(0),
  new Map(),
  [],
  {},
  Object(1)
)
const { value } = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    anyText,
    anyNumber,
    other,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(anyText, tie('value'), { maxKeys: 4 }),
    fc.record({ toJSON: fc.constantFrom(1, undefined, () => 'own'), a: tie('value') })
  )
}))

void t.test('what is written is what JSON.stringify writes', t => {
  let written = 0
  fc.assert(
    fc.property(value, value => {
      const text = JSON.stringify(value) as string | undefined
      const bytes = writeJson(value, target)
      if (bytes < 0) return
      written++
      if (read(bytes) !== text) throw new Error(`${read(bytes)} is not ${text}`)
    }),
    { numRuns: 5000 }
  )
  t.ok(written > 1000)
  t.end()
})

void t.test('numbers are written as JSON.stringify writes them', t => {
  fc.assert(
    fc.property(anyNumber, number => read(writeJson(number, target)) === JSON.stringify(number)),
    { numRuns: 5000 }
  )
  for (const number of edges) t.equal(read(writeJson(number, target)), JSON.stringify(number))
  t.end()
})

void t.test('what has no room is not written, wherever it ends', t => {
  const row = { id: 12, note: 'a "quoted" ü', list: [1.5, true, null], text: 'plain' }
  const length = Buffer.byteLength(JSON.stringify(row))
  for (let room = 0; room < length; room++) t.equal(writeJson(row, new Uint8Array(room)), -1)
  t.equal(read(writeJson(row, target)), JSON.stringify(row))
  t.end()
})

void t.test('what only JSON.stringify can write, or refuse, is left to it', t => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  const classed = new (class {
    a = 1
  })()
  for (const value of [circle, classed, 1n, { a: 1n }, undefined, new Date(0), [new Date(0)], Object.create({ a: 1 })])
    t.equal(writeJson(value, target), -1)
  t.throws(() => json().encode(undefined), TypeError)
  t.throws(() => json().encode(circle), TypeError)
  t.end()
})
