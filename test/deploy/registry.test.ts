/** Schemas are known before records are handed out and before the first is written, whatever becomes of the registry. */
import t from 'tap'
import { registered } from '../../actors/index.ts'
import { registering, ResolvingReader } from '../../deploy/registry.ts'
import { SchemaRegistry } from '../../runtime/adapters/kafka/schema-registry.ts'
import type { CodedError } from '../../runtime/kernel/errors.ts'
import type { Clock } from '../../runtime/ports/clock.ts'
import type { Fetched, LogReader } from '../../runtime/ports/log.ts'
import type { Publisher } from '../../runtime/ports/publisher.ts'
import { RegistryStub } from '../support/registry-stub.ts'

const schema = (...more: string[]): object => ({
  type: 'record',
  name: 'Order',
  fields: ['id', ...more].map(name => ({ name, type: 'string', ...(name === 'id' ? {} : { default: '' }) }))
})
const strict = { ...schema(), fields: [{ name: 'other', type: 'string' }] }
const codecOf = (of: object, more: object = {}) => registered<{ id: string; note?: string }>({ schema: of, ...more })

const publisher: Publisher = {
  describe: () => Promise.resolve({ partitions: 3, maxRecordBytes: 1000 }),
  initialise: () => Promise.reject(new Error('not asked')),
  close: () => Promise.resolve()
}

function logOf(values: readonly Uint8Array[]): LogReader {
  const sizeBytes = values.reduce((sum, { length }) => sum + length, 0)
  const batch = {
    count: values.length,
    sizeBytes,
    offset: (i: number) => i,
    timestamp: () => NaN,
    key: () => undefined,
    value: (i: number) => values[i]
  }
  const fetched: Fetched = { kind: 'records', batch, next: values.length, end: values.length }
  return {
    partitions: () => Promise.resolve([{ name: '0' }]),
    start: () => Promise.resolve(0),
    fetch: () => Promise.resolve(fetched),
    close: () => Promise.resolve()
  }
}

/** Waiting is over at once, and counted. */
const waits: number[] = []
let meanwhile = (): void => undefined
const clock: Clock = {
  now: () => 0,
  elapsed: () => 0,
  after(ms, callback) {
    waits.push(ms)
    meanwhile()
    setImmediate(callback)
    return () => undefined
  },
  yield: callback => void setImmediate(callback)
}

void t.test('a sink registers its schema once, and records carry the number', async t => {
  const stub = await RegistryStub.start(t, 'ann:secret')
  const registry = new SchemaRegistry({ url: `${stub.url}/`, user: 'ann', password: 'secret' })
  const codec = codecOf(schema())
  const sink = registering(publisher, codec.registry as never, 'orders-value', registry)
  t.same(await sink.describe(), { partitions: 3, maxRecordBytes: 1000 })
  t.same([...codec.encode({ id: 'a' })].slice(0, 5), [0, 0, 0, 0, 1])
  t.same([...stub.subjects], [['orders-value', [1]]])
  await registering(publisher, codecOf(schema(), { subject: 'own' }).registry as never, 'x', registry).describe()
  t.same([...stub.subjects.keys()], ['orders-value', 'own'])

  const refused = (of: object, more: object = {}): Promise<unknown> =>
    registering(publisher, codecOf(of, more).registry as never, 'orders-value', registry).describe()
  await t.rejects(refused(strict), { code: 'REGISTRY_REFUSED', message: /"orders-value".*incompatible/ })
  await t.rejects(refused(schema('note'), { register: false }), { code: 'REGISTRY_REFUSED', message: /not found/ })
  await refused(schema(), { register: false })
  await t.rejects(new SchemaRegistry({ url: stub.url }).schema(1), { code: 'REGISTRY_REFUSED', message: /status 401/ })
})

void t.test('records are handed out once their schemas are known, older and newer ones', async t => {
  const stub = await RegistryStub.start(t)
  const registry = new SchemaRegistry({ url: stub.url })
  const [older, newer] = [codecOf(schema()), codecOf(schema('note'))]
  for (const codec of [older, newer]) await registering(publisher, codec.registry as never, 's', registry).describe()
  const values = [
    older.encode({ id: 'a' }),
    newer.encode({ id: 'b', note: 'n' }),
    Uint8Array.of(9),
    older.encode({ id: 'c' })
  ]

  for (const fields of [schema(), schema('note')]) {
    const codec = codecOf(fields)
    const troubles: CodedError[] = []
    const reader = new ResolvingReader(logOf(values), codec.registry as never, registry, clock, e => troubles.push(e))
    stub.asked = []
    const got = await reader.fetch(0, 0, 100, 100)
    if (got.kind !== 'records') return t.fail(got.kind)
    const ids = [0, 1, 3].map(i => codec.decode(got.batch.value(i) as Uint8Array).id)
    t.same(ids, ['a', 'b', 'c'])
    t.throws(() => codec.decode(Uint8Array.of(9)), { message: /does not begin with the number/ })
    t.ok(stub.asked.length <= 2, 'each schema is asked for once, ever')
    t.same(troubles, [])
  }
})

void t.test(
  'a number that the registry does not know is an undecodable record; a registry that is away is waited for',
  async t => {
    const stub = await RegistryStub.start(t)
    const codec = codecOf(schema())
    const foreign = codecOf(schema())
    foreign.registry?.writeAs(1)
    t.equal(stub.kept.register('s', stub.kept.parsed(JSON.stringify({ schema: JSON.stringify(schema()) }))), 1)
    const stray = Uint8Array.of(0, 0, 0, 0, 77, 2, 97)
    const troubles: CodedError[] = []
    const reader = new ResolvingReader(
      logOf([stray, foreign.encode({ id: 'a' })]),
      codec.registry as never,
      new SchemaRegistry({ url: stub.url }),
      clock,
      error => troubles.push(error)
    )
    stub.down = 503
    meanwhile = () => (stub.down = waits.length < 3 ? 503 : undefined)
    const got = await reader.fetch(0, 0, 100, 100)
    t.equal(got.kind, 'records')
    t.equal(waits.length, 3)
    t.match(troubles, [{ code: 'SOURCE_UNREACHABLE', message: /status 503/ }])
    t.throws(() => codec.decode(stray), { message: 'the registry has no schema 77' })
    t.match(codec.decode(foreign.encode({ id: 'a' })), { id: 'a' })

    const nobody = new SchemaRegistry({ url: 'http://127.0.0.1:1' })
    await t.rejects(nobody.schema(1), {
      code: 'SOURCE_UNREACHABLE',
      message: /schema registry http:\/\/127\.0\.0\.1:1/
    })
  }
)

void t.test('a record by a schema of another kind is undecodable, and the source goes on', async t => {
  const stub = await RegistryStub.start(t)
  const keep = (of: object): number => stub.kept.register('s', stub.kept.parsed(JSON.stringify(of)))
  stub.kept.levels.set('s', 'NONE')
  const [json, good] = [codecOf(schema()), codecOf(schema())]
  json.registry?.writeAs(keep({ schemaType: 'JSON', schema: '{"type":"object"}' }))
  good.registry?.writeAs(keep({ schema: JSON.stringify(schema()) }))
  const values = [json.encode({ id: 'a' }), good.encode({ id: 'b' })]
  const codec = codecOf(schema('note'))
  const registry = new SchemaRegistry({ url: stub.url })
  const reader = new ResolvingReader(logOf(values), codec.registry as never, registry, clock, e => t.fail(e.message))
  t.equal((await reader.fetch(0, 0, 100, 100)).kind, 'records')
  t.throws(() => codec.decode(values[0] as Uint8Array), { message: 'schema 1 is not Avro but "JSON"' })
  t.match(codec.decode(values[1] as Uint8Array), { id: 'b', note: '' })
})

void t.test('the bare name of a primitive is registered as the schema that it stands for', async t => {
  const stub = await RegistryStub.start(t)
  const codec = registered<string>({ schema: 'string' })
  const registry = new SchemaRegistry({ url: stub.url })
  await registering(publisher, codec.registry as never, 'words-value', registry).describe()
  t.equal(stub.kept.schema(1).schema, '"string"')
  t.same([...codec.encode('a')], [0, 0, 0, 0, 1, 2, 97])
})
