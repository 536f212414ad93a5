/**
 * Connections between processes, TCP-shaped: bytes arrive in order, in chunks cut anywhere, up to some point; and nobody can tell a
 * silent peer from a dead one.
 *
 *   write → send buffer of this end → (link: latency, rate, cut, stall) → receive buffer of the other machine → its process
 *
 * Invariants
 * 1. What a process is given is a prefix of what its peer wrote, unless `corruption` says otherwise.
 * 2. `onClose` is called at most once, after all data, never on the side that closed, never on a half-open end.
 * 3. A cut loses nothing by itself: bytes wait as TCP's retransmissions would, and the end whose bytes wait too long gives up alone.
 */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { ByteStream, Transport } from '../../runtime/ports/transport.ts'
import { Hits } from './chances.ts'
import { Connection } from './connection.ts'
import type { Outcome, SimHost, SimProcess } from './process.ts'
import type { WorldTime } from './time.ts'

export interface NetworkOptions {
  /** One way, at least; default 0.2. */
  readonly latencyMs?: number
  /** Mean of what comes on top, exponentially; default 0.3. */
  readonly jitterMs?: number
  /** Default 100,000: 100 MB/s. */
  readonly bytesPerMs?: number
  /** Written and not taken by the peer: more of it and `write` says false; default 64 KiB. */
  readonly highWaterBytes?: number
  /** Largest chunk; default 16 KiB. */
  readonly chunkBytes?: number
  /** Bytes that waited longer break the connection for the end that sent them; default 20,000. */
  readonly giveUpMs?: number
  /** Until `connect` rejects when nothing answers at all; default 5,000. */
  readonly connectTimeoutMs?: number
}
export type ResolvedNetworkOptions = Required<NetworkOptions>

export const networkDefaults: ResolvedNetworkOptions = {
  latencyMs: 0.2,
  jitterMs: 0.3,
  bytesPerMs: 100_000,
  highWaterBytes: 65_536,
  chunkBytes: 16_384,
  giveUpMs: 20_000,
  connectTimeoutMs: 5_000
}

/** One direction between two machines. */
export class Link {
  /** Cuts in force. */
  cuts = 0
  /** Stalls in force: like a cut, but nobody gives up. */
  stalls = 0
  readonly slownesses = new Set<{ readonly factor: number }>()
  readonly corruptions = new Set<{ readonly chance: number }>()
  /** `from>to` */
  readonly name: string
  readonly random: Prng
  /** Called when it is open again, in order. */
  readonly waiting = new Set<() => void>()

  constructor(name: string, random: Prng) {
    this.name = name
    this.random = random
  }
  /** Latency and time per byte are multiplied by it. */
  get slowness(): number {
    let product = 1
    for (const { factor } of this.slownesses) product *= factor
    return product
  }
  /** Chance of a flipped bit per chunk. */
  get corruption(): number {
    let sum = 0
    for (const { chance } of this.corruptions) sum += chance
    return sum
  }
  get open(): boolean {
    return this.cuts === 0 && this.stalls === 0
  }
  reopened(): void {
    if (!this.open) return
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const go of waiting) go()
  }
}

interface Listener {
  readonly process: SimProcess
  readonly accept: (stream: ByteStream) => void
}

export type BreakMode =
  /** Both ends are told. */
  | 'both'
  /** Only the named end is told; the other is half-open. */
  | 'first'
  /** Nobody is told, nothing arrives any more. */
  | 'half-open'

export class SimNetwork {
  readonly time: WorldTime
  readonly options: ResolvedNetworkOptions
  /** How often each fault struck. */
  readonly hits = new Hits()
  /** Open connections, oldest first. */
  readonly connections = new Set<Connection>()
  private readonly random: Prng
  private readonly links = new Map<string, Link>()
  private readonly listeners = new Map<string, Listener>()
  private readonly hosts = new Map<string, SimHost>()
  private ports = 0

  constructor(time: WorldTime, random: Prng, options: NetworkOptions = {}) {
    this.time = time
    this.random = random.fork('network')
    this.options = { ...networkDefaults, ...options }
  }

  /** What one process sees. */
  transport(process: SimProcess): Transport {
    this.hosts.set(process.host.name, process.host)
    return { listen: accept => this.listen(process, accept), connect: address => this.connect(process, address) }
  }

  link(from: string, to: string): Link {
    const name = `${from}>${to}`
    let link = this.links.get(name)
    if (link === undefined) this.links.set(name, (link = new Link(name, this.random.fork(name))))
    return link
  }

  /** Nothing passes from one machine to the other; what is sent meanwhile waits. Returns what heals it. */
  cut(from: string, to: string): () => void {
    const link = this.link(from, to)
    link.cuts++
    return once(() => {
      link.cuts--
      link.reopened()
    })
  }

  /** As a cut, but however long it lasts nobody gives up: bytes are held, then flushed. */
  stall(from: string, to: string): () => void {
    const link = this.link(from, to)
    link.stalls++
    return once(() => {
      link.stalls--
      link.reopened()
    })
  }

  slow(from: string, to: string, factor: number): () => void {
    const link = this.link(from, to)
    const slowness = { factor }
    link.slownesses.add(slowness)
    return () => void link.slownesses.delete(slowness)
  }

  corrupt(from: string, to: string, chance: number): () => void {
    const link = this.link(from, to)
    const corruption = { chance }
    link.corruptions.add(corruption)
    return () => void link.corruptions.delete(corruption)
  }

  /** Breaks the open connections between two machines, or all of the first where there are none. Returns how many there were. */
  breakConnections(first: string, second: string, mode: BreakMode): number {
    const open = [...this.connections]
    let broken = open.filter(connection => connection.joins(first, second))
    if (broken.length === 0) broken = open.filter(connection => connection.touches(first))
    for (const connection of broken) connection.break(mode, first)
    return broken.length
  }

  /** Time that so many bytes take on a link, drawn. */
  delay(link: Link, bytes: number): number {
    const { latencyMs, jitterMs, bytesPerMs } = this.options
    const jitter = -Math.log(1 - link.random.next()) * jitterMs
    if (link.slowness > 1) this.hits.count('slow')
    return (latencyMs + jitter + bytes / bytesPerMs) * link.slowness
  }

  /** Runs `arrive` after the link's delay once it is open; `gaveUp` instead when that takes too long. Returns what cancels both. */
  pass(link: Link, bytes: number, arrive: () => void, label: string, gaveUp?: () => void): () => void {
    let cancel: () => void = () => undefined
    let cancelLimit: () => void = () => undefined
    const go = (): void => {
      cancel = this.time.schedule(this.delay(link, bytes), landed, label, link.name)
    }
    const landed = (): void => {
      if (link.open) {
        cancelLimit()
        arrive()
      } else hold()
    }
    const hold = (): void => {
      this.hits.count(link.cuts > 0 ? 'cut' : 'stall')
      link.waiting.add(go)
      const limit = (): void => {
        if (link.stalls > 0) {
          cancelLimit = this.time.schedule(this.options.giveUpMs, limit, 'still stalled', link.name)
          return
        }
        link.waiting.delete(go)
        gaveUp?.()
      }
      cancelLimit()
      cancelLimit = this.time.schedule(this.options.giveUpMs, limit, 'gives up', link.name)
    }
    if (link.open) go()
    else hold()
    return () => {
      cancel()
      cancelLimit()
      link.waiting.delete(go)
    }
  }

  private listen(
    process: SimProcess,
    accept: (stream: ByteStream) => void
  ): Promise<{ readonly address: string; close(): Promise<void> }> {
    return process.ask('listens', answer => {
      const address = `${process.host.name}:${10_000 + this.ports++}`
      this.listeners.set(address, { process, accept })
      const gone = (): void => void this.listeners.delete(address)
      process.onDeath(gone)
      const close = (): Promise<void> => {
        gone()
        return Promise.resolve()
      }
      answer({ value: { address, close } })
    })
  }

  private connect(process: SimProcess, address: string): Promise<ByteStream> {
    const target = address.split(':')[0] ?? ''
    const [there, back] = [this.link(process.host.name, target), this.link(target, process.host.name)]
    return process.ask<ByteStream>('connects', answer => {
      let connection: Connection | undefined
      let cancel: () => void = () => undefined
      const end = (outcome: Outcome<ByteStream>): void => {
        cancel()
        cancelLimit()
        unwatch()
        answer(outcome)
      }
      const timedOut = (): void => {
        connection?.ends[0].close()
        end({ error: failure('ETIMEDOUT', address) })
      }
      const cancelLimit = this.time.schedule(this.options.connectTimeoutMs, timedOut, 'connect times out', process.name)
      const unwatch = process.onDeath(() => {
        cancel()
        cancelLimit()
      })
      const reply = (outcome: Outcome<ByteStream>): void => {
        cancel = this.pass(back, 60, () => end(outcome), 'connected')
      }
      const arrived = (): void => {
        if (this.hosts.get(target)?.up === false) return
        const listener = this.listeners.get(address)
        if (listener === undefined) return reply({ error: failure('ECONNREFUSED', address) })
        connection = new Connection(this, process, listener.process)
        const [mine, theirs] = connection.ends
        listener.process.deliver(() => listener.accept(theirs), 'accepts')
        reply({ value: mine })
      }
      cancel = this.pass(there, 60, arrived, 'connecting')
    })
  }
}

const failure = (code: string, address: string): Error =>
  Object.assign(new Error(`connect ${code} ${address}`), { code, address })

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
