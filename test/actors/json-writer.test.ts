import fc from 'fast-check'
import t from 'tap'
import { json } from '../../actors/codecs.ts'
import { writeJson } from '../../actors/json-writer.ts'
import { ByteWriter } from '../../runtime/kernel/bytes.ts'
import { testMistakes } from '../support/planted.ts'

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
      const bytes = writeJson(value, target, 0)
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
    fc.property(anyNumber, number => read(writeJson(number, target, 0)) === JSON.stringify(number)),
    { numRuns: 5000 }
  )
  for (const number of edges) t.equal(read(writeJson(number, target, 0)), JSON.stringify(number))
  t.end()
})

void t.test('what has no room is not written, wherever it ends', t => {
  const row = { id: 12, note: 'a "quoted" ü', list: [1.5, true, null], text: 'plain' }
  const length = Buffer.byteLength(JSON.stringify(row))
  for (let room = 0; room < length; room++) t.equal(writeJson(row, new Uint8Array(room), 0), -1)
  t.equal(read(writeJson(row, target, 0)), JSON.stringify(row))
  t.end()
})

void t.test('what only JSON.stringify can write, or refuse, is left to it', t => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  const classed = new (class {
    a = 1
  })()
  for (const value of [circle, classed, 1n, { a: 1n }, undefined, new Date(0), [new Date(0)], Object.create({ a: 1 })])
    t.equal(writeJson(value, target, 0), -1)
  t.throws(() => json().encode(undefined), TypeError)
  t.throws(() => json().encode(circle), TypeError)
  t.end()
})

void t.test('it stands behind what was written before, whatever wrote it', t => {
  for (const memory of [1, 20, 4096]) {
    const writer = new ByteWriter(memory)
    const values = [{ a: 'x', b: [1, -2, 0.5] }, { at: new Date(0) }, { a: 'x'.repeat(500), b: 'ü' }]
    for (const value of values) json().encodeTo?.(value, writer)
    t.equal(Buffer.from(writer.take()).toString(), values.map(value => JSON.stringify(value)).join(''))
  }
  t.end()
})

testMistakes(
  'it is noticed that',
  'actors/json-writer.js',
  {
    'text is not escaped': ['code === quote || code === backslash', 'code === quote'],
    'the lower digits of a large number lose their zeros': [
      '| 0, 9, target',
      '| 0, digitsOf(rest - high * 1e9), target'
    ],
    'a sign is lost': ['rest < 0', 'rest < -1e9'],
    'toJSON is passed over': ['value.toJSON !== undefined', 'value.toJSON === 0'],
    'a comma stands where nothing was written before': ['if (at !== from + 1)', 'if (true)'],
    'the class of an object is not asked for': ['Object.getPrototypeOf(value) !== Object.prototype', 'false']
  },
  async (t, load) => {
    const { encodeTo } = (await load<{ json: typeof json }>('actors/codecs.js')).json<unknown>()
    const check = (each: unknown): void => {
      const [writer, text] = [new ByteWriter(4096), JSON.stringify(each) as string | undefined]
      if (text === undefined) return
      encodeTo?.(each, writer)
      if (Buffer.from(writer.view()).toString() !== text) throw new Error(`it is not ${text}`)
    }
    t.throws(() => {
      fc.assert(fc.property(value, check), { numRuns: 5000 })
      check(Object.create({ a: 1 }))
    })
  }
)
