/**
 * The HTTP interface of a schema registry, as far as it is used: numbers for schemas, subjects, and BACKWARD compatibility. Its answers
 * are those of Confluent's API reference (test/deploy/registry-stub.test.ts); another client than ours works with it, too.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import avsc from 'avsc'
import type { Test } from 'tap'

export class RegistryStub {
  readonly schemas = new Map<number, string>()
  /** Newest last. */
  readonly subjects = new Map<string, number[]>()
  private readonly compatibility = new Map<string, string>()
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
    const [, kind, encoded = '', last, version] = url.split('/')
    const name = decodeURIComponent(encoded)
    if (method === 'GET' && kind === 'schemas') {
      const schema = this.schemas.get(Number(last))
      return schema === undefined ? notFound.schema : [200, { schema }]
    }
    if (kind === 'config') return this.config(method, name, text)
    const versions = this.subjects.get(name)
    if (method === 'GET') {
      const number = version === 'latest' ? (versions?.length ?? 0) : Number(version)
      return versions === undefined ? notFound.subject(name) : this.versionOf(name, versions[number - 1])
    }
    const schema = canonical((JSON.parse(text) as { readonly schema: string }).schema)
    if (schema === undefined)
      return [422, { error_code: 42201, message: 'Either the input schema or one its references is invalid' }]
    const known = versions?.find(id => this.schemas.get(id) === schema)
    if (last !== 'versions')
      return versions === undefined
        ? notFound.subject(name)
        : known === undefined
          ? notFound.schema
          : this.versionOf(name, known)
    if (known !== undefined) return [200, { id: known }]
    const before = this.schemas.get(versions?.at(-1) ?? -1)
    if (before !== undefined && !canRead(schema, before))
      return [
        409,
        {
          error_code: 409,
          message: `Schema being registered is incompatible with an earlier schema for subject "${name}"`
        }
      ]
    // One schema has one number, under whatever subjects.
    const id = [...this.schemas].find(([, each]) => each === schema)?.[0] ?? this.schemas.size + 1
    this.schemas.set(id, schema)
    this.subjects.set(name, [...(versions ?? []), id])
    return [200, { id }]
  }

  private versionOf(subject: string, id: number | undefined): [number, object] {
    const version = this.subjects.get(subject)?.findIndex(each => each === id) ?? -1
    if (id === undefined || version < 0) return [404, { error_code: 40402, message: 'Version not found' }]
    return [200, { subject, id, version: version + 1, schema: this.schemas.get(id) }]
  }

  private config(method: string | undefined, subject: string, text: string): [number, object] {
    if (method === 'PUT') {
      this.compatibility.set(subject, (JSON.parse(text) as { readonly compatibility: string }).compatibility)
      return [200, { compatibility: this.compatibility.get(subject) }]
    }
    const compatibilityLevel = this.compatibility.get(subject)
    if (compatibilityLevel !== undefined) return [200, { compatibilityLevel }]
    return [
      404,
      { error_code: 40408, message: `Subject '${subject}' does not have subject-level compatibility configured` }
    ]
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

const notFound = {
  schema: [404, { error_code: 40403, message: 'Schema not found' }] as [number, object],
  subject: (name: string): [number, object] => [404, { error_code: 40401, message: `Subject '${name}' not found.` }]
}

/** The text by which schemas are compared; undefined: it is none. */
function canonical(text: string): string | undefined {
  try {
    const schema: unknown = JSON.parse(text)
    avsc.Type.forSchema(schema as avsc.Schema)
    return JSON.stringify(schema)
  } catch {
    return undefined
  }
}
