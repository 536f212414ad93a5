/**
 * TCP proxies on loopback. Every worker reaches NATS through a proxy of its own, and is reached by the others through one.
 *
 *   worker ──→ its NATS proxy ──→ nats-server ←── whoever watches (no proxy)
 *   worker ──→ proxy of the other ──→ the other          of a pair, the one whose name comes first connects
 */
import { CuttingProxy } from './cutting-proxy.ts'
import type { ChaosNetwork, Cut, Place } from './network.ts'
import { freePort } from './ports.ts'

interface Proxies {
  /** In front of the worker. */
  readonly own: CuttingProxy
  readonly nats: CuttingProxy
}

export class ProxyNetwork implements ChaosNetwork {
  readonly name = 'proxies'
  private readonly natsPort: number
  private readonly proxies = new Map<string, Proxies>()

  constructor(natsPort: number) {
    this.natsPort = natsPort
  }

  async place(worker: string): Promise<Place> {
    const port = await freePort()
    const own = await CuttingProxy.start({ target: () => port, caller: undefined })
    const nats = await CuttingProxy.start({ target: () => this.natsPort, caller: worker })
    this.proxies.set(worker, { own, nats })
    return {
      listen: `127.0.0.1:${port}`,
      advertise: `127.0.0.1:${own.port}`,
      nats: `127.0.0.1:${nats.port}`,
      within: []
    }
  }

  cut(a: string, b: string, how: Cut): () => void {
    const [caller, target] = a < b ? [a, b] : [b, a]
    const proxy = this.of(target).own
    proxy.cut(caller, how)
    return () => proxy.heal(caller)
  }

  cutNats(worker: string, how: Cut): () => void {
    const proxy = this.of(worker).nats
    proxy.cut(worker, how)
    return () => proxy.heal(worker)
  }

  heal(): void {
    for (const { own, nats } of this.proxies.values()) {
      own.healAll()
      nats.healAll()
    }
  }

  async close(): Promise<void> {
    for (const { own, nats } of this.proxies.values()) {
      await own.close()
      await nats.close()
    }
  }

  private of(worker: string): Proxies {
    const proxies = this.proxies.get(worker)
    if (proxies === undefined) throw new Error(`worker "${worker}" has no place in this network`)
    return proxies
  }
}
