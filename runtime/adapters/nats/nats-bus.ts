/**
 * The control bus over NATS (nats-server 2.9 or newer, with JetStream). It goes on by itself when servers are away, come back, come back
 * empty, or are others of the same cluster; meanwhile messages are lost and leases reject.
 *
 *   subject "orders.reports" ─→ "<prefix>.orders.reports"      leases ─→ bucket "<prefix>_orders"
 *
 * Invariants
 * 1. `publish` never throws and never waits: what cannot be sent now is dropped, so that an outage costs no memory.
 * 2. A lease request settles within `requestTimeoutMs`.
 */
import type { NatsConnection, Status, Subscription } from '@nats-io/transport-node'
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import type { ControlBus } from '../../ports/control-bus.ts'
import { loadNats, type NatsPackages } from './load-nats.ts'
import { messageOf, NatsLeases } from './nats-leases.ts'
import { connectionOptions, resolveNatsOptions, type NatsOptions, type ResolvedNatsOptions } from './nats-options.ts'

/** Published and not known to have reached the server. More would be memory that a server which hangs can take from the job. */
const unsentLimitBytes = 8 * 1024 * 1024
/** After so much the server is asked whether it has arrived. */
const flushBytes = 128 * 1024

/**
 * Connects, and makes the job's bucket. Rejects within `connectTimeoutMs`: PACKAGE_MISSING, OPTION_INVALID, BUS_UNREACHABLE when no
 * server answers, BUS_REFUSED when one does not let this job in or has no JetStream.
 */
export async function connectNats(given: NatsOptions, load = loadNats): Promise<NatsBus> {
  const options = resolveNatsOptions(given)
  const packages = await load()
  const deadline = performance.now() + options.connectTimeoutMs
  const connection = await dial(packages, options)
  const bus = new NatsBus(packages, options, connection)
  for (;;)
    try {
      await bus.leases.open()
      return bus
    } catch (error) {
      // A server that has just started answers before its JetStream does; what is refused is told at once.
      const hopeless = error instanceof CodedError && !error.retriable
      if (hopeless || performance.now() + options.reconnectMs >= deadline) {
        await bus.close()
        throw error
      }
      await new Promise(resolve => setTimeout(resolve, options.reconnectMs))
    }
}

async function dial(packages: NatsPackages, options: ResolvedNatsOptions): Promise<NatsConnection> {
  const { transport } = packages
  const servers = options.servers.join(', ')
  const settings = connectionOptions(options, creds => transport.credsAuthenticator(creds))
  const dialling = transport.connect(settings)
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer within ${options.connectTimeoutMs} ms`)),
      options.connectTimeoutMs
    )
  })
  try {
    return await Promise.race([dialling, limit])
  } catch (error) {
    dialling.then(
      late => void late.close(),
      () => undefined
    )
    const refused =
      error instanceof transport.AuthorizationError || error instanceof transport.UserAuthenticationExpiredError
    const message = `NATS at ${servers}: ${messageOf(error)}`
    throw new CodedError(refused ? 'BUS_REFUSED' : 'BUS_UNREACHABLE', message, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

export class NatsBus implements ControlBus {
  readonly leases: NatsLeases
  private readonly options: ResolvedNatsOptions
  private readonly packages: NatsPackages
  private readonly connection: NatsConnection
  private isConnected = true
  private closed = false
  private unsent = 0
  private unflushed = 0
  private readonly told = new Set<string>()

  constructor(packages: NatsPackages, options: ResolvedNatsOptions, connection: NatsConnection) {
    this.packages = packages
    this.options = options
    this.connection = connection
    // The API check would need one more permission, and says nothing that opening the bucket does not.
    const settings = { timeout: options.requestTimeoutMs, checkAPI: false }
    const client = packages.jetstream.jetstream(connection, settings)
    const ready = (): void => {
      if (this.connected) return
      throw new CodedError('BUS_UNREACHABLE', this.closed ? 'the bus is closed' : `NATS at ${this.servers} is away`)
    }
    this.leases = new NatsLeases({ packages, options, client, ready })
    void this.watch()
  }

  get connected(): boolean {
    return this.isConnected && !this.closed
  }

  publish(subject: string, bytes: Uint8Array): void {
    if (!this.connected) return
    if (this.unsent + bytes.length > unsentLimitBytes) {
      reached('nats: a message dropped because the server is slow')
      return this.trouble('BUS_UNREACHABLE', `NATS at ${this.servers} takes nothing; messages are lost`)
    }
    try {
      this.connection.publish(this.subject(subject), bytes.slice())
    } catch (error) {
      const size = `a message of ${bytes.length} bytes to "${subject}" was lost`
      return this.trouble('BUS_REFUSED', `${size}: ${messageOf(error)}`)
    }
    this.unsent += bytes.length
    this.unflushed += bytes.length
    if (this.unflushed >= flushBytes) this.flush()
  }

  subscribe(subject: string, deliver: (bytes: Uint8Array) => void): () => void {
    if (this.closed) return () => undefined
    let subscription: Subscription | undefined
    const callback = (error: Error | null, message: { readonly data: Uint8Array }): void => {
      if (error !== null) this.trouble('BUS_REFUSED', `nothing is heard of "${subject}": ${error.message}`)
      else if (subscription !== undefined && !this.closed) deliver(message.data)
    }
    subscription = this.connection.subscribe(this.subject(subject), { callback })
    return () => {
      subscription?.unsubscribe()
      subscription = undefined
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    const goodbye = this.isConnected ? this.connection.flush().catch(() => undefined) : undefined
    this.closed = true
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise(resolve => (timer = setTimeout(resolve, this.options.requestTimeoutMs)))
    await Promise.race([goodbye, limit])
    clearTimeout(timer)
    await this.connection.close().catch(() => undefined)
  }

  private get servers(): string {
    return this.options.servers.join(', ')
  }

  private subject(name: string): string {
    return `${this.options.prefix}.${name}`
  }

  private flush(): void {
    const size = this.unflushed
    this.unflushed = 0
    this.connection.flush().then(
      () => (this.unsent = Math.max(0, this.unsent - size)),
      // The connection is gone, and with it what was on its way.
      () => undefined
    )
  }

  private async watch(): Promise<void> {
    void this.connection.closed().then(error => {
      this.isConnected = false
      if (!this.closed)
        this.trouble('BUS_UNREACHABLE', `the connection to NATS at ${this.servers} is over: ${messageOf(error)}`)
    })
    for await (const status of this.connection.status()) this.changed(status)
  }

  private changed(status: Status): void {
    switch (status.type) {
      case 'disconnect':
        this.isConnected = false
        this.unsent = this.unflushed = 0
        this.told.clear()
        if (!this.closed) this.trouble('BUS_UNREACHABLE', `NATS at ${this.servers} is away`)
        return
      case 'reconnect':
        reached('nats: connected again')
        this.isConnected = true
        this.unsent = this.unflushed = 0
        this.told.clear()
        return
      case 'error': {
        const refused = status.error instanceof this.packages.transport.PermissionViolationError
        return this.trouble(refused ? 'BUS_REFUSED' : 'BUS_UNREACHABLE', `NATS: ${status.error.message}`)
      }
      default:
        return
    }
  }

  private trouble(code: 'BUS_REFUSED' | 'BUS_UNREACHABLE', message: string): void {
    if (this.told.has(message)) return
    this.told.add(message)
    this.options.troubled(new CodedError(code, message))
  }
}
