/** One connection of the simulated network and its two ends. See network.ts. */
import type { ByteStream } from '../../runtime/ports/transport.ts'
import type { BreakMode, Link, SimNetwork } from './network.ts'
import type { SimProcess } from './process.ts'

export class Connection {
  readonly ends: readonly [StreamEnd, StreamEnd]
  private readonly network: SimNetwork

  constructor(network: SimNetwork, from: SimProcess, to: SimProcess) {
    this.network = network
    const there = network.link(from.host.name, to.host.name)
    const back = network.link(to.host.name, from.host.name)
    const first = new StreamEnd(network, from, there, back, () => this.ended())
    const second = new StreamEnd(network, to, back, there, () => this.ended())
    first.peer = second
    second.peer = first
    this.ends = [first, second]
    network.connections.add(this)
  }

  joins(one: string, other: string): boolean {
    const [a, b] = this.ends.map(end => end.process.host.name)
    return (a === one && b === other) || (a === other && b === one)
  }

  touches(host: string): boolean {
    return this.ends.some(end => end.process.host.name === host)
  }

  break(mode: BreakMode, told: string): void {
    for (const end of this.ends) {
      end.sever()
      if (mode === 'both' || (mode === 'first' && end.process.host.name === told)) end.lost('ECONNRESET')
    }
    this.network.connections.delete(this)
  }

  private ended(): void {
    if (this.ends.every(end => end.over)) this.network.connections.delete(this)
  }
}

export class StreamEnd implements ByteStream {
  readonly process: SimProcess
  peer: StreamEnd | undefined
  /** Nothing is given to, or taken from, the process any more. */
  over = false
  private readonly network: SimNetwork
  private readonly out: Link
  private readonly back: Link
  private readonly ended: () => void
  private readonly queue: Uint8Array[] = []
  /** Written and not yet taken by the peer's process. */
  private waitingBytes = 0
  private wantsDrain = false
  private sending = false
  private severed = false
  /** The process will be told, after what arrived before. */
  private ending = false
  private readonly unwatch: () => void
  /** `close` was called, what was written before is still sent. */
  private finishing = false
  private cancelSend: () => void = () => undefined
  private data: ((bytes: Uint8Array) => void) | undefined
  private early: Uint8Array[] = []
  private drained: (() => void) | undefined
  private closed: ((reason: string) => void) | undefined
  private closedEarly: string | undefined

  constructor(network: SimNetwork, process: SimProcess, out: Link, back: Link, ended: () => void) {
    this.network = network
    this.process = process
    this.out = out
    this.back = back
    this.ended = ended
    this.unwatch = process.onDeath(() => this.ownerDied())
  }

  write(bytes: Uint8Array): boolean {
    if (this.over || this.finishing || this.process.state === 'dead') return true
    const before = this.waitingBytes
    this.process.effect('sends', () => {
      if (bytes.length === 0) return
      this.waitingBytes += bytes.length
      if (this.severed) return
      this.queue.push(bytes)
      this.send()
    })
    const full = Math.max(before, this.waitingBytes) >= this.network.options.highWaterBytes
    if (full) this.wantsDrain = true
    return !full
  }
  onData(callback: (bytes: Uint8Array) => void): void {
    this.data = callback
    const { early } = this
    this.early = []
    if (!this.finishing) for (const bytes of early) callback(bytes)
  }
  onDrain(callback: () => void): void {
    this.drained = callback
  }
  onClose(callback: (reason: string) => void): void {
    this.closed = callback
    const reason = this.closedEarly
    if (reason !== undefined) this.process.deliver(() => callback(reason), 'closed')
  }
  close(): void {
    if (this.over || this.finishing) return
    this.process.effect('closes', () => {
      this.finishing = true
      this.finish()
      this.send()
    })
  }

  /** The wire is gone: what is on its way is lost, what is written from now on goes nowhere. */
  sever(): void {
    this.severed = true
    this.cancelSend()
    this.queue.length = 0
  }

  /** This end is told. */
  lost(reason: string): void {
    this.sever()
    if (this.over || this.ending) return
    this.ending = true
    this.process.deliver(() => {
      if (this.over) return
      this.finish()
      if (this.closed === undefined) this.closedEarly = reason
      else this.closed(reason)
    }, 'closed')
  }

  private finish(): void {
    this.over = true
    this.unwatch()
    this.ended()
  }

  /** The machine closes the sockets of a dead process; a machine that vanished says nothing. */
  private ownerDied(): void {
    const wired = !this.severed
    this.sever()
    this.finish()
    if (wired && this.process.host.up) this.tellPeer('ECONNRESET')
  }

  private tellPeer(reason: string): void {
    const { peer } = this
    if (peer === undefined || peer.over) return
    this.network.pass(this.out, 40, () => peer.lost(reason), 'reset')
  }

  private send(): void {
    if (this.sending || this.severed) return
    const chunk = this.nextChunk()
    if (chunk === undefined) {
      if (!this.finishing) return
      this.severed = true
      this.tellPeer('closed by the other side')
      return
    }
    this.sending = true
    this.cancelSend = this.network.pass(
      this.out,
      chunk.length,
      () => this.arrived(chunk),
      'bytes',
      () => this.gaveUp()
    )
  }

  /** The wire never carried it: the peer may live on without knowing. */
  private gaveUp(): void {
    this.lost('ETIMEDOUT')
  }

  /** TCP cuts where it likes. */
  private nextChunk(): Uint8Array | undefined {
    const { random } = this.out
    const most = random.int(8) === 0 ? 1 + random.int(64) : this.network.options.chunkBytes
    const parts: Uint8Array[] = []
    let size = 0
    while (size < most) {
      const next = this.queue[0]
      if (next === undefined) break
      const room = most - size
      if (next.length <= room) this.queue.shift()
      else this.queue[0] = next.subarray(room)
      const part = next.length <= room ? next : next.subarray(0, room)
      parts.push(part)
      size += part.length
    }
    if (size === 0) return undefined
    const chunk = new Uint8Array(size)
    let at = 0
    for (const part of parts) {
      chunk.set(part, at)
      at += part.length
    }
    return chunk
  }

  private arrived(chunk: Uint8Array): void {
    this.sending = false
    const { peer } = this
    if (peer === undefined) return
    if (peer.process.state === 'dead' || (peer.over && !peer.finishing)) {
      if (peer.process.host.up) this.lost('ECONNRESET')
      else this.waitForHost()
      return
    }
    if (this.out.corruption > 0 && this.out.random.next() < this.out.corruption) {
      this.network.hits.count('corrupt')
      const at = this.out.random.int(chunk.length)
      chunk[at] = (chunk[at] as number) ^ (1 << this.out.random.int(8))
    }
    peer.process.deliver(() => {
      peer.give(chunk)
      this.taken(chunk.length)
    }, 'bytes')
    this.send()
  }

  /** Nobody is there to refuse it: gives up as with a cut. */
  private waitForHost(): void {
    this.sending = true
    this.cancelSend = this.network.time.schedule(
      this.network.options.giveUpMs,
      () => this.gaveUp(),
      'gives up',
      this.out.name
    )
  }

  private give(bytes: Uint8Array): void {
    if (this.over) return
    if (this.data === undefined) this.early.push(bytes)
    else this.data(bytes)
  }

  /** Acknowledged, as far as the way back is open. */
  private taken(count: number): void {
    const tell = (): void => {
      this.waitingBytes -= count
      if (!this.wantsDrain || this.waitingBytes >= this.network.options.highWaterBytes / 2) return
      this.wantsDrain = false
      this.process.deliver(() => {
        if (!this.over) this.drained?.()
      }, 'drained')
    }
    if (this.back.open && !this.wantsDrain) tell()
    else this.network.pass(this.back, 40, tell, 'acknowledged', () => this.gaveUp())
  }
}
