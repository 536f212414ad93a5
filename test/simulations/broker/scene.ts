/** A simulated cluster with a network around it, and clients of it. */
import { KafkaPublisher, type KafkaPublisherOptions } from '../../../runtime/adapters/kafka/kafka-publisher.ts'
import type { Prng } from '../../../runtime/kernel/prng.ts'
import { BrokerCluster } from '../../../simulations/broker/broker-cluster.ts'
import { serveBrokers, type WireOptions } from '../../../simulations/broker/wire.ts'
import type { BrokerOptions } from '../../../simulations/broker/world.ts'
import { SimNetwork } from '../../../simulations/world/network.ts'
import { SimHost, type SimProcess } from '../../../simulations/world/process.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

export interface Scene {
  readonly time: WorldTime
  readonly random: Prng
  readonly network: SimNetwork
  readonly cluster: BrokerCluster
  readonly addresses: readonly string[]
  host(name: string): SimHost
}

export async function makeScene(
  random: Prng,
  options: Partial<BrokerOptions> = {},
  wire: Partial<WireOptions> = {}
): Promise<Scene> {
  const time = new WorldTime(1000)
  const network = new SimNetwork(time, random)
  const cluster = new BrokerCluster({ world: time, prng: random.fork('broker'), ...options })
  const host = (name: string): SimHost => new SimHost(time, name, random)
  const transports = [0, 1, 2].map(i => network.transport(host(`kafka${i}`).start()))
  let addresses: string[] | undefined
  void serveBrokers(cluster, transports, { prng: random.fork('wire'), ...wire }).then(all => (addresses = all))
  await time.run(() => addresses !== undefined)
  if (addresses === undefined) throw new Error('the brokers do not listen')
  return { time, random, network, cluster, addresses, host }
}

export function publisherOptions(
  { addresses, network }: Scene,
  process: SimProcess,
  options: Partial<KafkaPublisherOptions> = {}
): KafkaPublisherOptions {
  const transport = network.transport(process)
  return {
    bootstrap: addresses,
    connect: address => transport.connect(address),
    clock: process.clock,
    clientId: process.name,
    topic: 'out',
    ledgerTopic: 'ledger',
    ...options
  }
}

export const makePublisher = (
  scene: Scene,
  process: SimProcess,
  options: Partial<KafkaPublisherOptions> = {}
): KafkaPublisher => new KafkaPublisher(publisherOptions(scene, process, options))

/** For tests that wait for promises: time goes on whenever something is to happen, until they call what this returns. */
export function letTimePass(time: WorldTime): () => void {
  let over = false
  const pass = async (): Promise<void> => {
    while (!over) {
      await time.run({ until: () => over })
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  void pass()
  return () => {
    over = true
  }
}
