import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import fc from 'fast-check'
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import { defineActor } from '../../actors/definition.ts'
import { Actor, type ActorClass } from '../../actors/actor.ts'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'
import { isCodedError } from '../../runtime/kernel/errors.ts'

const roundTrip = (value: unknown): unknown => {
  const writer = new ByteWriter()
  encodeValue(value, writer, 'value')
  const reader = new ByteReader(writer.take())
  const back = decodeValue(reader)
  reader.expectEnd()
  return back
}

const storable = fc.letrec(tie => ({
  leaf: fc.oneof(
    fc.constantFrom(undefined, null, NaN, Infinity, -Infinity, -0, '\ud800', '__proto__'),
    fc.double(),
    fc.bigInt(),
    fc.string(),
    fc.boolean(),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array()
  ),
  value: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4, noNullPrototype: false }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(entries => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map(items => new Set(items))
  )
})).value

void t.test('decode(encode(x)) is x for everything that can be stored', t => {
  fc.assert(
    fc.property(storable, value => {
      try {
        deepStrictEqual(roundTrip(value), value)
      } catch (error) {
        if (isCodedError(error) && error.code === 'VALUE_NOT_STORABLE') return // the generator repeated an object
        throw error
      }
    }),
    { numRuns: 3000 }
  )
  t.end()
})

void t.test('an invalid Date comes back as one', t => {
  const back = roundTrip([new Date(NaN)]) as Date[]
  t.ok(back[0] instanceof Date && Number.isNaN(back[0].getTime()))
  t.end()
})

void t.test('an own property named __proto__ comes back as one, and no prototype changes', t => {
  const value = JSON.parse('{"__proto__": {"polluted": true}}') as object
  const back = roundTrip(value) as object
  t.ok(Object.hasOwn(back, '__proto__'))
  t.equal(Object.getPrototypeOf(back), Object.prototype)
  t.notOk('polluted' in {})
  t.end()
})

void t.test('only CORRUPT escapes from a decoder, whatever the bytes', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        decodeValue(new ByteReader(bytes))
      } catch (error) {
        if (!isCodedError(error) || error.code !== 'CORRUPT') throw error
      }
    }),
    { numRuns: 20_000 }
  )
  t.end()
})

void t.test('what cannot be stored is refused by path', t => {
  const refuse = (value: unknown, path: string): void => {
    t.throws(() => roundTrip(value), {
      code: 'VALUE_NOT_STORABLE',
      message: new RegExp(`^${path.replace(/[[\]]/g, '\\$&')} `)
    })
  }
  refuse({ recent: [1, 2, { price: () => 1 }] }, 'value.recent[2].price')
  refuse({ at: /x/ }, 'value.at')
  refuse([Promise.resolve()], 'value[0]')
  refuse({ list: new Float64Array(1) }, 'value.list')

  refuse({ list: [1, , 2] }, 'value.list')
  const shared = {}
  refuse({ a: shared, b: shared }, 'value.b')
  t.end()
})

class Counter extends Actor {
  count = 0
  names: string[] = []
  receive(): void {}
}

void t.test('a rolled-back instance is as it was', t => {
  const definition = defineActor(Counter)
  fc.assert(
    fc.property(fc.integer(), fc.array(fc.string()), (count, names) => {
      const instance = definition.create() as Counter
      instance.count = count
      instance.names = [...names]
      const image = definition.preImage(instance)
      instance.count++
      instance.names.push('x')
      definition.rollback(instance, image)
      return instance.count === count && JSON.stringify(instance.names) === JSON.stringify(names)
    })
  )
  t.end()
})

void t.test('a class that cannot be durable is refused with all its faults named', t => {
  const shared = {}
  class Bad extends Actor {
    handler = (): number => 1
    at = Math.random()
    all = shared
    receive(): void {}
  }
  t.throws(() => defineActor(Bad), { code: 'ACTOR_INVALID', message: /Bad\.handler[^]*Bad\.at[^]*Bad\.all/ })
  t.end()
})

void t.test('a renamed field is refused before start, and taken with migrate', t => {
  const stored = { actor: 'Airport', version: 1, fields: [{ name: 'delay', kind: 'number' }] }
  class Renamed extends Actor {
    static readonly actorName = 'Airport'
    totalDelay = 0
    receive(): void {}
  }
  t.match(defineActor(Renamed).accepts(stored), [/Airport\.delay is stored but not in the class/])
  class Migrated extends Renamed {
    static readonly version = 2
    static migrate(old: { delay: number }): object {
      return { totalDelay: old.delay }
    }
  }
  const definition = defineActor(Migrated as ActorClass)
  t.same(definition.accepts(stored), [])
  const writer = new ByteWriter()
  encodeValue(7, writer, 'delay')
  const restored = definition.restore(new ByteReader(writer.take()), stored) as Migrated
  t.equal(restored.totalDelay, 7)
  t.end()
})

void t.test(
  'an object that stands twice in a value is refused among few and among many, and what was refused leaves nothing behind',
  t => {
    const some = (count: number): { n: number }[] => Array.from({ length: count }, (_, n) => ({ n }))
    for (const count of [2, 15, 16, 17, 100]) {
      const list = some(count)
      t.same(roundTrip(list), list)
      for (const [again, at] of [
        [list[0], count - 1],
        [list[count - 1], 0],
        [list[count >> 1], count]
      ] as const)
        t.throws(() => roundTrip(list.with(at === count ? 0 : at, again as { n: number })), {
          code: 'VALUE_NOT_STORABLE',
          message: /an object that stands elsewhere in the value too/
        })
      t.same(roundTrip({ deep: [list] }), { deep: [list] })
      const cycle: unknown[] = [...list]
      cycle.push({ cycle })
      t.throws(() => roundTrip(cycle), { message: `value[${count}].cycle holds a cycle, which cannot be stored` })
      t.same(roundTrip(list), list)
    }
    t.end()
  }
)

void t.test('a proxy may encode while it is encoded', t => {
  const inner = { b: [{ c: 1 }] }
  const proxy = new Proxy(
    { a: 1 },
    {
      ownKeys: target => {
        t.same(roundTrip(inner), inner)
        return Reflect.ownKeys(target)
      }
    }
  )
  t.same(roundTrip([{ x: 1 }, proxy, { y: 2 }]), [{ x: 1 }, { a: 1 }, { y: 2 }])
  t.same(roundTrip(inner), inner)
  t.end()
})

void t.test('a field that holds the same object as another is refused, whichever it is', t => {
  class Pair extends Actor {
    first: object | null = null
    n = 1
    second: object | null = null
    third: object | null = null
    receive(): void {}
  }
  const definition = defineActor(Pair as ActorClass)
  const shared = {}
  for (const [a, b] of [
    ['first', 'second'],
    ['first', 'third'],
    ['second', 'third']
  ] as const) {
    const pair = Object.assign(definition.create() as Pair, {
      first: {},
      second: {},
      third: {},
      [a]: shared,
      [b]: shared
    })
    t.throws(() => definition.encode(pair, new ByteWriter()), {
      message: `Pair.${b} holds the same object as Pair.${a}`
    })
  }
  t.end()
})
