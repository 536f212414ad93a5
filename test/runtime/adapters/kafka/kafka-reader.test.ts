/** The source on a real Kafka: the rules of the port, and what only Kafka does. */
import t, { type Test } from 'tap'
import {
  KafkaReaders,
  readingClients,
  type KafkaReadersOptions
} from '../../../../runtime/adapters/kafka/kafka-readers.ts'
import { nodeClock } from '../../../../runtime/adapters/node-clock.ts'
import type { Fetched, LogReader, RecordBatch } from '../../../../runtime/ports/log.ts'
import { KafkaServer, needsKafka } from '../../../support/kafka-server.ts'
import { KafkaTopics, type TopicRecord } from '../../../support/kafka-topics.ts'
import { needs } from '../../../support/services.ts'
import { readLog, testLogReader, type LogCapabilities, type LogSubject } from '../../ports/log-conformance.ts'

t.setTimeout(300_000)

const waitMs = 100
const textOf = (batch: RecordBatch, i: number): string => new TextDecoder().decode(batch.value(i))
const able: LogCapabilities = { bounded: false, gaveUp: true, outOfRange: true, limited: true, partitions: 3 }

for (const client of readingClients)
  void t.test(`Kafka as a log, by the client ${client}`, { ...needs('kafka-client'), ...needsKafka() }, async t => {
    const { brokers } = await KafkaServer.start(t)
    const topics = new KafkaTopics(t, brokers)
    const plain = await topics.producer()

    const readersOf = (more: Partial<KafkaReadersOptions> = {}): KafkaReaders =>
      new KafkaReaders({ cluster: { brokers }, name: 'cairn test', clock: nodeClock, client, ...more })
    const closing = <R extends LogReader>(t: Test, reader: R): R => {
      t.teardown(() => reader.close())
      return reader
    }
    const subject = (t: Test, topic: string): LogSubject => {
      const readers = readersOf()
      return {
        reader: () => closing(t, readers.reader({ topic })),
        text: textOf,
        append: (partition, value) => plain.send(topic, [{ partition, value }])
      }
    }
    const textsOf = async (topic: string, partition: number, count: number): Promise<string[]> => {
      const reader = readersOf().reader({ topic })
      const log = { reader: () => reader, text: textOf }
      const read = await readLog(log, reader, partition, count)
      await reader.close()
      return read.map(({ text }) => text)
    }
    const filled = async (name: string, records: readonly TopicRecord[], config = {}): Promise<string> => {
      const topic = await topics.create(name, 1, config)
      await plain.send(topic, records)
      return topic
    }
    const numbers = (count: number): TopicRecord[] => Array.from({ length: count }, (_, i) => ({ value: `v${i}` }))

    await t.test('plain records follow the rules of the port', t =>
      testLogReader(t, able, async (t, texts) => {
        const topic = await topics.create('plain', texts.length)
        for (const [partition, list] of texts.entries())
          await plain.send(
            topic,
            list.map(value => ({ partition, value }))
          )
        return subject(t, topic)
      })
    )

    await t.test('so do records between aborted ones and the marks of transactions', t =>
      testLogReader(t, { ...able, outOfRange: false }, async (t, texts) => {
        const topic = await topics.create('gaps', texts.length)
        const good = await topics.producer({ 'transactional.id': `good ${topic}` })
        const bad = await topics.producer({ 'transactional.id': `bad ${topic}` })
        for (let from = 0; from < 300; from += 150) {
          await good.begin()
          await bad.begin()
          for (const [partition, list] of texts.entries()) {
            const records = list.slice(from, Math.min(from + 150, 299)).map(value => ({ partition, value }))
            await good.send(topic, records.slice(0, 10))
            await bad.send(topic, [{ partition, value: 'never seen' }])
            await good.send(topic, records.slice(10))
          }
          await good.commit()
          await bad.abort()
        }
        for (const [partition, list] of texts.entries()) {
          if (list.length === 0) continue
          // What can be read has its mark behind it: the next record is the end.
          await textsOf(topic, partition, 299)
          await plain.send(topic, [{ partition, value: list[299] as string }])
        }
        return subject(t, topic)
      })
    )

    await t.test('keys, tombstones and timestamps arrive as they were written', async t => {
      const topic = await filled('parts', [
        { key: 'a', value: '1', timestamp: 1_600_000_000_123 },
        { key: 'a', value: null, timestamp: 5 },
        { key: '', value: '', timestamp: 6 }
      ])
      const reader = closing(t, readersOf().reader({ topic }))
      const got = await reader.fetch(0, 0, 1 << 20, 1000)
      if (got.kind !== 'records') return t.fail(got.kind)
      const { batch } = got
      const string = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes)
      t.same(
        [0, 1, 2].map(i => [batch.offset(i), batch.timestamp(i), string(batch.key(i)), string(batch.value(i))]),
        [
          [0, 1_600_000_000_123, 'a', '1'],
          [1, 5, 'a', undefined],
          [2, 6, '', '']
        ]
      )
      t.equal(batch.sizeBytes, 3)
      t.same([got.next, got.end], [3, 3])
    })

    await t.test('compressed topics are read', async t => {
      for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
        const topic = await filled(codec, numbers(500), { 'compression.type': codec })
        t.same(
          await textsOf(topic, 0, 500),
          numbers(500).map(({ value }) => value),
          codec
        )
      }
    })

    await t.test('an open transaction is not read, and its begin is the end; "latest" is there, too', async t => {
      const topic = await filled('open', numbers(3))
      const open = await topics.producer({ 'transactional.id': `open ${topic}` })
      await open.begin()
      await open.send(topic, [{ value: 'not yet' }])
      await plain.send(topic, [{ value: 'behind' }])
      const reader = closing(t, readersOf().reader({ topic }))
      t.equal(await reader.start(0, 'latest'), 3)
      t.match(await reader.fetch(0, 0, 1 << 20, waitMs), { kind: 'records', next: 3 })
      t.same(await reader.fetch(0, 3, 1 << 20, waitMs), { kind: 'caught-up', next: 3 })
      await open.commit()
      t.same(await textsOf(topic, 0, 5), ['v0', 'v1', 'v2', 'not yet', 'behind'])
    })

    await t.test(
      'what retention has taken is out of range, at the start of reading and in the middle of it',
      async t => {
        const topic = await filled('cut', numbers(100))
        const reader = closing(t, readersOf().reader({ topic }))
        t.match(await reader.fetch(0, 0, 20, 1000), { kind: 'records' })
        t.match(await reader.fetch(0, 100, 20, waitMs), { kind: 'caught-up', next: 100 })
        await topics.cut(topic, 0, 40)
        t.same(await reader.fetch(0, 39, 20, waitMs), { kind: 'out-of-range', earliest: 40, end: 100 })
        t.same(await closing(t, readersOf().reader({ topic })).fetch(0, 0, 20, 0), {
          kind: 'out-of-range',
          earliest: 40,
          end: 100
        })
        for (const [onMissing, next] of [
          ['earliest', 40],
          ['latest', 100]
        ] as const) {
          const told: string[] = []
          const going = closing(t, readersOf().reader({ topic, onMissing, told: ({ message }) => told.push(message) }))
          t.same(await going.fetch(0, 7, 20, 0), { kind: 'caught-up', next })
          t.match(told, [`partition 0: ${next - 7} records from offset 7 on are gone`])
          t.match(
            await going.fetch(0, 101, 20, 0),
            { kind: 'out-of-range' },
            'a topic that lost its end is another matter'
          )
        }
        t.equal(await reader.start(0, 'earliest'), 40)
        t.match(await reader.fetch(0, 40, 20, 1000), { kind: 'records' })
      }
    )

    await t.test('a pattern is read by a consumer of its own, and says once that nothing matches', async t => {
      const prefix = await filled('many', numbers(10))
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
      const [{ name, number = NaN } = {}] = await pattern.partitions()
      t.equal(name, `${prefix}/0`)
      t.equal(await pattern.start(number, 'latest'), 10)
      const got = await Promise.all([plain.fetch(0, 0, 1 << 20, 1000), pattern.fetch(number, 5, 1 << 20, 1000)])
      t.match(got, [
        { kind: 'records', next: 10, batch: { count: 10 } },
        { kind: 'records', next: 10, batch: { count: 5 } }
      ])
      t.equal(readers.consumers, 3)
    })

    await t.test('readers of several topics share one consumer; the same topic twice is read twice', async t => {
      const names = [await filled('first', numbers(10)), await filled('second', numbers(20))]
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

    await t.test('a partition that nobody takes from is paused while another goes on, and nothing is lost', async t => {
      const topic = await topics.create('slow', 2)
      const value = 'x'.repeat(100_000)
      for (const partition of [0, 1])
        await plain.send(
          topic,
          Array.from({ length: 500 }, () => ({ partition, value }))
        )
      const reader = closing(t, readersOf({ bufferedBytes: 2_000_000 }).reader({ topic }))
      const read = async (partition: number, from: number, count: number): Promise<number> => {
        let position = from
        while (position < count) {
          const got: Fetched = await reader.fetch(partition, position, 1 << 20, 1000)
          if (got.kind !== 'records' && got.kind !== 'caught-up') throw new Error(got.kind)
          position = got.next
        }
        return position
      }
      t.ok((await read(1, 0, 1)) >= 1)
      t.equal(await read(0, 0, 500), 500)
      t.equal(
        await read(1, await reader.fetch(1, 0, 1, 1000).then(got => (got.kind === 'records' ? got.next : NaN)), 500),
        500
      )
    })

    await t.test('a missing topic, and brokers that are not there, are said as such', async t => {
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

    await t.test('a topic that is deleted while it is read fails its reader', async t => {
      const topic = await filled('deleted', numbers(5))
      const reader = closing(t, readersOf().reader({ topic }))
      t.match(await reader.fetch(0, 0, 1 << 20, 1000), { kind: 'records', next: 5 })
      await topics.remove(topic)
      const more = async (): Promise<void> => {
        for (;;) await reader.fetch(0, 5, 100, waitMs)
      }
      await t.rejects(more(), { code: 'TOPIC_MISSING' })
    })
  })
