/**
 * A control bus like NATS: one server, at-most-once messages, a bucket of leases. All of it is advice, so all of it may lie.
 *
 *   process ─→ (way there) ─→ server: subjects, leases ─→ (way back) ─→ process
 *
 * Invariants
 * 1. Without faults: messages of one process arrive in order, once; a lease has one value and its revisions grow.
 * 2. A message is delivered only to subscriptions that the server knew when it passed, of processes it was connected to then.
 * 3. A request that got no answer rejects after `requestTimeoutMs`; what it asked for may have been done.
 */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { ControlBus, LeaseBucket } from '../../runtime/ports/control-bus.ts'
import { Chances, Hits } from './chances.ts'
import { LeaseTable, type LeaseFaults } from './lease-table.ts'
import type { Outcome, SimProcess } from './process.ts'
import type { WorldTime } from './time.ts'

export interface ControlBusOptions {
  /** One way, at least; default 0.3. */
  readonly latencyMs?: number
  /** Mean of what comes on top, exponentially; default 0.5. */
  readonly jitterMs?: number
  /** Of a lease that is not written; default 5,000. */
  readonly leaseTtlMs?: number
  /** Until a request without an answer rejects; default 2,000. */
  readonly requestTimeoutMs?: number
  /** Until a process notices that the bus is away, and again that it is back; default 1,000. */
  readonly noticeMs?: number
}

/** Chances per message and hop, except where said otherwise. Several in force add up. */
export interface BusFaults extends LeaseFaults {
  readonly loss?: number
  readonly duplication?: number
  /** Chance to be overtaken: delayed by up to `reorderMs`. */
  readonly reorder?: number
  readonly reorderMs?: number
  /** Chance per request that its answer alone is lost. */
  readonly lostReply?: number
}

export type BusDirection = 'to-bus' | 'from-bus' | 'both'

const defaults: Required<ControlBusOptions> = {
  latencyMs: 0.3,
  jitterMs: 0.5,
  leaseTtlMs: 5_000,
  requestTimeoutMs: 2_000,
  noticeMs: 1_000
}

export class SimControlBus {
  readonly time: WorldTime
  readonly options: Required<ControlBusOptions>
  readonly leases: LeaseTable
  readonly random: Prng
  /** How often each fault struck. */
  readonly hits = new Hits()
  private readonly chances: Chances
  private readonly clients = new Set<BusClient>()
  private readonly disturbances = new Set<BusFaults>()
  private readonly cuts = new Map<string, number>()
  /** `host<from`, or `host<` for all: what the server does not pass on. */
  private readonly deaf = new Map<string, number>()
  private outages = 0

  constructor(time: WorldTime, random: Prng, options: ControlBusOptions = {}) {
    this.time = time
    this.random = random.fork('control-bus')
    this.options = { ...defaults, ...options }
    this.chances = new Chances(this.random, this.hits)
    this.leases = new LeaseTable(time, this.chances, this.options.leaseTtlMs, name => this.rate(name))
  }

  /** What one process sees. */
  bus(process: SimProcess): ControlBus {
    const client = new BusClient(this, process)
    this.clients.add(client)
    process.onDeath(() => this.clients.delete(client))
    return client
  }

  /** The server is away. Returns what brings it back, with its leases as they have meanwhile become. */
  outage(): () => void {
    this.outages++
    this.reachabilityChanged()
    return once(() => {
      this.outages--
      this.reachabilityChanged()
    })
  }

  /** The server's data are gone: every lease, and the count of revisions. */
  wipe(): void {
    this.leases.wipe()
  }

  disturb(faults: BusFaults): () => void {
    this.disturbances.add(faults)
    return once(() => this.disturbances.delete(faults))
  }

  cut(host: string, direction: BusDirection): () => void {
    const names = [direction !== 'from-bus' ? `${host}>` : '', direction !== 'to-bus' ? `>${host}` : '']
    const change = (by: number): void => {
      for (const name of names) if (name !== '') this.cuts.set(name, (this.cuts.get(name) ?? 0) + by)
      this.reachabilityChanged()
    }
    change(1)
    return once(() => change(-1))
  }

  /** A host is not told what another one, or any other, publishes; leases are as they were. */
  deafen(host: string, from = ''): () => void {
    const name = `${host}<${from}`
    this.deaf.set(name, (this.deaf.get(name) ?? 0) + 1)
    return once(() => this.deaf.set(name, (this.deaf.get(name) ?? 1) - 1))
  }

  hears(host: string, from: string): boolean {
    if (host === from || [from, ''].every(name => (this.deaf.get(`${host}<${name}`) ?? 0) === 0)) return true
    this.hits.count('deaf')
    return false
  }

  get up(): boolean {
    return this.outages === 0
  }
  /** @param road `host>` to the bus, `>host` from it */
  reaches(road: string): boolean {
    return this.up && (this.cuts.get(road) ?? 0) === 0
  }
  /** As `reaches`, for something that is on its way. */
  lets(road: string): boolean {
    if (this.reaches(road)) return true
    this.hits.count(this.up ? 'cut' : 'outage')
    return false
  }

  rate(name: keyof BusFaults): number {
    let sum = 0
    for (const faults of this.disturbances) sum += faults[name] ?? 0
    return sum
  }
  strikes(name: keyof BusFaults): boolean {
    return this.chances.strikes(name, this.rate(name))
  }

  /** To all that listen now. */
  spread(subject: string, bytes: Uint8Array, from: string): void {
    for (const client of this.clients) client.offer(subject, bytes, from)
  }

  forget(client: BusClient): void {
    this.clients.delete(client)
  }

  lateness(): number {
    return this.chances.of('reorder').next() * (this.rate('reorderMs') || 100)
  }

  delay(): number {
    return this.options.latencyMs - Math.log(1 - this.random.next()) * this.options.jitterMs
  }

  private reachabilityChanged(): void {
    for (const client of this.clients) client.reachabilityChanged()
  }
}

class BusClient implements ControlBus {
  readonly leases: LeaseBucket
  connected = true
  private readonly server: SimControlBus
  private readonly process: SimProcess
  private readonly subscriptions = new Map<string, Set<Subscription>>()
  /** Grows with each connection: what the server knew of an older one is void. */
  private session = 1
  private closed = false
  /** When the newest message of each way arrives: the next does not overtake it. */
  private readonly newest = { there: 0, back: 0 }

  constructor(server: SimControlBus, process: SimProcess) {
    this.server = server
    this.process = process
    this.connected = this.reachable
    this.leases = {
      get: key => this.request('reads a lease', () => server.leases.get(key, process.name)),
      put: (key, value, revision) => {
        const copy = value.slice()
        return this.request('writes a lease', () => server.leases.put(key, copy, revision, process.name))
      },
      remove: (key, revision) =>
        this.request('removes a lease', () => server.leases.remove(key, revision, process.name))
    }
  }

  publish(subject: string, bytes: Uint8Array): void {
    if (this.closed) return
    const copy = bytes.slice()
    this.process.effect('publishes', () => {
      if (this.connected)
        this.pass('there', () => this.server.spread(subject, copy, this.process.host.name), 'to the bus')
    })
  }

  subscribe(subject: string, deliver: (bytes: Uint8Array) => void): () => void {
    const subscription: Subscription = { deliver, session: 0 }
    const known = this.subscriptions.get(subject) ?? new Set()
    this.subscriptions.set(subject, known.add(subscription))
    this.process.effect('subscribes', () => this.register(subscription))
    return () => known.delete(subscription)
  }

  close(): Promise<void> {
    this.closed = true
    this.connected = false
    this.subscriptions.clear()
    this.server.forget(this)
    return Promise.resolve()
  }

  offer(subject: string, bytes: Uint8Array, from: string): void {
    const listening = this.subscriptions.get(subject)
    if (listening === undefined || !this.server.hears(this.process.host.name, from)) return
    for (const subscription of listening) {
      if (subscription.session !== this.session || !this.connected) continue
      const tell = (): void => {
        if (listening.has(subscription)) subscription.deliver(bytes.slice())
      }
      this.pass('back', () => this.process.deliver(tell, 'told'), 'from the bus')
    }
  }

  reachabilityChanged(): void {
    const now = this.reachable
    this.process.after(
      this.server.options.noticeMs * (0.5 + this.server.random.next()),
      () => {
        if (this.closed || this.reachable !== now || this.connected === now) return
        this.connected = now
        this.session++
        if (!now) return
        for (const each of this.subscriptions.values()) for (const subscription of each) this.register(subscription)
      },
      now ? 'connects to the bus' : 'misses the bus'
    )
  }

  /** The server learns of it one hop later, and forgets it with the connection. */
  private register(subscription: Subscription): void {
    const { session } = this
    if (!this.connected || this.closed) return
    this.hop('there', () => (subscription.session = session), 'subscribes')
  }

  private get reachable(): boolean {
    const { name } = this.process.host
    return this.server.reaches(`${name}>`) && this.server.reaches(`>${name}`)
  }

  /** One hop of a message: lost, late, repeated; in order otherwise. */
  private pass(way: 'there' | 'back', arrive: () => void, label: string): void {
    const { server } = this
    const repeated = server.strikes('duplication')
    if (!server.strikes('loss')) this.hop(way, arrive, label, server.strikes('reorder'))
    if (repeated && !server.strikes('loss')) this.hop(way, arrive, label, true)
  }

  private hop(way: 'there' | 'back', arrive: () => void, label: string, late = false): void {
    const { server } = this
    const { name } = this.process.host
    const road = way === 'there' ? `${name}>` : `>${name}`
    if (!server.lets(road)) return
    const now = server.time.now()
    let delayMs = server.delay()
    if (late) delayMs += server.lateness()
    else this.newest[way] = now + (delayMs = Math.max(delayMs, this.newest[way] - now))
    const arrives = (): void => {
      if (server.lets(road)) arrive()
    }
    server.time.schedule(delayMs, arrives, label, this.process.name)
  }

  private request<T>(label: string, work: () => T): Promise<T> {
    return this.process.ask<T>(label, answer => {
      const cancel = this.server.time.schedule(
        this.server.options.requestTimeoutMs,
        () => answer({ error: new Error(`the control bus did not answer: ${this.process.name} ${label}`) }),
        `${label}: no answer`,
        this.process.name
      )
      if (this.closed) return
      const done = (outcome: Outcome<T>): void => {
        cancel()
        answer(outcome)
      }
      const worked = (): void => {
        const value = work()
        if (this.server.strikes('lostReply')) return
        this.pass('back', () => done({ value }), `${label}: answer`)
      }
      this.pass('there', worked, label)
    })
  }
}

interface Subscription {
  readonly deliver: (bytes: Uint8Array) => void
  /** For which connection the server knows it. */
  session: number
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
