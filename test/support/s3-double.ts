/** As much of an S3 server as checkpoint storage asks of one, in memory, with mistakes and accidents on demand. It believes every signature. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { parseS3, type S3Options } from '../../checkpoint/adapters/s3/s3-options.ts'
import { S3Root } from '../../checkpoint/adapters/s3/s3-root.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'

/** What becomes of one request: a status in place of it, or the connection cut before or after it was done; `silence`: never answered. */
export type Accident =
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly done?: boolean }
  | { readonly kind: 'cut'; readonly done: boolean }
  | { readonly kind: 'silence' }

export type S3Mistake =
  | 'no condition'
  | 'looks first, writes then'
  | 'no metadata'
  | 'metadata of whoever was refused'
  | 'first page only'
  | 'listing of the page before'
  | 'no ranges'
  | 'condition not known'

interface Stored {
  readonly body: Buffer
  readonly metadata: Readonly<Record<string, string>>
}

const environment = { AWS_ACCESS_KEY_ID: 'somebody', AWS_SECRET_ACCESS_KEY: 'secret' }
/** So small that every listing has pages. */
const pageLength = 2

export class S3Double {
  readonly objects = new Map<string, Stored>()
  readonly requests: { readonly method: string; readonly path: string }[] = []
  accident: (method: string, path: string) => Accident | undefined = () => undefined
  private readonly mistake: S3Mistake | undefined
  private readonly server: Server

  private constructor(mistake: S3Mistake | undefined) {
    this.mistake = mistake
    this.server = createServer((request, response) => void this.handle(request, response))
  }

  static async start(t: Test, mistake?: S3Mistake): Promise<S3Double> {
    const double = new S3Double(mistake)
    await new Promise<void>(resolve => double.server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      double.server.closeAllConnections()
      double.server.close()
    })
    return double
  }

  options(prefix = 'of/jobs'): S3Options {
    const { port } = this.server.address() as AddressInfo
    const text = `s3://bucket/${prefix}?endpoint=http://127.0.0.1:${port}`
    return { ...parseS3(text, environment), firstRetryMs: 1 }
  }

  open(options: Partial<S3Options> = {}): Promise<S3Root> {
    return S3Root.open({ ...this.options(), ...options }, nodeClock)
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://double')
    const { method = '' } = request
    this.requests.push({ method, path: url.pathname })
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const accident = this.accident(method, url.pathname)
    if (accident?.kind === 'silence') return
    if (accident?.kind === 'cut' && !accident.done) return void request.socket.destroy()
    if (accident?.kind === 'status' && accident.done !== true)
      return failed(response, accident.status, accident.code ?? 'Accident')
    const answer = await this.answer(method, url, request, body)
    if (accident?.kind === 'cut') return void request.socket.destroy()
    if (accident?.kind === 'status') return failed(response, accident.status, accident.code ?? 'Accident')
    answer(response)
  }

  private async answer(
    method: string,
    url: URL,
    request: IncomingMessage,
    body: Buffer
  ): Promise<(response: ServerResponse) => void> {
    const refuse = (status: number, code: string) => (response: ServerResponse) => failed(response, status, code)
    const hash = createHash('sha256').update(body).digest('hex')
    if (request.headers['x-amz-content-sha256'] !== hash) return refuse(400, 'XAmzContentSHA256Mismatch')
    if (!/^AWS4-HMAC-SHA256 Credential=/.test(request.headers.authorization ?? '')) return refuse(403, 'AccessDenied')
    if (!url.pathname.startsWith('/bucket/')) return refuse(404, 'NoSuchBucket')
    const key = url.pathname.slice('/bucket/'.length)
    const stored = this.objects.get(key)
    if (key === '') return this.listed(url.searchParams)
    if (method === 'PUT') return this.put(key, request, body)
    if (method === 'DELETE') {
      this.objects.delete(key)
      return response => void response.writeHead(204).end()
    }
    if (stored === undefined) return refuse(404, 'NoSuchKey')
    const range = this.mistake === 'no ranges' ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (range !== null && Number(range[1]) >= stored.body.length) return refuse(416, 'InvalidRange')
    const part = range === null ? stored.body : stored.body.subarray(Number(range[1]), Number(range[2]) + 1)
    const headers = this.mistake === 'no metadata' ? {} : stored.metadata
    return response =>
      void response
        .writeHead(range === null ? 200 : 206, { ...headers, 'content-length': part.length })
        .end(method === 'HEAD' ? undefined : part)
  }

  private async put(key: string, request: IncomingMessage, body: Buffer): Promise<(response: ServerResponse) => void> {
    const conditional = request.headers['if-none-match'] === '*'
    if (conditional && this.mistake === 'condition not known')
      return response => failed(response, 501, 'NotImplemented')
    const there = this.objects.has(key)
    if (this.mistake === 'looks first, writes then') await new Promise(resolve => setTimeout(resolve, 5))
    const metadata = Object.fromEntries(
      Object.entries(request.headers).flatMap(([name, value]) =>
        name.startsWith('x-amz-meta-') ? [[name, String(value)]] : []
      )
    )
    if (conditional && this.mistake !== 'no condition' && there) {
      const stored = this.objects.get(key)
      if (stored !== undefined && this.mistake === 'metadata of whoever was refused')
        this.objects.set(key, { ...stored, metadata })
      return response => failed(response, 412, 'PreconditionFailed')
    }
    this.objects.set(key, { body, metadata })
    return response => void response.writeHead(200).end()
  }

  private listed(query: URLSearchParams): (response: ServerResponse) => void {
    const prefix = query.get('prefix') ?? ''
    const entries = new Set(
      [...this.objects.keys()]
        .filter(key => key.startsWith(prefix))
        .map(key => prefix + key.slice(prefix.length).replace(/\/.*/s, '/'))
    )
    const sorted = [...entries].sort()
    const from = this.mistake === 'listing of the page before' ? 0 : Number(query.get('continuation-token') ?? 0)
    const page = sorted.slice(from, from + pageLength)
    const more = from + pageLength < sorted.length && this.mistake !== 'first page only'
    const xml = page.map(each =>
      each.endsWith('/')
        ? `<CommonPrefixes><Prefix>${each}</Prefix></CommonPrefixes>`
        : `<Contents><Key>${each}</Key><Size>1</Size></Contents>`
    )
    const next = more ? `<NextContinuationToken>${from + pageLength}</NextContinuationToken>` : ''
    const head = `<Prefix>${prefix}</Prefix><IsTruncated>${more}</IsTruncated>${next}`
    return response =>
      void response.end(`<?xml version="1.0"?><ListBucketResult>${head}${xml.join('')}</ListBucketResult>`)
  }
}

function failed(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status).end(`<Error><Code>${code}</Code><Message>as &quot;ordered&quot;</Message></Error>`)
}
