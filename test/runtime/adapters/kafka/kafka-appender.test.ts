/** At-least-once output, and what a job says about where and how it reads, on a real Kafka. */
import t from 'tap'
import { forgetLedger } from '../../../../runtime/adapters/kafka/forget-ledger.ts'
import { KafkaAppender, type KafkaAppenderOptions } from '../../../../runtime/adapters/kafka/kafka-appender.ts'
import { KafkaReaders } from '../../../../runtime/adapters/kafka/kafka-readers.ts'
import type { KafkaReaderOptions } from '../../../../runtime/adapters/kafka/kafka-reader.ts'
import { KafkaTarget } from '../../../../runtime/adapters/kafka/kafka-target.ts'
import { nodeClock } from '../../../../runtime/adapters/node-clock.ts'
import type { LogReader, OutputRecord } from '../../../../runtime/ports/log.ts'
import { KafkaServer, needsKafka } from '../../../support/kafka-server.ts'
import { KafkaTopics } from '../../../support/kafka-topics.ts'
import { needs } from '../../../support/services.ts'

t.setTimeout(120_000)

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const record = (value: string | undefined, more: Partial<OutputRecord> = {}): OutputRecord => ({
  partition: 0,
  timestamp: 1000,
  key: undefined,
  value: value === undefined ? undefined : bytes(value),
  ...more
})

void t.test('topics of Kafka', { ...needs('kafka-client'), ...needsKafka() }, async t => {
  const server = await KafkaServer.start(t)
  const topics = new KafkaTopics(t, server.brokers)
  const cluster = { brokers: server.brokers }
  const readers = new KafkaReaders({ cluster, name: 'cairn test', clock: nodeClock })
  const reading = (options: KafkaReaderOptions): LogReader => {
    const reader = readers.reader(options)
    t.teardown(() => reader.close())
    return reader
  }
  const appender = (topic: string, more: Partial<KafkaAppenderOptions> = {}): KafkaAppender => {
    const made = new KafkaAppender({ cluster, topic, name: 'cairn test', ...more })
    t.teardown(() => made.close())
    return made
  }

  const topicEnd = (topic: string): Promise<number> => reading({ topic }).start(0, 'latest')

  await t.test('what is appended is there once that is said, as it was given', async t => {
    const topic = await topics.create('parts', 2)
    await appender(topic).append([
      record('a', { key: bytes('k') }),
      record(undefined, { key: bytes('k'), timestamp: 2000 }),
      record('', { key: bytes(''), partition: 1, headers: [{ name: 'h', value: bytes('1') }] })
    ])
    const found = (await server.consume(topic)).map(({ partition, timestamp, key, value, headers }) => [
      partition,
      timestamp,
      key,
      value,
      headers
    ])
    t.same(found.sort(), [
      [0, 1000, 'k', 'a', ''],
      [0, 2000, 'k', null, ''],
      [1, 1000, '', '', 'h:1']
    ])
  })

  await t.test('more than the client holds at once waits, and stays in order', async t => {
    const topic = await topics.create('many', 1)
    const values = Array.from({ length: 5000 }, (_, i) => String(i))
    await appender(topic, { config: { 'queue.buffering.max.messages': 100 } }).append(values.map(v => record(v)))
    const got = await reading({ topic }).fetch(0, 0, 1 << 20, 1000)
    if (got.kind !== 'records') return t.fail(got.kind)
    const { batch } = got
    t.same(
      Array.from({ length: batch.count }, (_, i) => new TextDecoder().decode(batch.value(i))),
      values.slice(0, batch.count)
    )
    t.equal(await topicEnd(topic), 5000)
  })

  await t.test('what the topic refuses is an error, and the next append is tried anew', async t => {
    const topic = await topics.create('small', 1, { 'max.message.bytes': '1000' })
    const made = appender(topic)
    await t.rejects(made.append([record('x'.repeat(2000))]), { code: 'RECORD_REFUSED' })
    await made.append([record('y')])
    t.equal(await topicEnd(topic), 1)
    const target = new KafkaTarget(cluster, 'cairn test', topic, nodeClock)
    const { partitions, maxRecordBytes } = await target.describe()
    t.equal(partitions, 1)
    await made.append([record('z'.repeat(maxRecordBytes))])
    await target.close()
  })

  await t.test('batches that are under way at once stay in order, and each is there once that is said', async t => {
    const topic = await topics.create('at-once', 2)
    const made = appender(topic, { config: { 'queue.buffering.max.messages': 100 } })
    const values = Array.from({ length: 2000 }, (_, i) => String(i))
    let ended = 0
    const batches = Array.from({ length: made.atOnce }, async (_, batch) => {
      const own = values.slice(batch * 400, (batch + 1) * 400)
      await made.append(own.map((value, i) => record(value, { partition: i % 2 })))
      t.equal(ended++, batch, 'confirmed in their order')
      const ends = await Promise.all([0, 1].map(n => reading({ topic }).start(n, 'latest')))
      t.ok(Math.min(...ends) >= 200 * (batch + 1), 'all of it is there')
    })
    await Promise.all(batches)
    const found = await server.consume(topic)
    for (const partition of [0, 1])
      t.same(
        found.filter(each => each.partition === partition).map(({ value }) => value),
        values.filter((_, i) => i % 2 === partition)
      )
  })

  await t.test('of batches that are under way at once all fail with the one that does', async t => {
    const topic = await topics.create('small-at-once', 1, { 'max.message.bytes': '1000' })
    const made = appender(topic)
    const [first, second] = await Promise.allSettled([
      made.append([record('x'.repeat(2000))]),
      made.append([record('after')])
    ])
    t.match(first, { status: 'rejected', reason: { code: 'RECORD_REFUSED' } })
    t.equal(second?.status, 'rejected', 'its order would be wrong')
    await made.append([record('y')])
  })

  await t.test('brokers that are away are an error that is tried again', async t => {
    const away = new KafkaAppender({ cluster: { brokers: ['127.0.0.1:1'] }, topic: 'any', name: 'x', answerMs: 300 })
    await t.rejects(away.append([record('a')]), { code: 'SINK_UNREACHABLE', message: /Kafka \(127\.0\.0\.1:1\)/ })
    await away.close()
  })

  await t.test('a job begins at a time, or at an offset of each partition', async t => {
    const topic = await topics.create('begin', 2)
    await appender(topic).append([1000, 2000, 3000].map(timestamp => record('v', { timestamp })))
    const at = async (begin: number | readonly number[], partition = 0): Promise<number> => {
      const reader = readers.reader({ topic, begin })
      const position = await reader.start(partition, 'latest')
      t.equal(await reader.start(partition, 'earliest'), 0, 'partitions that are found later begin at their beginning')
      await reader.close()
      return position
    }
    t.same([await at(0), await at(1500), await at(2000), await at(9000)], [0, 1, 1, 3])
    t.equal(await at(1500, 1), 0, 'an empty partition')
    t.same([await at([2, 0]), await at([2, 0], 1)], [2, 0])
    await t.rejects(at([2], 1), { code: 'OPTION_INVALID', message: /names no offset for partition 1/ })
  })

  await t.test('an event may be made of the whole record', async t => {
    const topic = await topics.create('whole', 1)
    await appender(topic).append([
      record('a', {
        key: bytes('k'),
        headers: [
          { name: 'h', value: bytes('1') },
          { name: 'h', value: bytes('2') }
        ]
      }),
      record(undefined)
    ])
    const got = await reading({ topic, make: each => each }).fetch(0, 0, 1 << 20, 1000)
    if (got.kind !== 'records') return t.fail(got.kind)
    t.match(got.batch.valueObject?.(0), {
      key: 'k',
      timestamp: 1000,
      partition: 0,
      offset: 0,
      headers: [{ name: 'h' }, { name: 'h' }]
    })
    t.match(got.batch.valueObject?.(1), { key: undefined, value: undefined, headers: [] })
  })

  await t.test("a job's ledger is forgotten, others' are not", async t => {
    const topic = await topics.create('ledger', 2, { 'cleanup.policy': 'compact' })
    const writes = appender(topic)
    await writes.append([
      record('1', { key: bytes('mine.1.s.t.0') }),
      record('2', { key: bytes('mine.1.s.t.0') }),
      record('1', { key: bytes('mine.1.s.t.1'), partition: 1 }),
      record('1', { key: bytes('mine2.1.s.t.0') })
    ])
    t.equal(await forgetLedger(reading({ topic }), writes, 'mine'), 2)
    t.equal(await forgetLedger(reading({ topic }), writes, 'mine'), 0)
    t.equal(await forgetLedger(reading({ topic: 'no-ledger-yet' }), writes, 'mine'), 0)
  })
})
