/** The client of schema registries understands what a real one answered (test/support/record-registry.ts), and asks as that one was asked. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { registered } from '../../../../actors/index.ts'
import { SchemaRegistry } from '../../../../runtime/adapters/kafka/schema-registry.ts'
import { CodedError } from '../../../../runtime/kernel/errors.ts'
import { recordedAnswers, type Answer, type Exchange } from '../../../support/registry-recording.ts'
import { registryType, type RegistryRequest } from '../../../support/registry-requests.ts'
import { RegistryStub } from '../../../support/registry-stub.ts'

const { exchanges } = recordedAnswers()

/** All of a request that a registry may heed; a wrong password is as good as the right one. */
function asOne({ method, path, body, contentType, accept, as }: Omit<RegistryRequest, 'does' | 'name'>): string {
  const type = body === undefined ? null : contentType === undefined ? registryType : contentType
  return JSON.stringify([method, path, body ?? '', type, accept ?? registryType, as === 'nobody'])
}

/** A registry that answers each request as it was recorded, the next one by `next`. */
class Replayed {
  next: Answer | undefined
  asked: string[] = []
  url = ''

  static async start(t: Test): Promise<Replayed> {
    const replayed = new Replayed()
    const server = createServer((request, response) => void replayed.answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    replayed.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return replayed
  }

  /** A new client, which has kept nothing. */
  client(as: 'ann' | 'nobody' = 'ann'): SchemaRegistry {
    return new SchemaRegistry({ url: this.url, ...(as === 'nobody' ? {} : { user: as, password: 'secret' }) })
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', url = '', headers } = request
    const asked = asOne({
      method,
      path: url.slice(1),
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks).toString() }),
      contentType: headers['content-type'] ?? null,
      accept: headers.accept ?? '',
      ...(headers.authorization === undefined ? { as: 'nobody' } : {})
    })
    this.asked.push(asked)
    const { status, contentType, body } = this.next ??
      exchanges.find(each => each.as !== 'stranger' && asOne(each) === asked)?.answer ?? {
        status: 501,
        contentType: null,
        body: ''
      }
    this.next = undefined
    response.writeHead(status, { 'content-type': contentType ?? 'text/plain' })
    response.end(contentType?.includes('json') === true ? JSON.stringify(body) : String(body))
  }
}

type Call =
  | { readonly kind: 'schema'; readonly id: number }
  | { readonly kind: 'id'; readonly subject: string; readonly schema: string; readonly register: boolean }

/** What the client would have to be asked for, to make this request; undefined: it makes no such. */
function callOf({ method, path, body, contentType, accept }: Exchange): Call | undefined {
  if (contentType !== undefined || accept !== undefined) return undefined
  const [, id] = /^schemas\/ids\/(\d+)$/.exec(path) ?? []
  if (method === 'GET' && id !== undefined) return { kind: 'schema', id: Number(id) }
  const [, subject, versions] = /^subjects\/([^/?]+)(\/versions)?$/.exec(path) ?? []
  const [, text] = /^\{"schema":("(?:[^"\\]|\\.)*")\}$/.exec(body ?? '') ?? []
  if (method !== 'POST' || subject === undefined || text === undefined) return undefined
  const schema = JSON.parse(text) as string
  return { kind: 'id', subject: decodeURIComponent(subject), schema, register: versions !== undefined }
}

const textIn = (body: unknown, field: string): unknown => (body as Readonly<Record<string, unknown>> | null)?.[field]

/** The kind of an answer, and what the client makes of it. */
function outcomeOf(call: Call, { status, body }: Answer, url: string): readonly [kind: string, wanted: unknown] {
  const code = 'REGISTRY_REFUSED'
  const error = textIn(body, 'error_code')
  if (status === 401) return ['not let in', { code, message: /does not let this user in \(status 401\)$/ }]
  if (call.kind === 'id') {
    if (status === 200) return ['a number', textIn(body, 'id')]
    const message = `subject "${call.subject}" at ${url}: ${String(textIn(body, 'message'))}`
    return [`refused: ${String(error)}`, { code, message }]
  }
  const { id } = call
  if (error === 40403) return ['no schema', { kind: 'unusable', why: `the registry has no schema ${id}` }]
  const type = textIn(body, 'schemaType')
  if (type !== undefined)
    return ['no Avro', { kind: 'unusable', why: `schema ${id} is not Avro but ${JSON.stringify(type)}` }]
  return ['a schema', { kind: 'schema', text: textIn(body, 'schema') }]
}

void t.test('each recorded answer to what the client asks is understood', async t => {
  const replayed = await Replayed.start(t)
  const kinds = new Set<string>()
  for (const exchange of exchanges) {
    const call = callOf(exchange)
    if (call === undefined) continue
    const { does, answer, as } = exchange
    replayed.next = answer
    replayed.asked = []
    const client = replayed.client(as === 'nobody' ? as : 'ann')
    const got: unknown = await (
      call.kind === 'schema' ? client.schema(call.id) : client.id(call.subject, call.schema, call.register)
    ).catch((error: unknown) => error)
    t.equal(replayed.asked[0], asOne(exchange), `${does}: asked as it was recorded`)
    const [kind, wanted] = outcomeOf(call, answer, replayed.url)
    t.match(got, wanted as object, does)
    kinds.add(kind)
  }
  const refused = [40401, 40403, 409, 42201].map(code => `refused: ${code}`)
  t.same([...kinds].sort(), ['a number', 'a schema', 'no Avro', 'no schema', 'not let in', ...refused])
})

void t.test('what is answered to something else is never taken for a schema or a number', async t => {
  const replayed = await Replayed.start(t)
  for (const { does, answer } of exchanges) {
    const { status, body } = answer
    replayed.next = answer
    const schema = await replayed
      .client()
      .schema(1)
      .catch((error: unknown) => error)
    if (schema instanceof CodedError) t.match(schema.code, /^(REGISTRY_REFUSED|SOURCE_UNREACHABLE)$/, does)
    else if (status === 200)
      t.match(
        schema,
        textIn(body, 'schemaType') === undefined ? { text: textIn(body, 'schema') } : { kind: 'unusable' },
        does
      )
    else t.match([schema, textIn(body, 'error_code')], [{ kind: 'unusable', why: /no schema 1$/ }, 40403], does)

    replayed.next = answer
    const id = await replayed
      .client()
      .id('s', '"int"', true)
      .catch((error: unknown) => error)
    if (id instanceof CodedError) t.match(id.code, /^(REGISTRY_REFUSED|SOURCE_UNREACHABLE)$/, does)
    else t.same([status, id], [200, textIn(body, 'id')], does)
  }
})

void t.test('a wrong address is told, and not that there are no schemas', async t => {
  const replayed = await Replayed.start(t)
  const at = (does: string): Answer => exchanges.find(each => each.does === does)?.answer as Answer
  replayed.next = at('a number that is none')
  await t.rejects(replayed.client().schema(1), {
    code: 'REGISTRY_REFUSED',
    message: `schema 1 at ${replayed.url}: HTTP 404 Not Found`
  })
  replayed.next = at('a path that there is not')
  await t.rejects(replayed.client().schema(1), { code: 'REGISTRY_REFUSED', message: /is no schema registry/ })
  const stub = await RegistryStub.start(t)
  const beside = new SchemaRegistry({ url: `${stub.url}/v1` })
  await t.rejects(beside.schema(1), { code: 'REGISTRY_REFUSED', message: /HTTP 404 Not Found/ })
  await t.rejects(beside.id('s', '"int"', true), { code: 'REGISTRY_REFUSED', message: /HTTP 404 Not Found/ })
})

void t.test('an answer without a schema is refused, and asked for again', async t => {
  const replayed = await Replayed.start(t)
  const client = replayed.client()
  replayed.next = { status: 406, contentType: registryType, body: { message: 'HTTP 406 Not Acceptable' } }
  await t.rejects(client.schema(1), { code: 'REGISTRY_REFUSED', message: /^schema 1 at .*: HTTP 406 Not Acceptable$/ })
  replayed.next = { status: 200, contentType: registryType, body: { maxId: 5 } }
  await t.rejects(client.schema(1), { code: 'REGISTRY_REFUSED', message: /status 200/ })
  t.match(await client.schema(1), { kind: 'unusable' })
})

void t.test('records whose schema refers to others are read', async t => {
  const replayed = await Replayed.start(t)
  const found = exchanges.find(({ does }) => does === 'one that refers to one that refers, by its number')
  const id = Number(found?.path.replace(/.*\//, ''))
  const money = { type: 'record', name: 'Money', namespace: 'shop', fields: [{ name: 'cents', type: 'long' }] }
  const priced = {
    type: 'record',
    name: 'Priced',
    namespace: 'shop',
    fields: [
      { name: 'net', type: money },
      { name: 'tax', type: ['null', 'Money'], default: null }
    ]
  }
  const fields = [
    { name: 'id', type: 'string' },
    { name: 'items', type: { type: 'array', items: priced } }
  ]
  const codec = (): ReturnType<typeof registered> => registered({ schema: { type: 'record', name: 'Basket', fields } })
  const value = {
    id: 'a',
    items: [
      { net: { cents: 7 }, tax: { cents: 1 } },
      { net: { cents: 2 ** 40 }, tax: null }
    ]
  }
  const [writer, reader] = [codec(), codec()]
  writer.registry?.writeAs(id)
  const bytes = writer.encode(value)
  t.equal(reader.registry?.unknown(bytes), id)
  const schema = await replayed.client().schema(id)
  if (schema.kind !== 'schema') return t.fail(schema.why)
  t.match(schema.before, [/"name":"Money"/, /"name":"Priced"/], 'each after what it refers to itself')
  reader.registry?.learn(id, schema.text, schema.before)
  t.same(JSON.parse(JSON.stringify(reader.decode(bytes))), value)
})

void t.test('references that lead nowhere, in a circle or are none are refused', async t => {
  const stub = await RegistryStub.start(t)
  const client = new SchemaRegistry({ url: stub.url })
  const keep = (id: number, ...references: object[]): void =>
    void stub.kept.schemas.set(id, { schema: '"string"', schemaType: 'AVRO', references: references as never })
  const to = (subject: string): object => ({ name: 'x', subject, version: 1 })
  for (const id of [1, 2, 3, 4]) stub.kept.versions.set(`s/${id}`, [{ version: 1, id, deleted: id === 4 }])
  keep(1, to('s/2'))
  keep(2, to('s/1'))
  keep(3, to('s/9'))
  keep(4)
  keep(5, { name: 'x', subject: 's/4' })
  keep(6, to('s/4'), to('s/4'))
  await t.rejects(client.schema(1), { code: 'REGISTRY_REFUSED', message: /refers to itself, or to more than 200/ })
  t.equal(stub.asked.length, 3, 'a circle is seen where it closes')
  await t.rejects(client.schema(3), {
    code: 'REGISTRY_REFUSED',
    message: /^version 1 of subject "s\/9", to which schema 3 refers, at .*: Subject 's\/9' not found\.$/
  })
  await t.rejects(client.schema(5), { code: 'REGISTRY_REFUSED', message: /^schema 5 refers to \{/ })
  stub.asked = []
  t.same(await client.schema(6), { kind: 'schema', text: '"string"', before: ['"string"'] })
  t.equal(stub.asked.length, 2, 'each is asked for once, be it deleted since')
})
