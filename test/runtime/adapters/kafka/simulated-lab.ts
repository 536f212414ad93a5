/** The own client on the simulated brokers, as bytes over a simulated network: what the rules of a reader need, and what only they can do. */
import type { DirectConsumer, DirectConsumerOptions } from '../../../../runtime/adapters/kafka/direct-consumer.ts'
import type { PartitionConsumer } from '../../../../runtime/adapters/kafka/feed.ts'
import type { KafkaReader, KafkaReaderOptions } from '../../../../runtime/adapters/kafka/kafka-reader.ts'
import { assert } from '../../../../runtime/kernel/errors.ts'
import { Prng } from '../../../../runtime/kernel/prng.ts'
import type { NewRecord } from '../../../../simulations/broker/requests.ts'
import type { SimProcess } from '../../../../simulations/world/process.ts'
import type { TopicRecord } from '../../../support/kafka-topics.ts'
import { letTimePass, makeScene, type Scene } from '../../../simulations/broker/scene.ts'
import type { LabReader, LabTransaction, ReaderLab } from './reader-rules.ts'

/** The classes of this build, or of one with a mistake in it. */
export interface Made {
  readonly KafkaReader: typeof KafkaReader
  readonly DirectConsumer: typeof DirectConsumer
}

/** In a process of the simulation. */
export function directReader(
  { KafkaReader, DirectConsumer }: Made,
  { addresses, network }: Scene,
  process: SimProcess,
  options: KafkaReaderOptions,
  more: Partial<DirectConsumerOptions> = {}
): LabReader {
  const transport = network.transport(process)
  const { clock, name } = process
  let consumer: PartitionConsumer | undefined
  const lease = (): { consumer: PartitionConsumer; release(): Promise<void> } => {
    const made = new DirectConsumer({
      bootstrap: addresses,
      connect: address => transport.connect(address),
      clock,
      name,
      ...more
    })
    consumer = made
    return { consumer: made, release: () => made.close() }
  }
  const reader = new KafkaReader({ clock, lease }, options)
  return Object.assign(reader, {
    heldBytes: (topic: string, partition: number) => consumer?.feed({ topic, partition }).bytes ?? 0
  })
}

const encoder = new TextEncoder()
const bytesOf = (content: string | Uint8Array | null | undefined): Uint8Array | undefined =>
  typeof content === 'string' ? encoder.encode(content) : (content ?? undefined)

/** Larger than what any rule takes, in virtual time: a reader that stands still is told by it. */
const longestMs = 3 * 60_000

export class SimulatedLab implements ReaderLab {
  readonly scene: Scene
  /** Rejects when the rules take too long. */
  readonly overdue: Promise<never>
  private readonly process: SimProcess
  private readonly made: Made
  private topics = 0
  private producers = 100

  private constructor(scene: Scene, made: Made) {
    this.scene = scene
    this.made = made
    this.process = scene.host('worker').start()
    this.overdue = new Promise((_, reject) =>
      scene.time.schedule(longestMs, () => reject(new Error('the reader stands still')))
    )
    this.overdue.catch(() => undefined)
  }

  static async start(t: { teardown(work: () => void): void }, made: Made): Promise<SimulatedLab> {
    const lab = new SimulatedLab(await makeScene(new Prng('readers')), made)
    t.teardown(letTimePass(lab.scene.time))
    return lab
  }

  create(name: string, partitions: number, { compacted = false } = {}): Promise<string> {
    const topic = `${name}-${this.topics++}`
    this.scene.cluster.createTopic(topic, { partitions, maxBatchBytes: 4_000_000, compacted })
    return Promise.resolve(topic)
  }

  send(topic: string, records: readonly TopicRecord[]): Promise<void> {
    return this.append(topic, records, -1)
  }

  /** Some records in a batch. */
  private async append(
    topic: string,
    records: readonly TopicRecord[],
    producerId: number,
    sequences = new Map<number, number>()
  ): Promise<void> {
    const now = Math.trunc(this.scene.time.now())
    for (let at = 0; at < records.length;) {
      const { partition = 0 } = records[at] as TopicRecord
      const found = this.scene.cluster.partition({ topic, partition })
      assert(found !== undefined, `no topic ${topic} with partition ${partition}`)
      const list: NewRecord[] = []
      let sizeBytes = 61
      for (; at < records.length && list.length < 16 && (records[at]?.partition ?? 0) === partition; at++) {
        const { key, value, timestamp = now } = records[at] as TopicRecord
        list.push({ key: bytesOf(key), value: bytesOf(value), timestamp })
        sizeBytes += 20 + (key?.length ?? 0) + (value?.length ?? 0)
      }
      const baseSequence = sequences.get(partition) ?? 0
      sequences.set(partition, baseSequence + list.length)
      const batch = { topic, partition, producerId, producerEpoch: 0, baseSequence, sizeBytes }
      await new Promise<void>((resolve, reject) =>
        found.append({ ...batch, transactional: producerId >= 0, records: list }, undefined, error =>
          error === 'NONE' ? resolve() : reject(new Error(error))
        )
      )
    }
  }

  begin(): Promise<LabTransaction> {
    const producerId = this.producers++
    const sequences = new Map<string, Map<number, number>>()
    const end = async (commit: boolean): Promise<void> => {
      for (const [topic, partitions] of sequences)
        for (const partition of partitions.keys())
          await new Promise<void>(resolve =>
            this.scene.cluster
              .partition({ topic, partition })
              ?.mark({ producerId, producerEpoch: 0, coordinatorEpoch: 0, commit }, () => resolve())
          )
    }
    return Promise.resolve({
      send: (topic, records) => {
        const own = sequences.get(topic) ?? new Map<number, number>()
        sequences.set(topic, own)
        return this.append(topic, records, producerId, own)
      },
      commit: () => end(true),
      abort: () => end(false)
    })
  }

  cut(topic: string, partition: number, offset: number): Promise<void> {
    const found = this.scene.cluster.partition({ topic, partition })
    if (found !== undefined) found.logStart = offset
    return Promise.resolve()
  }

  remove(topic: string): Promise<void> {
    this.scene.cluster.topics.delete(topic)
    return Promise.resolve()
  }

  reader(options: KafkaReaderOptions, more: { readonly bufferedBytes?: number } = {}): LabReader {
    return directReader(this.made, this.scene, this.process, options, more)
  }
}
