/** Topics of a real cluster by our own client: made, and read read-committed in a moment, where Kafka's own tools take seconds. */
import { KafkaClient } from '../../runtime/adapters/kafka/kafka-client.ts'
import type { KafkaCluster } from '../../runtime/adapters/kafka/kafka-options.ts'
import { reachKafka } from '../../runtime/adapters/kafka/kafka-sockets.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { createTopic, type NewTopic } from '../../runtime/kafka-protocol/create-topic.ts'
import { partitionsOf } from '../../runtime/kafka-protocol/describe-protocol.ts'
import { insist, type Protocol } from '../../runtime/kafka-protocol/protocol.ts'
import { readCommitted } from '../../runtime/kafka-protocol/read-committed.ts'
import { decodeBatches, type DecodedBatch } from '../../runtime/kafka-protocol/record-batch.ts'

export type TopicRecord = DecodedBatch['records'][number] & { readonly partition: number }

const waitMs = 20_000

export class OwnTopics {
  readonly client: KafkaClient

  constructor(cluster: KafkaCluster) {
    this.client = new KafkaClient({ ...reachKafka(cluster), clock: nodeClock, clientId: 'test' })
  }

  async create(name: string, partitions: number, configs: NewTopic['configs'] = {}): Promise<void> {
    const { client } = this
    await client.run(now => createTopic(client.view, { name, partitions, configs }, now + waitMs))
    await client.run(now => partitionsOf(client.view, name, now + waitMs, 'expected'))
    // A broker is told that it leads a partition a moment after everybody else.
    await this.read(name)
  }

  /** What is committed up to the end that is now, in order per partition; waits until all of it is decided. */
  async read(topic: string): Promise<TopicRecord[]> {
    const { client } = this
    const partitions = await client.run(now => partitionsOf(client.view, topic, now + waitMs))
    const all: TopicRecord[] = []
    for (let partition = 0; partition < partitions; partition++)
      for (let position = 0, end = Infinity; position < end;) {
        const fetched = await client.run(now => this.fetch(topic, partition, position, now + waitMs))
        all.push(...fetched.records.map(record => ({ ...record, partition })))
        position = fetched.next
        // The markers of a transaction that was said to be committed may still be on their way.
        end = Math.min(end, fetched.end)
      }
    return all
  }

  /** How many records are committed behind `positions` (one for each partition), which move on. */
  async count(topic: string, positions: number[]): Promise<number> {
    let counted = 0
    for (const [partition, position] of positions.entries()) {
      const found = await this.client.run(now => this.fetch(topic, partition, position, now + waitMs))
      positions[partition] = found.next
      counted += found.records.length
    }
    return counted
  }

  private *fetch(
    topic: string,
    partition: number,
    position: number,
    deadline: number
  ): Protocol<{ records: readonly DecodedBatch['records'][number][]; next: number; end: number }> {
    const { view } = this.client
    const wanted = {
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: position,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      partitionMaxBytes: 1 << 22
    }
    const { reply } = yield* insist({
      name: 'Fetch',
      body: {
        replicaId: -1,
        maxWaitMs: 20,
        minBytes: 1,
        maxBytes: 1 << 24,
        isolationLevel: 1,
        sessionId: 0,
        sessionEpoch: -1,
        topics: [{ topic, partitions: [wanted] }],
        forgottenTopics: [],
        rackId: ''
      },
      codeOf: ({ errorCode, topics }) => errorCode || (topics[0]?.partitions[0]?.errorCode ?? -1),
      broker: () => view.leader(topic, partition)?.broker,
      locate: function* () {
        yield* partitionsOf(view, topic, deadline)
      },
      mislocated: () => view.forget(topic, partition),
      repeatable: true,
      deadline
    })
    const found = reply.topics[0]?.partitions[0]
    const batches = decodeBatches(found?.records ?? new Uint8Array(0))
    const { records, next } = readCommitted(batches, found?.abortedTransactions ?? [], position)
    return { records, next, end: found?.highWatermark ?? 0 }
  }

  close(): void {
    this.client.close()
  }
}
