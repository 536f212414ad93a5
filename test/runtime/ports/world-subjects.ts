/** The ports of the simulated world, as the conformance suites want them. */
import type { CheckpointStorage } from '../../../checkpoint/storage.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { ControlBus } from '../../../runtime/ports/control-bus.ts'
import type { Transport } from '../../../runtime/ports/transport.ts'
import { SimControlBus } from '../../../simulations/world/control-bus.ts'
import { SimNetwork } from '../../../simulations/world/network.ts'
import { SimHost } from '../../../simulations/world/process.ts'
import { SimStorage } from '../../../simulations/world/storage.ts'
import { WorldTime } from '../../../simulations/world/time.ts'
import type { ControlBusSubject } from './control-bus-conformance.ts'
import type { StorageSubject } from './storage-conformance.ts'
import type { TransportSubject } from './transport-conformance.ts'

/** @param change plants a mistake into what one process sees */
export function simulatedStorage(change = (truth: CheckpointStorage) => truth, seed = 'storage'): StorageSubject {
  const time = new WorldTime()
  const random = new Prng(seed)
  const storage = new SimStorage(time, random)
  let hosts = 0
  return {
    open: () => change(storage.handle(new SimHost(time, `w${hosts++}`, random).start())),
    run: work => time.complete(work())
  }
}

export function simulatedTransport(change = (truth: Transport) => truth, seed = 'transport'): TransportSubject {
  const time = new WorldTime()
  const random = new Prng(seed)
  const network = new SimNetwork(time, random)
  let hosts = 0
  return {
    peer: () => {
      const host = new SimHost(time, `w${hosts++}`, random)
      return { transport: change(network.transport(host.start())), kill: () => host.kill() }
    },
    run: work => time.complete(work())
  }
}

export function simulatedControlBus(change = (truth: ControlBus) => truth, seed = 'bus'): ControlBusSubject {
  const time = new WorldTime()
  const random = new Prng(seed)
  const server = new SimControlBus(time, random, { leaseTtlMs: 3_000 })
  let hosts = 0
  return {
    open: async () => change(server.bus(new SimHost(time, `w${hosts++}`, random).start())),
    sleep: ms => new Promise(resolve => time.schedule(ms, resolve)),
    leaseTtlMs: 3_000,
    outage: () => server.outage(),
    run: work => time.complete(work())
  }
}
