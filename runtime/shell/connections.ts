/**
 * The data connections of one worker, over its generations: one stream to each other worker of the generation that runs. Of two workers
 * the one whose name comes first connects.
 *
 * Invariants
 * 1. Frames pass only between workers of the same generation: an older hello is refused, a newer one waits until this worker has entered
 *    that generation, and entering a generation closes the connections of the one before first.
 * 2. A connection that breaks, or carries malformed bytes, is never mended: the generation ends.
 */
import { encodeHello, FrameReader, type Frame } from '../core/frames.ts'
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
}

interface Entered {
  readonly generation: number
  readonly peers: ReadonlySet<string>
  readonly receive: (peer: string, frame: Frame) => void
  readonly failed: (error: CodedError) => void
  readonly links: Map<string, Link>
  open: boolean
}

/** To one peer. Frames wait here until the connection stands. */
interface Link {
  readonly waiting: Uint8Array[]
  stream: ByteStream | undefined
}

/** A connection whose generation this worker has not entered yet. */
interface Early {
  readonly from: string
  readonly generation: number
  readonly stream: ByteStream
  readonly frames: Frame[]
  closed: string | undefined
  /** Set once it belongs to a generation. */
  take: ((frames: readonly Frame[]) => void) | undefined
}

const retryMs = 200
/** More would let strangers fill the memory with connections that never say who they are. */
const earlyLimit = 256

export class Connections {
  private readonly settings: ConnectionSettings
  private readonly early = new Set<Early>()
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
    const entered: Entered = {
      generation,
      peers: new Set(addresses.keys()),
      receive,
      failed,
      links: new Map([...addresses.keys()].map(peer => [peer, { waiting: [], stream: undefined }])),
      open: true
    }
    this.entered = entered
    for (const early of [...this.early])
      if (early.generation < generation) this.refuse(early)
      else if (early.generation === generation) this.adopt(early)
    for (const [peer, address] of addresses) if (this.settings.worker < peer) void this.connect(entered, peer, address)
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
    const reader = new FrameReader()
    let early: Early | undefined
    stream.onData(bytes => {
      try {
        const frames = reader.push(bytes)
        if (early === undefined && frames.length > 0) early = this.introduce(stream, frames.shift() as Frame)
        if (early === undefined) return
        if (early.take !== undefined) early.take(frames)
        else for (const frame of frames) early.frames.push(frame)
      } catch (error) {
        this.reject(stream, early, error)
      }
    })
    stream.onClose(reason => {
      if (early !== undefined) early.closed = reason
      if (early === undefined || !this.early.delete(early)) return
    })
  }

  /** The first frame says who it is. Undefined: the connection was refused. */
  private introduce(stream: ByteStream, hello: Frame): Early | undefined {
    const { job, lineage, worker } = this.settings
    const known = hello.kind === 'hello' && hello.job === job && hello.lineage === lineage && hello.to === worker
    if (!known || this.early.size >= earlyLimit) {
      stream.close()
      return undefined
    }
    const { from, generation } = hello
    const early: Early = { from, generation, stream, frames: [], closed: undefined, take: undefined }
    const current = this.entered?.generation ?? 0
    if (generation < current) {
      reached('connections: an older generation refused')
      stream.close()
      return undefined
    }
    this.early.add(early)
    if (generation === current && this.entered !== undefined) this.adopt(early)
    else reached('connections: a newer generation waits')
    return early
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
    for (const frame of frames) if (entered.open) entered.receive(peer, frame)
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
    stream.close()
    if (early?.take !== undefined && this.entered?.peers.has(early.from)) this.fail(this.entered, error)
    if (early !== undefined) this.early.delete(early)
  }

  private lost(entered: Entered, peer: string, reason: string): void {
    if (!entered.open) return
    reached('connections: a peer lost')
    this.fail(entered, new CodedError('PEER_LOST', `the connection to worker "${peer}" is gone: ${reason}`))
  }

  private fail(entered: Entered, error: unknown): void {
    if (!entered.open) return
    entered.open = false
    const message = error instanceof Error ? error.message : String(error)
    entered.failed(error instanceof CodedError ? error : new CodedError('FRAME_MALFORMED', message, { cause: error }))
  }
}
