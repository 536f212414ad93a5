/** The registry of schemas, by three calls of its HTTP interface. What it once said of a number is true for ever, and is kept. */
import { CodedError } from '../../kernel/errors.ts'

export interface SchemaRegistryOptions {
  /** `http://host:port`, with a path where it has one. */
  readonly url: string
  readonly user?: string
  readonly password?: string
  /** Default 10,000. Until an unanswered call counts as failed. */
  readonly answerMs?: number
}

/** Longer answers are no schemas. */
const answerLimit = 4 * 1024 * 1024

export class SchemaRegistry {
  private readonly options: SchemaRegistryOptions
  private readonly schemas = new Map<number, Promise<string | undefined>>()

  constructor(options: SchemaRegistryOptions) {
    this.options = options
  }

  /** Its text; undefined: there is none of that number. Throws SOURCE_UNREACHABLE, REGISTRY_REFUSED. */
  schema(id: number): Promise<string | undefined> {
    let found = this.schemas.get(id)
    if (found === undefined) {
      found = this.ask('GET', `schemas/ids/${id}`, undefined).then(({ status, body }) => {
        if (status === 404) return undefined
        if (body['schemaType'] !== undefined && body['schemaType'] !== 'AVRO')
          throw new CodedError('REGISTRY_REFUSED', `schema ${id} is not Avro but ${JSON.stringify(body['schemaType'])}`)
        return String(body['schema'])
      })
      this.schemas.set(id, found)
      // Only what was answered is kept.
      found.catch(() => this.schemas.delete(id))
    }
    return found
  }

  /** The number of a schema, which is registered if it is not yet. Throws also when it does not go with those before it. */
  async id(subject: string, schema: string, register: boolean): Promise<number> {
    const path = `subjects/${encodeURIComponent(subject)}`
    const { status, body } = await this.ask('POST', register ? `${path}/versions` : path, { schema })
    if (typeof body['id'] === 'number') return body['id']
    const why = typeof body['message'] === 'string' ? body['message'] : `status ${status}`
    throw new CodedError('REGISTRY_REFUSED', `subject "${subject}" at ${this.options.url}: ${why}`)
  }

  private async ask(
    method: string,
    path: string,
    body: object | undefined
  ): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }> {
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
