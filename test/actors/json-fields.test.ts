import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { json, type Codec, type FieldTypes } from '../../actors/index.ts'
import { everyType, orNull, picked, type Declared } from '../support/picked-json.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const types = everyType(type => json.nullable(type)) as FieldTypes
const declared = everyType(orNull) as Declared
const codec = json.fields(types)

const space = fc.constantFrom('', '', '', '', ' ', '\n', '\t', ' \r\n  ')
/** A character as it may stand in JSON: itself, or escaped in one of the ways. */
const character = fc
  .tuple(
    fc.constantFrom(
      ...'aZ0/"\\\n\t\u0000\u001f\u007füß€日😀\ud800\udc00\ufeff\u2028'.split(''),
      'plain text of some length',
      '😀'
    ),
    fc.nat(5)
  )
  .map(([raw, how]) => {
    const escaped = JSON.stringify(raw).slice(1, -1)
    const units = [...Array(raw.length).keys()].map(i => raw.charCodeAt(i).toString(16).padStart(4, '0'))
    if (how === 0) return units.map(unit => `\\u${unit}`).join('')
    if (how === 1) return units.map(unit => `\\u${unit.toUpperCase()}`).join('')
    return raw === '/' && how === 2 ? '\\/' : escaped
  })
const string = fc.array(character, { maxLength: 6 }).map(parts => `"${parts.join('')}"`)
const number = fc.oneof(
  fc.constantFrom(
    '0',
    '-0',
    '-0.0',
    '0e5',
    '1E+2',
    '1e400',
    '-1e-400',
    '9007199254740993',
    '123456789012345.6',
    '0.1',
    '5e-324'
  ),
  fc.constantFrom('1.7976931348623157e308', '999999999999999', '0.000000000000001', '2.2250738585072011e-308', '1e23'),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.nat(), fc.stringMatching(/^[0-9]{1,20}$/)).map(([whole, fraction]) => `${whole}.${fraction}`)
)
const { value } = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 3 },
    number,
    string,
    fc.constantFrom('true', 'false', 'null'),
    tie('list'),
    tie('object')
  ),
  list: fc
    .tuple(space, fc.array(tie('value'), { maxLength: 3 }), space)
    .map(([a, items, b]) => `[${a}${items.join(`${b},${a}`)}${b}]`),
  object: fc
    .tuple(space, fc.array(fc.tuple(string, tie('value')), { maxLength: 3 }), space)
    .map(
      ([a, fields, b]) =>
        `{${a}${fields.map(([name, value]) => `${name}${b}:${a}${value as string}`).join(`${a},${b}`)}${b}}`
    )
})) as { value: fc.Arbitrary<string> }

/** Of that type, most of the time. */
function valueOf(type: Declared): fc.Arbitrary<string> {
  return fc.oneof({ weight: 12, arbitrary: rightValueOf(type) }, { weight: 1, arbitrary: value })
}
function rightValueOf(type: Declared): fc.Arbitrary<string> {
  if (type === 'number') return number
  if (type === 'integer') return fc.integer().map(String)
  if (type === 'string') return string
  if (type === 'boolean') return fc.constantFrom('true', 'false')
  if (typeof type === 'string') return value
  if ('type' in type) return fc.oneof(fc.constant('null'), valueOf(type.type as Declared))
  return objectOf(type as { readonly [name: string]: Declared })
}
/** Fields as declared, some missing, some twice, some of others among them, in order or not. */
function objectOf(types: { readonly [name: string]: Declared }): fc.Arbitrary<string> {
  const fields = Object.entries(types).map(([name, type]) => {
    const key = name.endsWith('?') ? name.slice(0, -1) : name
    const written = fc.oneof(
      { weight: 12, arbitrary: fc.constant(JSON.stringify(key)) },
      {
        weight: 1,
        arbitrary: fc.constant(
          `"${[...Array(key.length).keys()].map(i => `\\u${key.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
        )
      }
    )
    const times = name.endsWith('?') ? fc.constantFrom(0, 1) : fc.constant(1)
    return fc
      .tuple(written, fc.array(valueOf(type), { minLength: 2, maxLength: 2 }), times, fc.nat(20))
      .map(([key, values, times, twice]) =>
        values.slice(0, twice === 0 ? 2 : times).map(value => [key, value] as const)
      )
  })
  const others = fc.array(fc.tuple(fc.oneof(string, fc.constant('"__proto__"')), value), { maxLength: 2 })
  return fc.tuple(fc.tuple(...fields), others, space, space, fc.boolean()).chain(([fields, others, a, b, ordered]) => {
    const all = [...fields.flat(), ...others]
    const order = ordered ? fc.constant(all) : fc.shuffledSubarray(all, { minLength: all.length })
    return order.map(all => `{${a}${all.map(([name, value]) => `${name}${b}:${a}${value}`).join(`${b},${a}`)}${b}}`)
  })
}
const text = fc
  .tuple(
    fc.constantFrom('', '', '', '\ufeff'),
    space,
    objectOf(declared as { readonly [name: string]: Declared }),
    space
  )
  .map(parts => parts.join(''))

/** Some things done to bytes, each at a part of their length. */
const damage = fc.array(
  fc.tuple(fc.nat(3), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)),
  { maxLength: 2 }
)
function damaged(bytes: Uint8Array, changes: readonly (readonly [number, number, number])[]): Uint8Array {
  let now = Buffer.from(bytes)
  for (const [how, part, byte] of changes) {
    const at = Math.floor(part * now.length)
    if (how === 0) now = now.subarray(0, at)
    else if (how === 1) now = Buffer.concat([now.subarray(0, at), Uint8Array.of(byte), now.subarray(at)])
    else if (how === 2) now = Buffer.concat([now.subarray(0, at), now.subarray(at + 1)])
    else if (at < now.length) now[at] = (now[at] as number) ^ (1 << (byte & 7))
  }
  return now
}

/** What is wrong with the answer. */
function wrong(bytes: Uint8Array): string | undefined {
  const expected = picked(declared, bytes)
  let value: unknown
  try {
    value = codec.decode(bytes)
  } catch (error) {
    return expected === undefined ? undefined : `refused: ${(error as Error).message}`
  }
  if (expected === undefined) return 'took what must be refused'
  if (!isDeepStrictEqual(value, expected.value)) return 'made another value'
  return Object.keys(value as object).join() === Object.keys(expected.value as object).join()
    ? undefined
    : 'in another order'
}

void t.test('whatever the text, the fields are those of JSON.parse, and what it refuses is refused', t => {
  let taken = 0
  fc.assert(
    fc.property(text, damage, (text, changes) => {
      const bytes = damaged(bytesOf(text), changes)
      if (picked(declared, bytes) !== undefined) taken++
      const what = wrong(bytes)
      if (what !== undefined) throw new Error(what)
    }),
    { numRuns: 2000 }
  )
  t.ok(taken > 200, `${taken} are taken`)
  t.end()
})

/** What it makes, and how often JSON.parse was asked meanwhile. */
function counted(codec: Codec<unknown>, text: string): { value: unknown; parses: number } {
  const { parse } = JSON
  let parses = 0
  JSON.parse = (text: string): unknown => (parses++, parse(text))
  try {
    return { value: codec.decode(bytesOf(text)), parses }
  } finally {
    JSON.parse = parse
  }
}

void t.test('what is not declared is passed over, whatever stands in it; JSON.parse is not asked', t => {
  const order = json.fields({ id: 'string', cents: 'integer', 'note?': 'string', customer: { name: 'string' } })
  const rest = '"more": [{"a": [[], {}, -1.5e-7, "\\u00fc\\"", true, null, "日本"]}], "note2": false'
  for (const text of [
    '{"id":"a","cents":5,"customer":{"name":"n"}}',
    `{"id":"a",${rest},"cents":5,"customer":{"x":{},"name":"n","y":"z"}}`,
    ` {"customer" :\n{ "name": "n" } , ${rest} , "cents" :\t5 , "id": "a"}\r\n`,
    '{"id":"b","id":"a","cents":7,"cents":5,"customer":{"name":"m"},"customer":{"name":"n"}}'
  ])
    t.same(counted(order, text), { value: { id: 'a', cents: 5, customer: { name: 'n' } }, parses: 0 }, text)
  t.same(Object.keys(order.decode(bytesOf('{"customer":{"name":""},"note":"x","cents":1,"id":""}'))), [
    'id',
    'cents',
    'note',
    'customer'
  ])
  t.end()
})

void t.test(
  'texts with more fields than are learnt by heart, and with names that never come again, are read as all others',
  t => {
    const codec = json.fields({ a: 'number', 'b?': 'number' })
    for (let i = 0; i < 300; i++) {
      const others = Array.from({ length: 9 }, (_, j) => `"${'long'.repeat(j * 9)}${i * j}":${i}`).join()
      t.same(counted(codec, `{${others},"a":${i},${others}}`), { value: { a: i }, parses: 0 })
      t.same(counted(codec, `{"b":1,${others},"a":${i}}`), { value: { a: i, b: 1 }, parses: 0 })
    }
    t.end()
  }
)

void t.test('what the fields have learnt of one text lets nothing wrong through in the next', t => {
  const codec = json.fields({ 'a?': 'number', 'b?': 'number' })
  const decode = (text: string): unknown => codec.decode(bytesOf(text))
  decode('{"a":1,"b":2,"c":3}')
  decode('{"c":1,"a":2}')
  for (const text of [
    '{"a":1"b":2}',
    '{,"b":2}',
    '{"a":1,}',
    '{"a":1,,"b":2}',
    '{"a":1 "c":3}',
    '{"a"1}',
    '{"a":1,"b":2',
    '{"a":'
  ])
    t.throws(() => decode(text), SyntaxError, text)
  t.same(decode('{"b":2,"a":1}'), { a: 1, b: 2 })
  t.end()
})

void t.test('a text that is too long to be copied, and one that is nested deeply, are read as all others', t => {
  const codec = json.fields({ a: 'number' })
  const long = 'x'.repeat(300_000)
  t.same(counted(codec, `{"b":"${long}","a":1}`), { value: { a: 1 }, parses: 1 })
  t.same(counted(codec, `{"b":"${long.slice(50_000)}","a":1}`), { value: { a: 1 }, parses: 0 })
  const deep = 100_000
  t.same(counted(codec, `{"b":${'['.repeat(deep)}${']'.repeat(deep)},"a":1}`), { value: { a: 1 }, parses: 0 })
  t.throws(() => codec.decode(bytesOf(`{"b":${'[{"x":'.repeat(deep)}`)), SyntaxError)
  t.end()
})

void t.test('what is missing or of another type is told with its path, all at once', t => {
  const codec = json.fields({
    id: 'integer',
    seller: { name: 'string', tags: json.nullable('json') },
    'paid?': 'boolean',
    extra: json.nullable({ a: 'number' })
  })
  const message = (value: unknown): string => {
    try {
      codec.decode(bytesOf(JSON.stringify(value)))
      return ''
    } catch (error) {
      t.ok(error instanceof TypeError)
      return (error as Error).message
    }
  }
  const right = { id: 1, seller: { name: 'x', tags: [1] }, extra: null }
  t.equal(message(right), '')
  t.equal(message({ ...right, id: 1.5 }), 'id: 1.5 where an integer is declared')
  t.equal(message({ ...right, id: 2 ** 53 }), 'id: 9007199254740992 where an integer is declared')
  t.equal(
    message({ seller: { name: null }, paid: 'yes', extra: { a: [] } }),
    'id: missing where an integer is declared; seller.name: null where a string is declared; ' +
      'seller.tags: missing where a value or null is declared; paid: "yes" where a boolean is declared; ' +
      'extra.a: a list where a number is declared'
  )
  t.equal(
    message({ ...right, seller: 'a'.repeat(99), extra: 5 }),
    `seller: "${'a'.repeat(40)}…" where an object is declared; extra: 5 where an object or null is declared`
  )
  t.equal(message({ ...right, paid: {} }), 'paid: an object where a boolean is declared')
  t.equal(message([right]), 'a list where an object is declared')
  t.equal(message(null), 'null where an object is declared')
  t.throws(() => codec.decode(bytesOf('{"id":1')), SyntaxError)
  t.throws(() => codec.decode(Uint8Array.of(0x7b, 0x22, 0xff)), { code: 'ERR_ENCODING_INVALID_ENCODED_DATA' })
  t.end()
})

void t.test('writes as json() does', t => {
  const codec = json.fields({ id: 'number', 'note?': 'string' })
  const value: { id: number; note?: string } = { id: 1, note: 'ü' }
  t.same(codec.encode(value), bytesOf('{"id":1,"note":"ü"}'))
  t.same(codec.encode({ ...value, more: 1 } as never), bytesOf('{"id":1,"note":"ü","more":1}'))
  t.same(codec.decode(codec.encode(value)), value)
  t.equal(codec.name, json().name)
  t.end()
})

void t.test('what cannot be declared is told at once', t => {
  const declare = (types: unknown) => () => json.fields(types as FieldTypes)
  t.throws(declare({ a: 'text' }), { message: /^json.fields: a is declared as "text", not as number, / })
  t.throws(declare({ a: { b: ['number'] } }), { message: /^json.fields: a.b is declared as a list, / })
  t.throws(declare({ a: json.nullable(undefined as never) }), { message: /^json.fields: a is declared as undefined, / })
  t.throws(declare({ a: { b: 'number', 'b?': 'string' } }), { message: 'json.fields: a.b is declared twice' })
  t.throws(declare({ ['__proto__']: 'number' }), { message: 'json.fields: __proto__ is no name for a field' })
  t.end()
})
