/** Topics of a test on a real Kafka, made and filled with the named client: the other side of what is tested. */
import type { Test } from 'tap'
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { loadKafka, type ClientError, type ProducerClient } from '../../runtime/adapters/kafka/load-kafka.ts'

interface AdminClient {
  createTopic(
    topic: {
      readonly topic: string
      readonly num_partitions: number
      readonly replication_factor: number
      readonly config?: Readonly<Record<string, string>>
    },
    done: (error?: ClientError | null) => void
  ): void
  deleteTopic(topic: string, done: (error?: ClientError | null) => void): void
  deleteRecords(
    places: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[],
    options: object,
    done: (error?: ClientError | null) => void
  ): void
  disconnect(): void
}
interface Transactional extends ProducerClient {
  initTransactions(timeoutMs: number, done: (error?: ClientError | null) => void): void
  beginTransaction(done: (error?: ClientError | null) => void): void
  commitTransaction(timeoutMs: number, done: (error?: ClientError | null) => void): void
  abortTransaction(timeoutMs: number, done: (error?: ClientError | null) => void): void
}

export interface TopicRecord {
  readonly partition?: number
  readonly key?: string | null
  readonly value: string | Uint8Array | null
  readonly timestamp?: number
}

const waitMs = 20_000
const done = (begin: (callback: (error?: ClientError | null) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => begin(error => (error ? reject(error) : resolve())))

let made = 0

/** The client takes an empty buffer for none where it has no address. */
const empty = Buffer.alloc(1).subarray(0, 0)
const bytesOf = (content: string | Uint8Array | null): Uint8Array | null =>
  content === null ? null : content.length === 0 ? empty : Buffer.from(content)

export class KafkaTopics {
  readonly brokers: string
  private readonly t: Test
  private readonly admin: AdminClient
  private readonly producers: Transactional[] = []

  constructor(t: Test, brokers: readonly string[]) {
    this.t = t
    this.brokers = brokers.join(',')
    const { AdminClient } = loadKafka() as unknown as { AdminClient: { create(config: object): AdminClient } }
    this.admin = AdminClient.create({ 'bootstrap.servers': this.brokers })
    t.teardown(async () => {
      for (const producer of this.producers) await new Promise<void>(resolve => producer.disconnect(resolve))
      this.admin.disconnect()
    })
  }

  /** Makes a topic whose name begins so and that no other test has; answers its name. */
  async create(name: string, partitions: number, config: Readonly<Record<string, string>> = {}): Promise<string> {
    const topic = `${name}-${process.pid}-${made++}`
    const wanted = { topic, num_partitions: partitions, replication_factor: 1, config }
    await done(callback => this.admin.createTopic(wanted, callback))
    this.t.teardown(() => this.remove(topic).catch(() => undefined))
    return topic
  }

  remove(topic: string): Promise<void> {
    return done(callback => this.admin.deleteTopic(topic, callback))
  }

  /** What stands before `offset` is gone, as retention does it. */
  cut(topic: string, partition: number, offset: number): Promise<void> {
    return done(callback => this.admin.deleteRecords([{ topic, partition, offset }], {}, callback))
  }

  /** Until so many records are in partition 0, committed. Rejects when what should bring them ends before. */
  async holds(topic: string, count: number, ended?: Promise<unknown>): Promise<void> {
    let over: unknown
    void ended?.then(how => (over = how))
    while ((await this.read(topic)).length < count)
      if (over !== undefined) throw new Error(`it has ended: ${JSON.stringify(over)}`)
  }

  /** The values in partition 0, committed. */
  async read(topic: string): Promise<Uint8Array[]> {
    const cluster = { brokers: this.brokers.split(',') }
    const reader = new KafkaReaders({ cluster, name: 'cairn test', clock: nodeClock }).reader({ topic })
    const values: Uint8Array[] = []
    for (let position = 0; ;) {
      const got = await reader.fetch(0, position, 1 << 20, 100)
      if (got.kind !== 'records') break
      for (let i = 0; i < got.batch.count; i++) values.push(got.batch.value(i) as Uint8Array)
      position = got.next
    }
    await reader.close()
    return values
  }

  async producer(config: Readonly<Record<string, string | number>> = {}): Promise<TestProducer> {
    const { Producer } = loadKafka()
    const client = new Producer(
      {
        'bootstrap.servers': this.brokers,
        'enable.idempotence': true,
        'linger.ms': 1,
        'queue.buffering.max.messages': 1_000_000,
        ...config
      },
      {}
    ) as Transactional
    await new Promise<void>((resolve, reject) =>
      client.connect({ topic: '', timeout: waitMs, allTopics: false }, error => (error ? reject(error) : resolve()))
    )
    this.producers.push(client)
    if (config['transactional.id'] !== undefined) await done(callback => client.initTransactions(waitMs, callback))
    return new TestProducer(client)
  }
}

export class TestProducer {
  private readonly client: Transactional

  constructor(client: Transactional) {
    this.client = client
  }
  /** Resolves once they are there. */
  async send(topic: string, records: readonly TopicRecord[]): Promise<void> {
    for (const { partition = 0, key = null, value, timestamp = Date.now() } of records)
      this.client.produce(topic, partition, bytesOf(value), bytesOf(key), timestamp, undefined)
    await done(callback => this.client.flush(waitMs, callback))
  }
  begin(): Promise<void> {
    return done(callback => this.client.beginTransaction(callback))
  }
  commit(): Promise<void> {
    return done(callback => this.client.commitTransaction(waitMs, callback))
  }
  abort(): Promise<void> {
    return done(callback => this.client.abortTransaction(waitMs, callback))
  }
}
