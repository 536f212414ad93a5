/** Answers whoever watches over the process: `/metrics`, `/livez`, `/readyz`. It changes nothing. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Address } from '../address.ts'
import type { MetricsPage } from './metrics-page.ts'
import { readiness, type Observed } from './observed.ts'

export interface HealthServer {
  /** Where it is, without a path. */
  readonly url: string
  close(): Promise<void>
}

/** Who asks is near and asks for little: more of either would be somebody else. */
const limits = { requestMs: 10_000, connections: 64, headerBytes: 8 * 1024 }

/** Rejects with OPTION_INVALID where nothing can listen. */
export async function startHealthServer(
  option: string,
  { host, port }: Address,
  page: MetricsPage,
  observe: () => Observed
): Promise<HealthServer> {
  const server = createServer(
    { requestTimeout: limits.requestMs, headersTimeout: limits.requestMs, maxHeaderSize: limits.headerBytes },
    (request, response) => {
      answer(request, page, observe).then(
        ({ status, type, text }) => reply(request, response, status, type, text),
        (error: unknown) =>
          reply(request, response, 500, plain, `${error instanceof Error ? error.message : String(error)}\n`)
      )
    }
  )
  server.maxConnections = limits.connections
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new CodedError('OPTION_INVALID', `${option} "${host}:${port}": ${reasons[cause.code ?? ''] ?? cause.message}`, {
          cause
        })
      )
    )
    server.listen(port, host === '' ? undefined : host, resolve)
  })
  server.on('error', () => undefined)
  const at = server.address() as AddressInfo
  return {
    url: `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`,
    async close() {
      page.close()
      server.closeAllConnections()
      await new Promise<void>(resolve => server.close(() => resolve()))
    }
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something else listens there already; port 0 is a free one',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'there is no such host',
  EACCES: 'this user may not listen there; ports from 1024 on are open to everybody'
}

const plain = 'text/plain; charset=utf-8'

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

async function answer(request: IncomingMessage, page: MetricsPage, observe: () => Observed): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, type: plain, text: 'only GET and HEAD\n' }
  switch ((request.url ?? '/').replace(/\?.*/s, '')) {
    case '/metrics':
      return { status: 200, type: page.contentType, text: await page.text() }
    // That it is answered shows that the event loop turns; a process that has failed for good ends.
    case '/livez':
      return { status: 200, type: plain, text: 'alive\n' }
    case '/readyz': {
      const { ready, text } = readiness(observe())
      return { status: ready ? 200 : 503, type: plain, text: `${text}\n` }
    }
    default:
      return { status: 404, type: plain, text: 'there are /metrics, /livez and /readyz\n' }
  }
}

function reply(request: IncomingMessage, response: ServerResponse, status: number, type: string, text: string): void {
  const body = Buffer.from(text)
  const allow = status === 405 ? { allow: 'GET, HEAD' } : {}
  response.writeHead(status, {
    'content-type': type,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...allow
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
