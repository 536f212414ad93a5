/**
 * The data connections of one worker, over its generations: one stream to each other worker of the generation that runs. Of two workers
 * the one whose name comes first connects.
 *
 * Invariants
 * 1. Frames pass only between workers of the same generation: an older hello is refused, a newer one waits until this worker has entered
 *    that generation, and entering a generation closes the connections of the one before first.
 * 2. A connection that breaks, or carries malformed bytes, is never mended: the generation ends.
 * 3. Of each connection is known when something came over it last: pings go both ways, so silence says that it carries nothing.
 * 4. Who has not said who it is costs little: few connections, few bytes, a short time; then it is closed, and nothing else happens.
 */
import { encodeHello, encodePing, FrameReader, type Frame } from '../core/frames.ts'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { Clock } from '../ports/clock.ts'
import type { ByteStream, Transport } from '../ports/transport.ts'

export interface ConnectionSettings {
  readonly job: string
  readonly lineage: number
  readonly worker: string
  readonly transport: Transport
  readonly clock: Clock
  /** Between two pings. Larger: silence says something later. */
  readonly pingMs: number
  /** Told why a connection that somebody made was closed, for a log. */
  readonly refused?: (reason: string) => void
}

interface Entered {
  readonly generation: number
  readonly peers: ReadonlySet<string>
  readonly receive: (peer: string, frames: readonly Frame[]) => void
  readonly failed: (error: CodedError) => void
  readonly links: Map<string, Link>
  open: boolean
}

/** To one peer. Frames wait here until the connection stands. */
interface Link {
  readonly waiting: Uint8Array[]
  stream: ByteStream | undefined
  /** When something came from the peer last, or the generation was entered here. */
  heardAt: number
}

/** A connection whose generation this worker has not entered yet. */
interface Early {
  readonly from: string
  readonly generation: number
  readonly stream: ByteStream
  readonly frames: Frame[]
  /** Of what waits. */
  sizeBytes: number
  closed: string | undefined
  /** Set once it belongs to a generation. */
  take: ((frames: readonly Frame[]) => void) | undefined
}

const retryMs = 200
/** More would let somebody who knows the names fill the memory with connections of generations that never come. */
const earlyLimit = 256
/** All together. Peers that are ahead send no more than their credit; more would be somebody else's. */
const earlyLimitBytes = 256 * 1024 * 1024
/** Longer ones would let strangers hold connections that cost nothing to make. A worker says who it is with its first bytes. */
const introduceWithinMs = 5_000
/** A hello holds four names. */
const helloLimitBytes = 4_096
/** Connections that have not said who they are: beyond this the oldest goes, as a worker needs but a moment. */
const strangerLimit = 128

export class PeerLost extends CodedError {
  readonly peer: string

  constructor(peer: string, reason: string) {
    super('PEER_LOST', `the connection to worker "${peer}" is gone: ${reason}`)
    this.peer = peer
  }
}

export class Connections {
  private readonly settings: ConnectionSettings
  private readonly early = new Set<Early>()
  /** Oldest first, with what ends the wait for them. */
  private readonly strangers = new Map<ByteStream, () => void>()
  private entered: Entered | undefined
  private listener: { readonly address: string; close(): Promise<void> } | undefined
  private closed = false

  constructor(settings: ConnectionSettings) {
    this.settings = settings
  }

  /** Answers where other workers can connect to. */
  async listen(): Promise<string> {
    this.listener = await this.settings.transport.listen(stream => this.accept(stream))
    return this.listener.address
  }

  /** Connects to the peers of a generation, and takes connections from them. */
  enter(
    generation: number,
    addresses: ReadonlyMap<string, string>,
    receive: Entered['receive'],
    failed: Entered['failed']
  ): void {
    this.leave()
    const now = this.settings.clock.elapsed()
    const entered: Entered = {
      generation,
      peers: new Set(addresses.keys()),
      receive,
      failed,
      links: new Map([...addresses.keys()].map(peer => [peer, { waiting: [], stream: undefined, heardAt: now }])),
      open: true
    }
    this.entered = entered
    for (const early of [...this.early])
      if (early.generation < generation) this.refuse(early)
      else if (early.generation === generation) this.adopt(early)
    for (const [peer, address] of addresses) if (this.settings.worker < peer) void this.connect(entered, peer, address)
    if (addresses.size > 0) this.ping(entered, now)
  }

  /** Peers of which nothing was heard for so long. */
  silent(forMs: number): string[] {
    const { entered } = this
    if (entered?.open !== true) return []
    const since = this.settings.clock.elapsed() - forMs
    return [...entered.links].filter(([, { heardAt }]) => heardAt <= since).map(([peer]) => peer)
  }

  private ping(entered: Entered, last: number): void {
    const { clock, pingMs } = this.settings
    clock.after(pingMs, () => {
      if (!entered.open || this.closed) return
      const now = clock.elapsed()
      for (const link of entered.links.values()) {
        // This worker stood still itself: what came meanwhile was not read yet.
        if (now - last > 2 * pingMs) link.heardAt = now
        link.stream?.write(encodePing())
      }
      this.ping(entered, now)
    })
  }

  /** Closes the connections of the generation; what still comes over them is not looked at. */
  leave(): void {
    const { entered } = this
    if (entered === undefined) return
    entered.open = false
    this.entered = undefined
    for (const { stream } of entered.links.values()) stream?.close()
  }

  send(peer: string, frame: Uint8Array): void {
    const link = this.entered?.links.get(peer)
    if (link?.stream === undefined) link?.waiting.push(frame)
    else link.stream.write(frame)
  }

  async close(): Promise<void> {
    this.closed = true
    this.leave()
    for (const { stream } of this.early) stream.close()
    for (const stream of [...this.strangers.keys()]) this.turnAway(stream, 'this worker ends')
    await this.listener?.close()
  }

  private async connect(entered: Entered, peer: string, address: string): Promise<void> {
    const { transport, clock, job, lineage, worker } = this.settings
    while (entered.open && !this.closed) {
      let stream: ByteStream
      try {
        stream = await transport.connect(address)
      } catch {
        reached('connections: a peer that does not answer')
        await new Promise<void>(resolve => clock.after(retryMs, resolve))
        continue
      }
      if (!entered.open) return stream.close()
      const reader = new FrameReader()
      stream.onData(bytes => this.guard(entered, stream, () => this.deliver(entered, peer, reader.push(bytes))))
      stream.onClose(reason => this.lost(entered, peer, reason))
      stream.write(encodeHello({ job, lineage, generation: entered.generation, from: worker, to: peer }))
      return this.attach(entered, peer, stream)
    }
  }

  private attach(entered: Entered, peer: string, stream: ByteStream): void {
    const link = entered.links.get(peer) as Link
    link.stream = stream
    for (const frame of link.waiting.splice(0)) stream.write(frame)
  }

  private accept(stream: ByteStream): void {
    if (this.closed) return stream.close()
    const reader = new FrameReader()
    let received = 0
    let early: Early | undefined
    this.await(stream)
    stream.onData(bytes => {
      try {
        if (early === undefined && !this.strangers.has(stream)) return
        const frames = reader.push(bytes)
        received += bytes.length
        if (early === undefined && frames.length > 0) early = this.introduce(stream, frames.shift() as Frame)
        else if (early === undefined && received > helloLimitBytes)
          this.turnAway(stream, `it did not say who it is in ${received} bytes`)
        if (early === undefined) return
        if (early.take !== undefined) early.take(frames)
        else this.hold(early, frames, bytes.length)
      } catch (error) {
        this.reject(stream, early, error)
      }
    })
    stream.onClose(reason => {
      this.known(stream)
      if (early === undefined) return
      early.closed = reason
      this.early.delete(early)
    })
  }

  /** Until it says who it is. */
  private await(stream: ByteStream): void {
    const [oldest] = this.strangers.keys()
    if (oldest !== undefined && this.strangers.size >= strangerLimit)
      this.turnAway(oldest, `${strangerLimit} others wait, too`)
    const cancel = this.settings.clock.after(introduceWithinMs, () =>
      this.turnAway(stream, `it did not say who it is within ${introduceWithinMs} ms`)
    )
    this.strangers.set(stream, cancel)
  }

  private known(stream: ByteStream): void {
    this.strangers.get(stream)?.()
    this.strangers.delete(stream)
  }

  private turnAway(stream: ByteStream, reason: string): void {
    this.known(stream)
    stream.close()
    this.settings.refused?.(reason)
  }

  /** The first frame says who it is. Undefined: the connection was refused. */
  private introduce(stream: ByteStream, hello: Frame): Early | undefined {
    this.known(stream)
    const { job, lineage, worker } = this.settings
    const known = hello.kind === 'hello' && hello.job === job && hello.lineage === lineage && hello.to === worker
    if (!known) {
      const sought = hello.kind === 'hello' ? `it seeks worker "${hello.to}" of job "${hello.job}"` : 'it says no hello'
      this.turnAway(stream, sought)
      return undefined
    }
    const { from, generation } = hello
    const early: Early = { from, generation, stream, frames: [], sizeBytes: 0, closed: undefined, take: undefined }
    const current = this.entered?.generation ?? 0
    if (generation < current) {
      reached('connections: an older generation refused')
      stream.close()
      return undefined
    }
    if (generation === current && this.entered !== undefined) {
      this.adopt(early)
      return early
    }
    if (this.early.size >= earlyLimit) {
      this.turnAway(stream, `${earlyLimit} connections of newer generations wait`)
      return undefined
    }
    reached('connections: a newer generation waits')
    this.early.add(early)
    return early
  }

  private hold(early: Early, frames: readonly Frame[], sizeBytes: number): void {
    for (const frame of frames) early.frames.push(frame)
    early.sizeBytes += sizeBytes
    let total = 0
    for (const each of this.early) total += each.sizeBytes
    if (total <= earlyLimitBytes || !this.early.has(early)) return
    early.frames.length = 0
    this.refuse(early)
    this.settings.refused?.(`${total} bytes of newer generations wait`)
  }

  private adopt(early: Early): void {
    const entered = this.entered as Entered
    const { from, stream } = early
    this.early.delete(early)
    const link = entered.links.get(from)
    if (link === undefined || link.stream !== undefined || from > this.settings.worker) return stream.close()
    early.take = frames => this.deliver(entered, from, frames)
    stream.onClose(reason => this.lost(entered, from, reason))
    this.attach(entered, from, stream)
    this.guard(entered, stream, () => this.deliver(entered, from, early.frames.splice(0)))
    if (early.closed !== undefined) this.lost(entered, from, early.closed)
  }

  private refuse(early: Early): void {
    this.early.delete(early)
    early.stream.close()
  }

  private deliver(entered: Entered, peer: string, frames: readonly Frame[]): void {
    const link = entered.links.get(peer)
    if (link !== undefined) link.heardAt = this.settings.clock.elapsed()
    const heard = frames.filter(frame => frame.kind !== 'ping')
    if (entered.open && heard.length > 0) entered.receive(peer, heard)
  }

  private guard(entered: Entered, stream: ByteStream, work: () => void): void {
    try {
      work()
    } catch (error) {
      stream.close()
      this.fail(entered, error)
    }
  }

  private reject(stream: ByteStream, early: Early | undefined, error: unknown): void {
    reached('connections: malformed bytes')
    this.turnAway(stream, messageOf(error))
    if (early?.take !== undefined && this.entered?.peers.has(early.from)) this.fail(this.entered, error)
    if (early !== undefined) this.early.delete(early)
  }

  private lost(entered: Entered, peer: string, reason: string): void {
    if (!entered.open) return
    reached('connections: a peer lost')
    this.fail(entered, new PeerLost(peer, reason))
  }

  private fail(entered: Entered, error: unknown): void {
    if (!entered.open) return
    entered.open = false
    entered.failed(
      error instanceof CodedError ? error : new CodedError('FRAME_MALFORMED', messageOf(error), { cause: error })
    )
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
