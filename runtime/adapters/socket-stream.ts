/** A socket as a `ByteStream`, and the opening of one. */
import type { Socket } from 'node:net'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { ByteStream } from '../ports/transport.ts'

export interface SocketStreamOptions {
  /** Written and not yet taken by the system: from there on `write` says false. More is memory per peer. */
  readonly highWaterBytes: number
  /** A closed stream may go on sending what was written for so long. */
  readonly lingerMs: number
}

/** Rejects with PEER_LOST when the socket does not say `event` in time; it is destroyed then. */
export function whenConnected(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  address: string,
  timeoutMs: number
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(new CodedError('PEER_LOST', `no connection to ${address}: ${why}`, cause === undefined ? {} : { cause }))
    }
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs)
    const failed = (error: Error): void => fail(error.message, error)
    const closed = (): void => fail('closed')
    socket.once('error', failed)
    socket.once('close', closed)
    socket.once(event, () => {
      clearTimeout(timer)
      socket.off('error', failed)
      socket.off('close', closed)
      resolve()
    })
  })
}

/** `[v6]:port`, `v4:port` or `name:port`; without a port only where there is a default. */
export function splitAddress(
  address: string,
  defaultPort?: number
): { readonly host: string; readonly port: number } | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+))(?::(\d{1,5}))?$/.exec(address) ?? []
  const port = digits === undefined ? defaultPort : Number(digits)
  const host = v6 ?? name
  return host === undefined || port === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

export class SocketStream implements ByteStream {
  private readonly socket: Socket
  private readonly options: SocketStreamOptions
  private drained: (() => void) | undefined
  private closed: ((reason: string) => void) | undefined
  /** Why it ended, for whoever asks late. */
  private reason: string | undefined
  private error: Error | undefined
  private closing = false
  private full = false
  private corked = false

  constructor(socket: Socket, options: SocketStreamOptions) {
    this.socket = socket
    this.options = options
    socket.on('error', error => (this.error = error))
    socket.on('drain', () => {
      if (!this.full) return
      this.full = false
      this.drained?.()
    })
    socket.once('close', () => this.ended())
  }

  write(bytes: Uint8Array): boolean {
    const { socket } = this
    if (this.closing || !socket.writable) return true
    // All that is written in one turn leaves in one system call.
    if (!this.corked) {
      this.corked = true
      socket.cork()
      process.nextTick(() => {
        this.corked = false
        socket.uncork()
      })
    }
    socket.write(bytes)
    this.full = socket.writableLength >= this.options.highWaterBytes
    return !this.full
  }

  onData(callback: (bytes: Uint8Array) => void): void {
    this.socket.removeAllListeners('data')
    // Nothing was read before: it waits in the system, and so does the end.
    this.socket.on('data', chunk => {
      if (!this.closing) callback(chunk)
    })
    this.socket.resume()
  }

  onDrain(callback: () => void): void {
    this.drained = callback
  }

  onClose(callback: (reason: string) => void): void {
    this.closed = callback
    if (this.reason !== undefined) queueMicrotask(() => this.tell())
  }

  close(): void {
    if (this.closing) return
    this.closing = true
    const { socket } = this
    if (socket.destroyed) return
    socket.end()
    // What still comes is thrown away. Unread, it would make the system reset the connection, and the peer lose our last bytes.
    socket.resume()
    const timer = setTimeout(() => {
      reached('tcp: a peer did not take the rest')
      socket.destroy()
    }, this.options.lingerMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
  }

  private ended(): void {
    this.reason = this.error === undefined ? 'closed by the other side' : this.error.message
    this.tell()
  }

  private tell(): void {
    const { closed, reason } = this
    if (closed === undefined || reason === undefined || this.closing) return
    this.closed = undefined
    closed(reason)
  }
}
