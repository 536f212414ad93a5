/**
 * The readers of one cluster in this process. They share one consumer, which is made for the first of them and closed with the last; a
 * topic that is read twice at once needs a second consumer, because one can only be at one place of a partition.
 */
import type { LogReader } from '../../ports/log.ts'
import type { Clock } from '../../ports/clock.ts'
import { CodedError } from '../../kernel/errors.ts'
import { KafkaReader, type KafkaReaderOptions } from './kafka-reader.ts'
import { SharedConsumer, type SharedConsumerOptions } from './shared-consumer.ts'
import { clusterConfig, type KafkaCluster } from './kafka-options.ts'
import { KafkaTarget } from './kafka-target.ts'
import { loadKafka } from './load-kafka.ts'

export interface Lease {
  readonly consumer: SharedConsumer
  release(): Promise<void>
}

interface Shared {
  readonly consumer: SharedConsumer
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

  /** Throws PACKAGE_MISSING. */
  lease(topic: string | RegExp): Lease {
    const shares = ({ topics }: Shared): boolean =>
      typeof topic === 'string' && !topics.has(topic) && [...topics].every(each => typeof each === 'string')
    let found = [...this.shared].find(shares)
    if (found === undefined) {
      const { cluster, name, ...options } = this.options
      const consumer = new SharedConsumer({
        ...options,
        kafka: loadKafka(),
        config: clusterConfig(cluster, name),
        explain: topic => this.explain(topic),
        cluster: `Kafka (${cluster.brokers.join(', ')})`
      })
      this.shared.add((found = { consumer, topics: new Set() }))
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
}
