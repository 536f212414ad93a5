/**
 * Streams between workers over TCP, or over mutual TLS when there are certificates. Without TLS whoever reaches the port can speak to the
 * worker: bind it to a network of the workers only.
 *
 * A peer that vanished without a word is not found here for a long time: heartbeats of the layer above do that. Keep-alive only frees
 * the connections of such peers in the end.
 */
import { createServer, isIP, Socket, type AddressInfo, type Server } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { ByteStream, Transport } from '../ports/transport.ts'
import { SocketStream, splitAddress, whenConnected } from './socket-stream.ts'

/** PEM. Each side shows its certificate, and accepts only those signed by `ca`. */
export interface TcpTls {
  readonly ca: string
  readonly certificate: string
  readonly key: string
  /** The name that every worker's certificate bears, when it is not that of its host. */
  readonly serverName?: string
}

export interface TcpOptions {
  /** Address to bind; default 127.0.0.1. `0.0.0.0` and `::` need `advertise`. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** `host` or `host:port` by which other workers reach this one, when it is not what is bound. */
  readonly advertise?: string
  readonly tls?: TcpTls
  /** Until `connect` rejects; default 5,000. */
  readonly connectTimeoutMs?: number
  /** Written and not yet taken by the system: from there on `write` says false; default 1 MiB. More is memory per peer. */
  readonly highWaterBytes?: number
  /** A closed stream may go on sending what was written for so long; default 5,000. */
  readonly lingerMs?: number
  /** Idle time before the system asks whether the peer is still there; default 10,000. */
  readonly keepAliveMs?: number
  /** Connections accepted at once; more are closed at once. Default 1,024: file descriptors are shared with storage. */
  readonly connectionLimit?: number
}
type Resolved = Required<Omit<TcpOptions, 'advertise' | 'tls'>> & Pick<TcpOptions, 'advertise' | 'tls'>

const wildcards = ['0.0.0.0', '::', '']

/** Throws OPTION_INVALID. */
export function tcpTransport(options: TcpOptions = {}): TcpTransport {
  const resolved: Resolved = {
    host: '127.0.0.1',
    port: 0,
    connectTimeoutMs: 5_000,
    highWaterBytes: 1024 * 1024,
    lingerMs: 5_000,
    keepAliveMs: 10_000,
    connectionLimit: 1_024,
    ...options
  }
  const wrong: string[] = []
  if (!Number.isInteger(resolved.port) || resolved.port < 0 || resolved.port > 65_535)
    wrong.push(`port ${resolved.port} is none`)
  if (options.advertise !== undefined && splitAddress(options.advertise, 1) === undefined)
    wrong.push(`advertise "${options.advertise}" is not of the form host or host:port`)
  if (wildcards.includes(resolved.host) && options.advertise === undefined)
    wrong.push(
      `host "${resolved.host}" is bound, but others cannot connect to it: say with advertise how they reach it`
    )
  if (wrong.length > 0) throw new CodedError('OPTION_INVALID', `data connections: ${wrong.join('; ')}`)
  return new TcpTransport(resolved)
}

export class TcpTransport implements Transport {
  private readonly options: Resolved
  private readonly sockets = new Set<Socket>()
  private readonly servers = new Set<Server>()

  constructor(options: Resolved) {
    this.options = options
  }

  /** Rejects with LISTEN_FAILED. */
  async listen(accept: (stream: ByteStream) => void): Promise<{ readonly address: string; close(): Promise<void> }> {
    const { host, port, tls, connectTimeoutMs, connectionLimit } = this.options
    const server =
      tls === undefined
        ? createServer({ pauseOnConnect: true })
        : createTlsServer({
            ca: tls.ca,
            cert: tls.certificate,
            key: tls.key,
            minVersion: 'TLSv1.3',
            requestCert: true,
            rejectUnauthorized: true,
            handshakeTimeout: connectTimeoutMs
          })
    server.maxConnections = connectionLimit
    // Also those that never get through the handshake, so that they end with the transport.
    server.on('connection', (socket: Socket) => this.keep(socket))
    server.on('drop', () => reached('tcp: too many connections'))
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => {
      reached('tcp: a stranger without a certificate')
      socket.destroy()
    })
    server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => accept(this.stream(socket)))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: Error) =>
        reject(new CodedError('LISTEN_FAILED', `cannot listen on ${host}:${port}: ${error.message}`, { cause: error }))
      )
      server.listen({ host, port }, resolve)
    })
    server.on('error', () => reached('tcp: a connection could not be accepted'))
    this.servers.add(server)
    return { address: this.addressOf(server), close: () => this.stop(server) }
  }

  async connect(address: string): Promise<ByteStream> {
    const { connectTimeoutMs } = this.options
    const target = splitAddress(address)
    if (target === undefined) throw new CodedError('PEER_LOST', `"${address}" is no address of the form host:port`)
    const { socket, event } = this.dial(target.host, target.port)
    this.keep(socket)
    await whenConnected(socket, event, address, connectTimeoutMs)
    return this.stream(socket)
  }

  /** Ends all connections and listeners at once; what was not sent is lost. */
  destroy(): void {
    for (const server of this.servers) server.close()
    for (const socket of this.sockets) socket.destroy()
  }

  private dial(host: string, port: number): { readonly socket: Socket; readonly event: 'connect' | 'secureConnect' } {
    const { tls } = this.options
    if (tls === undefined) {
      const socket = new Socket()
      socket.connect({ host, port })
      return { socket, event: 'connect' }
    }
    const name = tls.serverName ?? (isIP(host) === 0 ? host : undefined)
    const socket = connectTls({
      host,
      port,
      ca: tls.ca,
      cert: tls.certificate,
      key: tls.key,
      minVersion: 'TLSv1.3',
      ...(name !== undefined && { servername: name })
    })
    return { socket, event: 'secureConnect' }
  }

  private stream(socket: Socket): ByteStream {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, this.options.keepAliveMs)
    this.keep(socket)
    return new SocketStream(socket, this.options)
  }

  private keep(socket: Socket): void {
    if (this.sockets.has(socket)) return
    this.sockets.add(socket)
    // Whoever uses the socket listens, too; without any listener an error would end the process.
    socket.on('error', () => undefined)
    socket.once('close', () => this.sockets.delete(socket))
  }

  private addressOf(server: Server): string {
    const { host, advertise } = this.options
    const { port } = server.address() as AddressInfo
    const shown = advertise === undefined ? { host, port } : splitAddress(advertise, port)
    if (shown === undefined) throw new Error('checked before')
    return `${isIP(shown.host) === 6 ? `[${shown.host}]` : shown.host}:${shown.port}`
  }

  private async stop(server: Server): Promise<void> {
    if (!this.servers.delete(server)) return
    // Not waited for: connections that stand are their owners'.
    server.close()
  }
}
