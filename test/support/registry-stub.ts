/** The HTTP interface of a schema registry, as far as it is used: numbers for schemas, subjects, and BACKWARD compatibility. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import avsc from 'avsc'
import type { Test } from 'tap'

export class RegistryStub {
  readonly schemas = new Map<number, string>()
  /** Newest last. */
  readonly subjects = new Map<string, number[]>()
  asked: string[] = []
  /** Answered to everything. */
  down: number | undefined
  url = ''

  static async start(t: Test, credentials?: string): Promise<RegistryStub> {
    const stub = new RegistryStub()
    const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`
    const server = createServer((request, response) => {
      if (wanted !== undefined && request.headers.authorization !== wanted) response.writeHead(401).end('{}')
      else void stub.answer(request, response)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    stub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return stub
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    this.asked.push(`${request.method} ${request.url}`)
    const [status, body] =
      this.down === undefined ? this.result(request, Buffer.concat(chunks).toString()) : [this.down, {}]
    response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(body))
  }

  private result({ method, url = '' }: IncomingMessage, text: string): [number, object] {
    const [, kind, name = '', last] = url.split('/')
    if (method === 'GET' && kind === 'schemas') {
      const schema = this.schemas.get(Number(last))
      return schema === undefined ? [404, { error_code: 40403, message: 'Schema not found' }] : [200, { schema }]
    }
    const { schema } = JSON.parse(text) as { readonly schema: string }
    const versions = this.subjects.get(decodeURIComponent(name)) ?? []
    const known = versions.find(id => this.schemas.get(id) === schema)
    if (known !== undefined) return [200, { id: known }]
    if (last !== 'versions') return [404, { error_code: 40403, message: 'Schema not found' }]
    const before = this.schemas.get(versions.at(-1) ?? -1)
    if (before !== undefined && !canRead(schema, before))
      return [409, { error_code: 409, message: 'Schema being registered is incompatible with an earlier schema' }]
    const id = this.schemas.size + 1
    this.schemas.set(id, schema)
    this.subjects.set(decodeURIComponent(name), [...versions, id])
    return [200, { id }]
  }
}

const typeOf = (schema: string): avsc.Type => avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema)

function canRead(reader: string, writer: string): boolean {
  try {
    typeOf(reader).createResolver(typeOf(writer))
    return true
  } catch {
    return false
  }
}
