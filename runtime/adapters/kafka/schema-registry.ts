/** The registry of schemas, by four calls of its HTTP interface. What it once said of a number is true for ever, and is kept. */
import { CodedError } from '../../kernel/errors.ts'

export interface SchemaRegistryOptions {
  /** `http://host:port`, with a path where it has one. */
  readonly url: string
  readonly user?: string
  readonly password?: string
  /** Default 10,000. Until an unanswered call counts as failed. */
  readonly answerMs?: number
}

/** What a number stands for: a schema, and those that it refers to, each after what it refers to itself; or why there is none to be used. */
export type RegisteredSchema =
  | { readonly kind: 'schema'; readonly text: string; readonly before: readonly string[] }
  | { readonly kind: 'unusable'; readonly why: string }

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** Longer answers are no schemas. */
const answerLimit = 4 * 1024 * 1024
/** Each is a call; more are a mistake, or a trap. */
const referenceLimit = 200
/** `error_code` of a 404 that is about the schema; a wrong address has others, or none. */
const schemaNotFound = 40403

export class SchemaRegistry {
  private readonly options: SchemaRegistryOptions
  private readonly schemas = new Map<number, Promise<RegisteredSchema>>()

  constructor(options: SchemaRegistryOptions) {
    this.options = options
  }

  /** Throws SOURCE_UNREACHABLE, REGISTRY_REFUSED. */
  schema(id: number): Promise<RegisteredSchema> {
    let found = this.schemas.get(id)
    if (found === undefined) {
      found = this.read(id)
      this.schemas.set(id, found)
      // Only what was answered is kept.
      found.catch(() => this.schemas.delete(id))
    }
    return found
  }

  private async read(id: number): Promise<RegisteredSchema> {
    const answer = await this.ask('GET', `schemas/ids/${id}`, undefined)
    if (answer.status === 404 && answer.body['error_code'] === schemaNotFound)
      return { kind: 'unusable', why: `the registry has no schema ${id}` }
    const { schemaType = 'AVRO' } = answer.body
    if (answer.status === 200 && schemaType !== 'AVRO')
      return { kind: 'unusable', why: `schema ${id} is not Avro but ${JSON.stringify(schemaType)}` }
    const before = new Map<string, string>()
    const text = await this.textOf(`schema ${id}`, answer, before, [])
    return { kind: 'schema', text, before: [...before.values()] }
  }

  /** Of a schema, once `before` holds what it refers to. `within`: the paths of those that refer to it. */
  private async textOf(
    what: string,
    { status, body }: Answer,
    before: Map<string, string>,
    within: readonly string[]
  ): Promise<string> {
    const { schema, references = [] } = body
    if (status !== 200 || typeof schema !== 'string' || !Array.isArray(references))
      throw this.refusal(what, { status, body })
    for (const reference of references as readonly unknown[]) {
      const { subject, version } = (reference ?? {}) as { readonly subject?: unknown; readonly version?: unknown }
      if (typeof subject !== 'string' || typeof version !== 'number')
        throw new CodedError('REGISTRY_REFUSED', `${what} refers to ${JSON.stringify(reference)}`)
      // What is referred to may have been deleted since, softly.
      const path = `subjects/${encodeURIComponent(subject)}/versions/${version}?deleted=true`
      if (before.has(path)) continue
      if (within.includes(path) || before.size + within.length >= referenceLimit)
        throw new CodedError('REGISTRY_REFUSED', `${what} refers to itself, or to more than ${referenceLimit} others`)
      const answer = await this.ask('GET', path, undefined)
      const name = `version ${version} of subject "${subject}", to which ${what} refers,`
      before.set(path, await this.textOf(name, answer, before, [...within, path]))
    }
    return schema
  }

  /** The number of a schema, which is registered if it is not yet. Throws also when it does not go with those before it. */
  async id(subject: string, schema: string, register: boolean): Promise<number> {
    const path = `subjects/${encodeURIComponent(subject)}`
    const answer = await this.ask('POST', register ? `${path}/versions` : path, { schema })
    const { id } = answer.body
    if (typeof id === 'number') return id
    throw this.refusal(`subject "${subject}"`, answer)
  }

  private refusal(what: string, { status, body: { message } }: Answer): CodedError {
    const why = typeof message === 'string' ? message : `status ${status}`
    return new CodedError('REGISTRY_REFUSED', `${what} at ${this.options.url}: ${why}`)
  }

  private async ask(method: string, path: string, body: object | undefined): Promise<Answer> {
    const { url, user, password, answerMs = 10_000 } = this.options
    const at = `${url.replace(/\/+$/, '')}/${path}`
    let status: number
    let text: string
    try {
      const response = await fetch(at, {
        method,
        headers: {
          accept: 'application/vnd.schemaregistry.v1+json',
          ...(body === undefined ? {} : { 'content-type': 'application/vnd.schemaregistry.v1+json' }),
          ...(user === undefined
            ? {}
            : { authorization: `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}` })
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(answerMs)
      })
      ;({ status } = response)
      text = await response.text()
    } catch (cause) {
      const why = (cause as { readonly cause?: Error }).cause ?? (cause as Error)
      throw new CodedError('SOURCE_UNREACHABLE', `schema registry ${url}: ${why.message}`, { cause })
    }
    if (status === 401 || status === 403)
      throw new CodedError('REGISTRY_REFUSED', `schema registry ${url} does not let this user in (status ${status})`)
    if (status === 429 || status >= 500 || text.length > answerLimit)
      throw new CodedError('SOURCE_UNREACHABLE', `schema registry ${url} answers with status ${status}`)
    try {
      const parsed: unknown = JSON.parse(text)
      if (typeof parsed === 'object' && parsed !== null) return { status, body: parsed as Record<string, unknown> }
    } catch {
      // As said below.
    }
    throw new CodedError(
      'REGISTRY_REFUSED',
      `${at} is no schema registry: it answers ${JSON.stringify(text.slice(0, 60))}`
    )
  }
}
