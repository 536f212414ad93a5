/**
 * The registry of the tests answers as a real one does: what Confluent's API reference documents of each call, and a client that is not
 * ours (`@kafkajs/confluent-schema-registry`), which writes what Cairn reads and reads what Cairn writes.
 */
import { SchemaRegistry as OtherClient, SchemaType } from '@kafkajs/confluent-schema-registry'
import t from 'tap'
import { registered } from '../../actors/index.ts'
import { SchemaRegistry } from '../../runtime/adapters/kafka/schema-registry.ts'
import { RegistryStub } from '../support/registry-stub.ts'

const order = { type: 'record', name: 'Order', fields: [{ name: 'id', type: 'string' }] } as const
const withNote = { ...order, fields: [...order.fields, { name: 'note', type: 'string', default: '-' }] } as const
const strict = { ...order, fields: [{ name: 'other', type: 'string' }] } as const

void t.test('each call is answered as documented', async t => {
  const stub = await RegistryStub.start(t)
  const ask = async (method: string, path: string, body?: object): Promise<[number, unknown]> => {
    const response = await fetch(`${stub.url}/${path}`, {
      method,
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    t.equal(response.headers.get('content-type'), 'application/vnd.schemaregistry.v1+json')
    return [response.status, await response.json()]
  }
  const text = JSON.stringify
  const failure = (status: number, error_code: number): [number, object] => [status, { error_code, message: String }]

  t.match(await ask('POST', 'subjects/s', { schema: text(order) }), failure(404, 40401))
  t.same(await ask('POST', 'subjects/s/versions', { schema: text(order) }), [200, { id: 1 }])
  t.same(await ask('POST', 'subjects/s/versions', { schema: JSON.stringify(order, null, 2) }), [200, { id: 1 }])
  t.same(await ask('POST', 'subjects/other/versions', { schema: text(order) }), [200, { id: 1 }])
  t.same(await ask('POST', 'subjects/s/versions', { schema: text(withNote) }), [200, { id: 2 }])
  t.match(await ask('POST', 'subjects/s/versions', { schema: text(strict) }), failure(409, 409))
  t.match(await ask('POST', 'subjects/s/versions', { schema: '{"type":"recor"}' }), failure(422, 42201))
  t.match(await ask('POST', 'subjects/s', { schema: text(strict) }), failure(404, 40403))
  const second = { subject: 's', id: 2, version: 2, schema: text(withNote) }
  t.same(await ask('POST', 'subjects/s', { schema: text(withNote) }), [200, second])
  t.same(await ask('GET', 'subjects/s/versions/2'), [200, second])
  t.same(await ask('GET', 'subjects/s/versions/latest'), [200, second])
  t.match(await ask('GET', 'subjects/s/versions/3'), failure(404, 40402))
  t.same(await ask('GET', 'schemas/ids/1'), [200, { schema: text(order) }])
  t.match(await ask('GET', 'schemas/ids/9'), failure(404, 40403))
  t.match(await ask('GET', 'config/s'), failure(404, 40408))
  t.same(await ask('PUT', 'config/s', { compatibility: 'BACKWARD' }), [200, { compatibility: 'BACKWARD' }])
  t.same(await ask('GET', 'config/s'), [200, { compatibilityLevel: 'BACKWARD' }])
})

void t.test('another client writes what Cairn reads, and reads what Cairn writes', async t => {
  const stub = await RegistryStub.start(t, 'ann:secret')
  const other = new OtherClient({ host: stub.url, auth: { username: 'ann', password: 'secret' } })
  const own = new SchemaRegistry({ url: stub.url, user: 'ann', password: 'secret' })
  const codecOf = (schema: object) => registered<{ id: string; note?: string }>({ schema })

  const { id } = await other.register(
    { type: SchemaType.AVRO, schema: JSON.stringify(order) },
    { subject: 'orders-value' }
  )
  const theirs = await other.encode(id, { id: 'a' })
  const codec = codecOf(withNote)
  t.equal(codec.registry?.unknown(theirs), id)
  const known = await own.schema(id)
  if (known.kind !== 'schema') return t.fail(known.why)
  codec.registry?.learn(id, known.text)
  t.same({ ...codec.decode(theirs) }, { id: 'a', note: '-' })

  t.equal(await own.id('orders-value', JSON.stringify(order), false), id)
  const newer = await own.id('orders-value', JSON.stringify(withNote), true)
  t.equal(await other.getLatestSchemaId('orders-value'), newer)
  codec.registry?.writeAs(newer)
  const ours = Buffer.from(codec.encode({ id: 'b', note: 'n' }))
  t.same({ ...((await other.decode(ours)) as object) }, { id: 'b', note: 'n' })
  await t.rejects(
    other.register({ type: SchemaType.AVRO, schema: JSON.stringify(strict) }, { subject: 'orders-value' }),
    /incompatible/
  )
  await t.rejects(own.id('orders-value', JSON.stringify(strict), true), {
    code: 'REGISTRY_REFUSED',
    message: /incompatible/
  })
})
