/** The source on a real Kafka: the rules of its reader, and what only real brokers and several readers show. */
import t, { type Test } from 'tap'
import type { PartitionConsumer } from '../../../../runtime/adapters/kafka/feed.ts'
import {
  KafkaReaders,
  readingClients,
  type KafkaReadersOptions,
  type Lease
} from '../../../../runtime/adapters/kafka/kafka-readers.ts'
import { nodeClock } from '../../../../runtime/adapters/node-clock.ts'
import type { LogReader } from '../../../../runtime/ports/log.ts'
import { KafkaServer, needsKafka } from '../../../support/kafka-server.ts'
import { KafkaTopics, type TestProducer } from '../../../support/kafka-topics.ts'
import { needs } from '../../../support/services.ts'
import { closing, numbers, testKafkaReader, textsOf, type ReaderLab } from './reader-rules.ts'

t.setTimeout(300_000)

const waitMs = 100

/** Lets see what its consumers keep. */
class WatchedReaders extends KafkaReaders {
  private readonly leased: PartitionConsumer[] = []

  override lease(...given: Parameters<KafkaReaders['lease']>): Lease {
    const lease = super.lease(...given)
    this.leased.push(lease.consumer)
    return lease
  }

  heldBytes(topic: string, partition: number): number {
    return this.leased.reduce((sum, consumer) => sum + consumer.feed({ topic, partition }).bytes, 0)
  }
}

function labOf(topics: KafkaTopics, plain: TestProducer, made: Partial<KafkaReadersOptions>): ReaderLab {
  let producers = 0
  return {
    create: (name, partitions) => topics.create(name, partitions),
    send: (topic, records) => plain.send(topic, records),
    cut: (topic, partition, offset) => topics.cut(topic, partition, offset),
    remove: topic => topics.remove(topic),
    async begin() {
      const producer = await topics.producer({ 'transactional.id': `lab ${process.pid} ${made.client} ${++producers}` })
      await producer.begin()
      return producer
    },
    reader(options, more) {
      const brokers = topics.brokers.split(',')
      const readers = new WatchedReaders({
        cluster: { brokers },
        name: 'cairn test',
        clock: nodeClock,
        ...made,
        ...more
      })
      const reader = readers.reader(options)
      return Object.assign(reader, { heldBytes: readers.heldBytes.bind(readers) })
    }
  }
}

for (const client of readingClients)
  void t.test(`Kafka as a log, by the client ${client}`, { ...needs('kafka-client'), ...needsKafka() }, async t => {
    const { brokers } = await KafkaServer.start(t)
    const topics = new KafkaTopics(t, brokers)
    const plain = await topics.producer()
    const lab = labOf(topics, plain, { client })
    const readersOf = (more: Partial<KafkaReadersOptions> = {}): KafkaReaders =>
      new KafkaReaders({ cluster: { brokers }, name: 'cairn test', clock: nodeClock, client, ...more })
    const filled = async (name: string, count: number, config = {}): Promise<string> => {
      const topic = await topics.create(name, 1, config)
      await plain.send(topic, numbers(count))
      return topic
    }

    await testKafkaReader(t, lab)

    await t.test('compressed topics are read', async t => {
      for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
        // By the broker, and by a producer.
        const topic = await filled(codec, 500, { 'compression.type': codec })
        const producer = await topics.producer({ 'compression.type': codec, 'linger.ms': 50 })
        const own = await topics.create(`own-${codec}`, 1)
        const repeated = Array.from({ length: 3000 }, (_, i) => ({ value: `${i} ${'again and '.repeat(i % 70)}` }))
        await producer.send(own, repeated)
        t.same(
          await textsOf(lab, topic, 0, 500),
          numbers(500).map(({ value }) => value),
          codec
        )
        t.same(
          await textsOf(lab, own, 0, 3000),
          repeated.map(({ value }) => value),
          codec
        )
      }
    })

    await t.test('a record of some megabytes comes, and what is behind it', async t => {
      const largest = 6_000_000
      const topic = await topics.create('megabytes', 1, { 'max.message.bytes': String(largest) })
      const producer = await topics.producer({ 'message.max.bytes': largest })
      await producer.send(topic, [{ value: 'a' }])
      await producer.send(topic, [{ value: new Uint8Array(5_000_000).fill(120) }])
      await producer.send(topic, [{ value: 'b' }])
      const texts = await textsOf(lab, topic, 0, 3)
      t.same(
        texts.map(({ length }) => length),
        [1, 5_000_000, 1]
      )
    })

    await t.test('where the broker stamps records, its time counts', async t => {
      const began = Date.now()
      const topic = await topics.create('stamped', 1, { 'message.timestamp.type': 'LogAppendTime' })
      await plain.send(topic, [{ value: 'x', timestamp: 5 }])
      const got = await closing(t, readersOf().reader({ topic })).fetch(0, 0, 1 << 20, 1000)
      t.ok(got.kind === 'records' && got.batch.timestamp(0) >= began)
    })

    await t.test('a pattern is read by a consumer of its own, and says once that nothing matches', async t => {
      const prefix = await filled('alone', 10)
      const readers = readersOf()
      const plain = closing(t, readers.reader({ topic: prefix }))
      const told: string[] = []
      const none = closing(
        t,
        readers.reader({ topic: new RegExp(`${prefix}.`), told: ({ message }) => told.push(message) })
      )
      t.same(await none.partitions(), [])
      t.same(await none.partitions(), [])
      t.match(told, [/no topic's whole name matches/])
      t.equal(told.length, 1)
      const pattern = closing(t, readers.reader({ topic: new RegExp(`(x|${prefix})`) }))
      const [{ number = NaN } = {}] = await pattern.partitions()
      const got = await Promise.all([plain.fetch(0, 0, 1 << 20, 1000), pattern.fetch(number, 5, 1 << 20, 1000)])
      t.match(got, [
        { kind: 'records', next: 10, batch: { count: 10 } },
        { kind: 'records', next: 10, batch: { count: 5 } }
      ])
      t.equal(readers.consumers, 3)
    })

    await t.test('readers of several topics share one consumer; the same topic twice is read twice', async t => {
      const names = [await filled('first', 10), await filled('second', 20)]
      const readers = readersOf()
      const [first, second, again] = [...names, names[0] as string].map(topic => closing(t, readers.reader({ topic })))
      const all = await Promise.all(
        [first, second, again].map(reader => (reader as LogReader).fetch(0, 0, 1 << 20, 1000))
      )
      t.same(
        all.map(got => got.kind === 'records' && got.next),
        [10, 20, 10]
      )
      t.equal(readers.consumers, 2)
      await first?.close()
      t.match(await second?.fetch(0, 20, 100, waitMs), { kind: 'caught-up', next: 20 })
      await second?.close()
      await again?.close()
      t.equal(readers.consumers, 0)
    })

    await t.test('a missing topic, and brokers that are not there, are said as such', async (t: Test) => {
      await t.rejects(closing(t, readersOf().reader({ topic: 'nowhere' })).partitions(), {
        code: 'TOPIC_MISSING',
        message: /topic "nowhere" is not at Kafka \(/
      })
      const away = readersOf({ cluster: { brokers: ['127.0.0.1:1'] }, answerMs: 500 }).reader({ topic: 'any' })
      await t.rejects(closing(t, away).partitions(), {
        code: 'SOURCE_UNREACHABLE',
        message: /Kafka \(127\.0\.0\.1:1\) does not answer/
      })
    })
  })
