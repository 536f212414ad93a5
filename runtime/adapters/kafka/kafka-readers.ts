/**
 * The readers of one cluster in this process. They share one consumer, which is made for the first of them and closed with the last; a
 * topic that is read twice at once needs a second consumer, because one can only be at one place of a partition.
 */
import type { LogReader } from '../../ports/log.ts'
import type { Clock } from '../../ports/clock.ts'
import { CodedError } from '../../kernel/errors.ts'
import { DirectConsumer } from './direct-consumer.ts'
import type { PartitionConsumer } from './feed.ts'
import { KafkaReader, type KafkaReaderOptions } from './kafka-reader.ts'
import { SharedConsumer, type SharedConsumerOptions } from './shared-consumer.ts'
import { clusterConfig, type KafkaCluster } from './kafka-options.ts'
import { reachKafka } from './kafka-sockets.ts'
import { KafkaTarget } from './kafka-target.ts'
import { loadKafka } from './load-kafka.ts'

/** `confluent`: the named package, over librdkafka; `direct`: the own client, which needs no package and makes no object for a record. */
export const readingClients = ['confluent', 'direct'] as const
export type ReadingClient = (typeof readingClients)[number]

export interface Lease {
  readonly consumer: PartitionConsumer
  release(): Promise<void>
}

interface Shared {
  readonly client: ReadingClient
  readonly consumer: PartitionConsumer
  /** A pattern may come to read any topic, and shares with none. */
  readonly topics: Set<string | RegExp>
}

export interface KafkaReadersOptions extends Pick<
  SharedConsumerOptions,
  'clock' | 'troubled' | 'answerMs' | 'bufferedBytes'
> {
  readonly cluster: KafkaCluster
  /** Shown to operators of Kafka. */
  readonly name: string
  /** Default: confluent. */
  readonly client?: ReadingClient
}

/** Larger: what is wrong is said later. */
const explainMs = 2_000

export class KafkaReaders {
  private readonly options: KafkaReadersOptions
  private readonly shared = new Set<Shared>()

  constructor(options: KafkaReadersOptions) {
    this.options = options
  }

  get clock(): Clock {
    return this.options.clock
  }

  /** How many are open. */
  get consumers(): number {
    return this.shared.size
  }

  reader(options: KafkaReaderOptions): LogReader {
    return new KafkaReader(this, options)
  }

  /** Whatever reader is still open: what they share is closed. */
  async close(): Promise<void> {
    const all = [...this.shared]
    this.shared.clear()
    for (const { consumer } of all) await consumer.close()
  }

  /** The own client tells what it was told. */
  private async explain(topic: string | undefined): Promise<CodedError | undefined> {
    const { cluster, name, clock } = this.options
    const target = new KafkaTarget(cluster, name, topic ?? '', clock, explainMs)
    try {
      await (topic === undefined ? target.reach() : target.partitions())
      return undefined
    } catch (error) {
      if (error instanceof CodedError) return error
      throw error
    } finally {
      await target.close()
    }
  }

  /** Throws PACKAGE_MISSING, of the client that is a package. */
  lease(topic: string | RegExp, client = this.options.client ?? 'confluent'): Lease {
    const shares = (each: Shared): boolean =>
      each.client === client &&
      typeof topic === 'string' &&
      !each.topics.has(topic) &&
      [...each.topics].every(other => typeof other === 'string')
    let found = [...this.shared].find(shares)
    if (found === undefined) {
      const consumer = client === 'direct' ? this.direct() : this.named()
      this.shared.add((found = { client, consumer, topics: new Set() }))
    }
    const { consumer, topics } = found
    topics.add(topic)
    return {
      consumer,
      release: async () => {
        topics.delete(topic)
        if (topics.size > 0) return
        this.shared.delete(found)
        await consumer.close()
      }
    }
  }

  private direct(): DirectConsumer {
    const { cluster, client: _, ...options } = this.options
    return new DirectConsumer({ ...options, ...reachKafka(cluster) })
  }

  private named(): SharedConsumer {
    const { cluster, name, client: _, ...options } = this.options
    return new SharedConsumer({
      ...options,
      kafka: loadKafka(),
      config: clusterConfig(cluster, name),
      explain: topic => this.explain(topic),
      cluster: `Kafka (${cluster.brokers.join(', ')})`
    })
  }
}
