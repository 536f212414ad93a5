/** What is true of a topic that is written at least once: nothing of it is transactional, and it has no ledger. */
import { partitionsOf, reachCluster } from '../../kafka-protocol/describe-protocol.ts'
import { CodedError } from '../../kernel/errors.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Producer, Publisher, SinkTarget } from '../../ports/publisher.ts'
import { KafkaClient } from './kafka-client.ts'
import type { KafkaCluster } from './kafka-options.ts'
import { limitsOf, unreachable } from './kafka-publisher.ts'
import { reachKafka } from './kafka-sockets.ts'

/** Larger: a topic that cannot be described is noticed later. */
const usualAnswerMs = 10_000

export class KafkaTarget implements Publisher {
  private readonly client: KafkaClient
  private readonly topic: string
  private readonly answerMs: number

  constructor(cluster: KafkaCluster, name: string, topic: string, clock: Clock, answerMs = usualAnswerMs) {
    this.answerMs = answerMs
    this.client = new KafkaClient({ ...reachKafka(cluster), clientId: name, clock })
    this.topic = topic
  }

  async describe(): Promise<SinkTarget> {
    const { client, topic, answerMs } = this
    const partitions = await this.partitions()
    const { limits } = await this.asked(() => client.run(now => limitsOf(topic, now + answerMs)))
    return { partitions, ...limits }
  }

  /** Throws TOPIC_MISSING, KAFKA_REFUSED, SINK_UNREACHABLE. */
  partitions(): Promise<number> {
    const { client, topic, answerMs } = this
    return this.asked(() => client.run(now => partitionsOf(client.view, topic, now + answerMs)))
  }

  /** Whether the cluster lets this process in. Throws KAFKA_REFUSED, SINK_UNREACHABLE. */
  async reach(): Promise<void> {
    const { client, answerMs } = this
    try {
      await client.run(now => reachCluster(client.view, now + answerMs))
    } catch (cause) {
      throw unreachable('no broker answers', cause)
    }
  }

  private async asked<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      return await question()
    } catch (cause) {
      throw unreachable(`topic "${this.topic}" cannot be described`, cause)
    }
  }

  initialise(): Promise<Producer> {
    return Promise.reject(new CodedError('INTERNAL', `topic "${this.topic}" is written at least once`))
  }

  close(): Promise<void> {
    this.client.close()
    return Promise.resolve()
  }
}
