/**
 * A TCP proxy that cuts: in front of one server, it knows who calls (from the first frame, or because only one calls) and what may pass
 * between the two.
 *
 *   caller ── "up" ──→ proxy ── "up" ──→ target
 *          ←─ "down" ─       ←─ "down" ─
 *
 * Invariants
 * 1. `cut` destroys what stands between the two, and lets nothing new through.
 * 2. `freeze` passes nothing in either direction and ends nothing: the bytes wait, as in a network that is away for a while.
 * 3. `swallow` takes the bytes of one direction and throws them away: a connection that is half open. What lost bytes is of no use any
 *    more: healing destroys it.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { FrameReader } from '../../runtime/core/frames.ts'
import type { Cut } from './network.ts'

export interface ProxySettings {
  /** Where the server listens, on loopback. */
  readonly target: () => number
  /** Default: a free port. */
  readonly port?: number
  /** Who calls; undefined: the first frame says it. */
  readonly caller: string | undefined
}

interface Pair {
  caller: string | undefined
  readonly near: Socket
  readonly far: Socket
  lossy: boolean
}

/** A hello is a few hundred bytes; who says none within this is passed on as a stranger. */
const helloLimitBytes = 4_096
export const stranger = '?'

export class CuttingProxy {
  private readonly settings: ProxySettings
  private readonly pairs = new Set<Pair>()
  private readonly cuts = new Map<string, Cut>()
  private readonly server: Server

  private constructor(settings: ProxySettings) {
    this.settings = settings
    this.server = createServer(near => this.accept(near))
  }

  static async start(settings: ProxySettings): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(settings)
    proxy.server.listen(settings.port ?? 0, '127.0.0.1')
    await once(proxy.server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** Callers that are connected now. */
  get callers(): string[] {
    return [...this.pairs].flatMap(({ caller }) => (caller === undefined ? [] : [caller]))
  }

  /** From now on, for all connections of that caller. */
  cut(caller: string, how: Cut): void {
    this.cuts.set(caller, how)
    for (const pair of this.pairs) if (pair.caller === caller) this.apply(pair)
  }

  heal(caller: string): void {
    this.cuts.delete(caller)
    for (const pair of this.pairs)
      if (pair.caller === caller && pair.lossy) this.end(pair)
      else if (pair.caller === caller) this.apply(pair)
  }

  healAll(): void {
    for (const caller of [...this.cuts.keys()]) this.heal(caller)
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close')
    this.server.close()
    for (const pair of this.pairs) this.end(pair)
    await closed
  }

  private accept(near: Socket): void {
    const known = this.settings.caller
    if (known !== undefined && this.cuts.get(known) === 'cut') return void near.destroy()
    const far = connect(this.settings.target(), '127.0.0.1')
    const pair: Pair = { caller: known, near, far, lossy: false }
    this.pairs.add(pair)
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.once('close', () => this.end(pair))
    }
    // An end is passed on behind the bytes before it.
    near.once('end', () => this.passEnd(pair, 'up'))
    far.once('end', () => this.passEnd(pair, 'down'))
    far.on('data', bytes => this.pass(pair, 'down', bytes))
    if (known !== undefined) {
      near.on('data', bytes => this.pass(pair, 'up', bytes))
      return this.apply(pair)
    }
    const reader = new FrameReader()
    let first: Uint8Array[] = []
    near.on('data', bytes => {
      if (pair.caller !== undefined) return this.pass(pair, 'up', bytes)
      first.push(bytes)
      pair.caller = callerIn(reader, bytes, first)
      if (pair.caller === undefined) return
      const waiting = first
      first = []
      this.apply(pair)
      for (const each of waiting) this.pass(pair, 'up', each)
    })
  }

  private pass(pair: Pair, direction: 'up' | 'down', bytes: Uint8Array): void {
    const { near, far } = pair
    const how = pair.caller === undefined ? undefined : this.cuts.get(pair.caller)
    if (how === `swallow-${direction}`) {
      pair.lossy = true
      return
    }
    const [from, to] = direction === 'up' ? [near, far] : [far, near]
    if (to.destroyed || to.write(bytes)) return
    // Back-pressure goes through, so that a proxy is not a queue without end.
    from.pause()
    to.once('drain', () => {
      if (this.howOf(pair) !== 'freeze') from.resume()
    })
  }

  private passEnd(pair: Pair, direction: 'up' | 'down'): void {
    if (this.howOf(pair) === `swallow-${direction}`) pair.lossy = true
    else (direction === 'up' ? pair.far : pair.near).end()
  }

  private howOf({ caller }: Pair): Cut | undefined {
    return caller === undefined ? undefined : this.cuts.get(caller)
  }

  private apply(pair: Pair): void {
    const how = this.howOf(pair)
    if (how === 'cut') return this.end(pair)
    for (const socket of [pair.near, pair.far])
      if (how === 'freeze') socket.pause()
      else socket.resume()
  }

  private end(pair: Pair): void {
    if (!this.pairs.delete(pair)) return
    pair.near.destroy()
    pair.far.destroy()
  }
}

/** The name of the worker, without the mark of its incarnation. Undefined: not said yet. */
function callerIn(reader: FrameReader, bytes: Uint8Array, first: readonly Uint8Array[]): string | undefined {
  try {
    const [hello] = reader.push(bytes)
    if (hello?.kind === 'hello') return hello.from.slice(0, hello.from.lastIndexOf('#'))
    if (hello !== undefined) return stranger
  } catch {
    return stranger
  }
  return first.reduce((size, each) => size + each.length, 0) > helloLimitBytes ? stranger : undefined
}
