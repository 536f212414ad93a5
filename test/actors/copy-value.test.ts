/** A copy is what the state codec would give back, and what the codec refuses is refused. */
import t from 'tap'
import { copyValue } from '../../actors/copy-value.ts'
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'
import { Prng } from '../../runtime/kernel/prng.ts'

const stored = (value: unknown): unknown => {
  const writer = new ByteWriter()
  encodeValue(value, writer, 'value')
  return decodeValue(new ByteReader(writer.take()))
}

function randomValue(random: Prng, depth: number): unknown {
  const inner = (): unknown => randomValue(random, depth + 1)
  const list = (): unknown[] => Array.from({ length: random.int(4) }, inner)
  switch (random.int(depth > 3 ? 8 : 13)) {
    case 0:
      return undefined
    case 1:
      return null
    case 2:
      return random.int(2) === 0
    case 3:
      return [0, -0, NaN, -Infinity, 1.5, 2 ** 60][random.int(6)]
    case 4:
      return `text ${random.int(100)} \ud800`
    case 5:
      return BigInt(random.int(1000)) << 70n
    case 6:
      return new Date(random.int(1e9))
    case 7:
      return new Uint8Array([1, 2, random.int(256)])
    case 8:
      return list()
    case 9:
      return new Map(list().map((item, i) => [random.int(2) === 0 ? `k${i}` : { i }, item]))
    case 10:
      return new Set(list())
    case 11:
      return Object.assign(Object.create(null) as object, { a: inner() })
    default:
      return Object.fromEntries(list().map((item, i) => [i === 3 ? '__proto__' : `f${i}`, item]))
  }
}

void t.test('a copy is equal to what was stored and read, and shares nothing', t => {
  for (let seed = 0; seed < 500; seed++) {
    const value = randomValue(new Prng(`copy ${seed}`), 0)
    const copy = copyValue(value, 'value')
    t.strictSame(copy, stored(value), `seed ${seed}`)
    if (typeof value === 'object' && value !== null) t.not(copy, value)
  }
  const hidden = { inner: Object.defineProperty({}, 'n', { value: 1 }) }
  t.strictSame(copyValue(hidden, 'value'), { inner: { n: 1 } })
  const item = { n: 1 }
  const copy = copyValue({ list: [item] }, 'value') as { list: { n: number }[] }
  item.n = 2
  t.equal(copy.list[0]?.n, 1)
  t.end()
})

void t.test('what cannot be stored cannot be copied', t => {
  class Own {
    n = 1
  }
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const shared = { n: 1 }
  let deep: unknown = 1
  for (let i = 0; i < 80; i++) deep = [deep]
  const refused: Readonly<Record<string, unknown>> = {
    'a function': { list: [() => 1] },
    'a symbol': [Symbol('s')],
    'an instance': { own: new Own() },
    'a cycle': cycle,
    'what stands in two places': { a: shared, b: [shared] },
    'what stands in two places of a map': new Map([
      ['a', shared],
      ['b', shared]
    ]),
    'a computed field': {
      inner: {
        get n() {
          return 1
        }
      }
    },
    'a computed field beside an object': {
      inner: {},
      get n() {
        return 1
      }
    },
    'a field named by a symbol': [{ [Symbol('s')]: 1 }],
    'a hole': [1, , 3],
    'more than elements': Object.assign([1], { index: 0 }),
    'too deep': deep
  }
  for (const [name, value] of Object.entries(refused)) {
    t.throws(() => copyValue(value, 'Actor.field'), { code: 'VALUE_NOT_STORABLE' }, name)
    t.throws(() => stored(value), { code: 'VALUE_NOT_STORABLE' }, name)
  }
  t.end()
})
