/**
 * Signed requests to one bucket, one object each. An attempt either has an answer, or its outcome is not known; nothing here decides what
 * that means. A body is signed with its SHA-256, which the server compares with what arrived.
 */
import { createHash, randomInt } from 'node:crypto'
import { CodedError } from '../../../runtime/kernel/errors.ts'
import type { Clock } from '../../../runtime/ports/clock.ts'
import { parseError } from './listing.ts'
import type { S3Signer } from './load-signer.ts'
import type { S3Options } from './s3-options.ts'

export interface S3Request {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  /** Without the prefix; '' is the bucket. */
  readonly name: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface S3Answer {
  readonly status: number
  readonly body: Uint8Array
  header(name: string): string | undefined
}

/** Not answered, or answered by somebody who does not know what became of it. */
export interface Unknown {
  readonly status: 'unknown'
  readonly reason: string
}

/** Told to come again; 409: somebody else is about to change the same object. */
const again = new Set([408, 409, 425, 429, 500, 502, 503, 504])
/** A slower server than this is given up. */
const bytesPerMs = 1024
const longestRetryMs = 5_000
const emptyHash = createHash('sha256').digest('hex')

export class S3Client {
  readonly options: S3Options
  private readonly signer: S3Signer
  private readonly clock: Clock
  private readonly keys = new Map<string, ArrayBuffer>()

  constructor(options: S3Options, signer: S3Signer, clock: Clock) {
    this.options = options
    this.signer = signer
    this.clock = clock
  }

  /** Tries until there is an answer that stands. Throws STORAGE_FAILED: what became of it is not known, or it was refused each time. */
  async request(request: S3Request): Promise<S3Answer> {
    let reason = ''
    for (let attempt = 1; attempt <= this.options.attempts; attempt++) {
      if (attempt > 1) await this.pause(attempt)
      const answer = await this.attempt(request)
      if (stands(answer)) return answer
      reason = reasonOf(answer)
    }
    throw this.failure(request, reason)
  }

  /** Before that attempt. Workers that were refused together do not come again together. */
  pause(attempt: number): Promise<void> {
    const waitMs = Math.min(this.options.firstRetryMs * 2 ** (attempt - 2), longestRetryMs)
    return new Promise(resolve => this.clock.after(waitMs / 2 + randomInt(Math.ceil(waitMs / 2) + 1), resolve))
  }

  async attempt(request: S3Request): Promise<S3Answer | Unknown> {
    const { timeoutMs } = this.options
    let limitMs = timeoutMs + (request.body?.length ?? 0) / bytesPerMs
    const abort = new AbortController()
    let cancel = this.clock.after(limitMs, () => abort.abort())
    try {
      const { url, headers } = await this.signed(request)
      const response = await fetch(url, {
        method: request.method,
        headers,
        redirect: 'manual',
        signal: abort.signal,
        ...(request.body === undefined ? {} : { body: request.body as Uint8Array<ArrayBuffer> })
      })
      cancel()
      limitMs = timeoutMs + Number(response.headers.get('content-length') ?? 0) / bytesPerMs
      cancel = this.clock.after(limitMs, () => abort.abort())
      const body = new Uint8Array(await response.arrayBuffer())
      return { status: response.status, body, header: name => response.headers.get(name) ?? undefined }
    } catch (error) {
      if (abort.signal.aborted) return { status: 'unknown', reason: `no answer within ${Math.round(limitMs)} ms` }
      const { cause = error } = error as { readonly cause?: unknown }
      const { code, message } = cause as { readonly code?: string; readonly message?: string }
      return { status: 'unknown', reason: code ?? message ?? String(cause) }
    } finally {
      cancel()
    }
  }

  private async signed({ method, name, query, headers, body }: S3Request): Promise<{ url: URL; headers: Headers }> {
    const { credentials, region } = this.options
    const url = new URL(`${this.options.url}/${name === '' ? '' : this.options.prefix + name}`)
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value)
    return new this.signer.AwsV4Signer({
      method,
      url: url.href,
      headers: {
        ...headers,
        'x-amz-content-sha256': body === undefined ? emptyHash : createHash('sha256').update(body).digest('hex')
      },
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
      service: 's3',
      region,
      cache: this.keys,
      datetime: new Date(this.clock.now()).toISOString().replace(/[:-]|\.\d{3}/g, '')
    }).sign()
  }

  /** An answer that is no success. */
  refusal(request: S3Request, answer: S3Answer): CodedError {
    return this.failure(request, reasonOf(answer), remedyOf(answer))
  }

  failure({ method, name }: S3Request, reason: string, remedy?: string): CodedError {
    const place = name === '' ? this.options.shown : `${this.options.shown}/${name}`
    return new CodedError('STORAGE_FAILED', `checkpoint storage at "${place}": ${method}: ${reason}`, {
      remedy: remedy ?? `See whether ${new URL(this.options.url).host} runs and can be reached; it is tried again.`
    })
  }
}

/** To ask once more would bring the same. */
export const stands = (answer: S3Answer | Unknown): answer is S3Answer =>
  answer.status !== 'unknown' && !again.has(answer.status)

/** A missing bucket or an unknown user may be a 404, too, and must not be taken for a missing object. */
export const isAbsent = ({ status, body }: S3Answer): boolean => status === 404 && errorOf(body).code === 'NoSuchKey'

const errorOf = (body: Uint8Array): ReturnType<typeof parseError> => parseError(new TextDecoder().decode(body))

export function reasonOf(answer: S3Answer | Unknown): string {
  if (answer.status === 'unknown') return answer.reason
  const { code, message } = errorOf(answer.body)
  const region = answer.header('x-amz-bucket-region')
  const elsewhere = answer.status < 400 && region !== undefined ? `; the bucket is in region ${region}` : ''
  return `${answer.status}${code === '' ? '' : ` ${code}`}${message === '' ? '' : `: ${message.slice(0, 300)}`}${elsewhere}`
}

function remedyOf({ status, body }: S3Answer): string {
  const { code } = errorOf(body)
  if (status === 401 || status === 403 || /User|AccessKey/.test(code))
    return 'Correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or give them the rights listed in docs/storage.md.'
  if (status === 404) return 'Make the bucket, or correct its name in --storage.'
  if (status < 400) return 'Correct endpoint and region in --storage.'
  return 'See docs/storage.md for what is asked of a server.'
}
