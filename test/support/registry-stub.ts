/**
 * The HTTP interface of a schema registry. Its answers are those that a real one gave (test/deploy/registry-recorded.test.ts) and those of
 * Confluent's API reference (registry-stub.test.ts); another client than ours works with it, too.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { registryType } from './registry-requests.ts'
import { asked, levels, Refusal, RegistrySubjects, shown } from './registry-subjects.ts'

interface Call {
  readonly kept: RegistrySubjects
  readonly subject: string
  /** The last variable part of the path. */
  readonly named: string
  readonly flag: (name: string) => boolean
  readonly body: string
}

type Route = readonly [method: string, path: string, answer: (call: Call) => unknown]

const version = 'subjects/:subject/versions/:named'
const routes: readonly Route[] = [
  ['GET', 'subjects', ({ kept, flag }) => kept.names(flag('deleted'))],
  ['POST', 'subjects/:subject', lookUp],
  ['DELETE', 'subjects/:subject', deleteSubject],
  [
    'GET',
    'subjects/:subject/versions',
    ({ kept, subject, flag }) => kept.some(subject, flag('deleted')).map(each => each.version)
  ],
  [
    'POST',
    'subjects/:subject/versions',
    ({ kept, subject, body }) => ({ id: kept.register(subject, kept.parsed(body)) })
  ],
  [
    'GET',
    version,
    ({ kept, subject, named, flag }) => kept.described(subject, kept.version(subject, named, flag('deleted')))
  ],
  ['DELETE', version, ({ kept, subject, named, flag }) => kept.delete(subject, named, flag('permanent'))[0]?.version],
  [
    'GET',
    `${version}/schema`,
    ({ kept, subject, named }) => JSON.parse(kept.schema(kept.version(subject, named).id).schema) as unknown
  ],
  [
    'GET',
    `${version}/referencedby`,
    ({ kept, subject, named }) => kept.referring(subject, kept.version(subject, named))
  ],
  ['GET', 'schemas/types', () => ['JSON', 'AVRO', 'PROTOBUF']],
  ['GET', 'schemas/ids/:named', ({ kept, named }) => shown(kept.schema(numbered(named)))],
  ['GET', 'schemas/ids/:named/versions', users],
  ['POST', 'compatibility/subjects/:subject/versions/:named', compare],
  ['GET', 'config', ({ kept }) => ({ compatibilityLevel: kept.levels.get('') })],
  ['PUT', 'config', setLevel],
  ['GET', 'config/:subject', level],
  ['PUT', 'config/:subject', setLevel],
  ['DELETE', 'config/:subject', dropLevel]
]

function lookUp({ kept, subject, flag, body }: Call): object {
  kept.some(subject, flag('deleted'))
  return kept.described(subject, kept.lookUp(subject, kept.parsed(body), flag('deleted')))
}

function deleteSubject({ kept, subject, flag }: Call): number[] {
  return kept.delete(subject, undefined, flag('permanent')).map(each => each.version)
}

function numbered(named: string): number {
  if (!/^\d+$/.test(named)) throw new Refusal(404, 404, 'HTTP 404 Not Found')
  return Number(named)
}

function users({ kept, named }: Call): object[] {
  const id = numbered(named)
  return kept
    .names(false)
    .sort()
    .flatMap(subject => kept.of(subject).flatMap(each => (each.id === id ? [{ subject, version: each.version }] : [])))
}

function compare({ kept, subject, named, flag, body }: Call): object {
  const schema = kept.parsed(body)
  if (kept.of(subject).length === 0) throw new Refusal(404, 40402, `Version ${named} not found.`)
  const messages = kept.problems(subject, schema, kept.version(subject, named))
  return { is_compatible: messages.length === 0, ...(flag('verbose') ? { messages } : {}) }
}

function level({ kept, subject, flag }: Call): object {
  const compatibilityLevel = kept.levels.get(subject) ?? (flag('defaultToGlobal') ? kept.levels.get('') : undefined)
  if (compatibilityLevel !== undefined) return { compatibilityLevel }
  throw new Refusal(404, 40408, `Subject '${subject}' does not have subject-level compatibility configured`)
}

function setLevel({ kept, subject, body }: Call): object {
  const { compatibility } = asked(body)
  if (typeof compatibility !== 'string' || !levels.includes(compatibility))
    throw new Refusal(422, 42203, 'Invalid compatibility level')
  kept.levels.set(subject, compatibility)
  return { compatibility }
}

function dropLevel({ kept, subject }: Call): object {
  const compatibilityLevel = kept.levels.get(subject)
  if (compatibilityLevel === undefined) throw new Refusal(404, 40401, `Subject '${subject}' not found.`)
  kept.levels.delete(subject)
  return { compatibilityLevel }
}

const answerTypes = [registryType, 'application/vnd.schemaregistry+json', 'application/json']
const requestTypes = [...answerTypes, 'application/octet-stream']

/** Undefined: none of those that are wanted. */
function answerType(accept: string | undefined): string | undefined {
  const wanted = (accept ?? '*/*').split(',').map(each => each.replace(/;.*/, '').trim())
  return wanted.includes('*/*') ? registryType : answerTypes.find(each => wanted.includes(each))
}

export class RegistryStub {
  readonly kept = new RegistrySubjects()
  asked: string[] = []
  /** Answered to everything. */
  down: number | undefined
  url = ''

  static async start(t: Test, credentials?: string): Promise<RegistryStub> {
    const stub = new RegistryStub()
    const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`
    const server = createServer((request, response) => void stub.answer(request, response, wanted))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    stub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return stub
  }

  /** The numbers of each subject's schemas, oldest first. */
  get subjects(): ReadonlyMap<string, readonly number[]> {
    return new Map(this.kept.names(false).map(name => [name, this.kept.of(name).map(({ id }) => id)]))
  }

  private async answer(
    request: IncomingMessage,
    response: ServerResponse,
    authorization: string | undefined
  ): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    this.asked.push(`${request.method} ${request.url}`)
    let status = 200
    let body: unknown = {}
    if (this.down !== undefined) status = this.down
    else
      try {
        if (authorization !== undefined && request.headers.authorization !== authorization)
          throw new Refusal(401, 401, 'Unauthorized')
        body = this.result(request, Buffer.concat(chunks).toString())
      } catch (error) {
        const { message, ...refused } = error as Refusal
        status = refused.status ?? 500
        body = { error_code: refused.code ?? 50001, message }
      }
    const type = answerType(request.headers.accept) ?? registryType
    response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body))
  }

  private result({ method = '', url = '', headers }: IncomingMessage, body: string): unknown {
    const { pathname, searchParams } = new URL(url, 'http://registry')
    const parts = pathname.replace(/^\/|\/$/g, '').split('/')
    const matching = routes.filter(([, path]) => matches(path.split('/'), parts))
    if (matching.length === 0) throw new Refusal(404, 404, 'HTTP 404 Not Found')
    const [, path, result] = matching.find(route => route[0] === method) ?? []
    if (path === undefined || result === undefined) throw new Refusal(405, 405, 'HTTP 405 Method Not Allowed')
    if (answerType(headers.accept) === undefined) throw new Refusal(406, 406, 'HTTP 406 Not Acceptable')
    const type = headers['content-type']?.replace(/;.*/, '') ?? ''
    if ((method === 'POST' || method === 'PUT') && !requestTypes.includes(type))
      throw new Refusal(415, 415, 'HTTP 415 Unsupported Media Type')
    const part = (name: string): string => decodeURIComponent(parts[path.split('/').indexOf(name)] ?? '')
    return result({
      kept: this.kept,
      subject: part(':subject'),
      named: part(':named'),
      flag: name => searchParams.get(name) === 'true',
      body
    })
  }
}

const matches = (path: readonly string[], parts: readonly string[]): boolean =>
  path.length === parts.length && path.every((each, i) => each.startsWith(':') || each === parts[i])
