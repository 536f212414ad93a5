import t from 'tap'
import { avro, debezium, registered, type Change } from '../../actors/index.ts'

const order = (...more: object[]): object => ({
  type: 'record',
  name: 'Order',
  fields: [{ name: 'id', type: 'string' }, ...more]
})
const cents = { name: 'cents', type: 'long', default: 0 }

void t.test('plain Avro writes and reads', t => {
  const codec = avro<{ id: string; cents: number }>(order(cents))
  t.match(codec.decode(codec.encode({ id: 'a', cents: 5 })), { id: 'a', cents: 5 })
  t.throws(() => codec.encode({ id: 5 } as never))
  t.throws(() => codec.decode(Uint8Array.of(200)))
  t.same(avro<string>('string').decode(avro<string>('string').encode('x')), 'x')
  t.end()
})

void t.test('the wire format is a zero, the number of the schema, and Avro', t => {
  const codec = registered<{ id: string }>({ schema: order() })
  t.same([...codec.encode({ id: 'a' })], [0, 0, 0, 0, 0, 2, 97], 'number 0 where there is no registry')
  t.match(codec.decode(codec.encode({ id: 'a' })), { id: 'a' })
  codec.registry?.writeAs(258)
  t.same([...codec.encode({ id: 'a' })], [0, 0, 0, 1, 2, 2, 97])
  t.match(codec.decode(codec.encode({ id: 'a' })), { id: 'a' })
  t.end()
})

void t.test("a writer's schema is resolved to the reader's, the older as the newer", t => {
  const older = registered<{ id: string }>({ schema: order() })
  const newer = registered<{ id: string; cents: number }>({ schema: order(cents) })
  older.registry?.writeAs(1)
  newer.registry?.writeAs(2)
  const [old, young] = [older.encode({ id: 'a' }), newer.encode({ id: 'b', cents: 7 })]
  t.same([newer.registry?.unknown(old), older.registry?.unknown(young)], [1, 2])
  t.throws(() => newer.decode(old), { message: 'schema 1 is unknown' })
  newer.registry?.learn(1, JSON.stringify(order()))
  older.registry?.learn(2, JSON.stringify(order(cents)))
  t.equal(newer.registry?.unknown(old), undefined)
  t.match(newer.decode(old), { id: 'a', cents: 0 }, 'backward')
  t.match(older.decode(young), { id: 'b' }, 'forward')
  t.end()
})

void t.test("a writer's schema may use the names of others", t => {
  const total = { type: 'record', name: 'Total', namespace: 'shop', fields: [cents] }
  const codec = registered<object>({ schema: order({ name: 'total', type: total }) })
  codec.registry?.writeAs(1)
  const bytes = codec.encode({ id: 'a', total: { cents: 5 } })
  const reader = registered<object>({ schema: order({ name: 'total', type: total }) })
  const writer = JSON.stringify(order({ name: 'total', type: 'shop.Total' }))
  reader.registry?.learn(1, writer, [JSON.stringify(total)])
  t.match(reader.decode(bytes), { id: 'a', total: { cents: 5 } })
  reader.registry?.learn(1, writer)
  t.throws(() => reader.decode(bytes), { message: /schema 1 cannot be read as this one: .*shop\.Total/ })
  reader.registry?.learn(1, writer, [JSON.stringify({ ...total, name: 'x(){}' })])
  t.throws(() => reader.decode(bytes), { message: /has the name "x\(\)\{\}"/ }, 'they are looked at first, too')
  reader.registry?.learn(1, JSON.stringify(order({ name: 'total', type: 'constructor' })))
  t.throws(() => reader.decode(bytes), { message: /schema 1 cannot be read as this one: .*constructor/ })
  t.end()
})

void t.test('what cannot be decoded says why, and never runs', t => {
  const codec = registered<{ id: string }>({ schema: order() })
  const with_ = (id: number): Uint8Array => Uint8Array.of(0, 0, 0, 0, id, 2, 97)
  t.throws(() => codec.decode(Uint8Array.of(1, 2, 3, 4, 5, 6)), { message: /does not begin with the number/ })
  t.equal(codec.registry?.unknown(Uint8Array.of(1, 2, 3, 4, 5, 6)), undefined)
  t.throws(() => codec.decode(Uint8Array.of(0)), { message: /1 bytes/ })
  codec.registry?.refuse(7, 'the registry has no schema 7')
  t.throws(() => codec.decode(with_(7)), { message: 'the registry has no schema 7' })
  codec.registry?.learn(8, '"long"')
  t.throws(() => codec.decode(with_(8)), { message: /schema 8 cannot be read as this one/ })
  codec.registry?.learn(9, JSON.stringify({ type: 'record', name: 'x(){}', fields: [] }))
  t.throws(() => codec.decode(with_(9)), { message: /has the name "x\(\)\{\}"/ })
  let deep: unknown = 'string'
  for (let i = 0; i < 100; i++) deep = { type: 'array', items: deep }
  codec.registry?.learn(10, JSON.stringify(deep))
  t.throws(() => codec.decode(with_(10)), { message: /nested deeper than 64/ })
  codec.registry?.learn(11, 'x'.repeat(2 ** 21))
  t.throws(() => codec.decode(with_(11)), { message: /too long/ })
  t.end()
})

void t.test('change events of Debezium', t => {
  const codec = debezium<{ id: number }>()
  const decode = (event: unknown): Change<{ id: number }> =>
    codec.decode(new TextEncoder().encode(JSON.stringify(event)))
  const source = { table: 'orders' }
  t.same(decode({ schema: {}, payload: { op: 'u', before: { id: 1 }, after: { id: 2 }, ts_ms: 5, source } }), {
    kind: 'update',
    before: { id: 1 },
    after: { id: 2 },
    at: 5,
    source
  })
  t.match(decode({ op: 'c', before: null, after: { id: 1 }, ts_ms: 5 }), {
    kind: 'insert',
    before: undefined,
    source: {}
  })
  t.match(decode({ op: 'd', before: { id: 1 }, after: null }), { kind: 'delete', after: undefined, at: NaN })
  t.match(decode({ op: 'r', after: { id: 1 } }), { kind: 'read' })
  t.throws(() => decode({ op: 't' }), { message: /op is "t"/ })
  t.throws(() => decode({ op: 'toString' }), { message: /op is "toString"/ })
  t.throws(() => decode({ op: 'c' }), { message: /insert without after/ })
  t.throws(() => decode([]), { message: /no object/ })
  t.throws(() => codec.encode({} as never), { message: /read, not written/ })
  t.end()
})
