/** The publisher against a real Kafka: the rules of the port in both versions of transactions, and what only a real broker shows. */
import t, { type Test } from 'tap'
import { KafkaPublisher } from '../../../../runtime/adapters/kafka/kafka-publisher.ts'
import { reachKafka } from '../../../../runtime/adapters/kafka/kafka-sockets.ts'
import { slotKey } from '../../../../runtime/adapters/kafka/ledger-records.ts'
import { ledgerTopicOf, openKafkaPublisher } from '../../../../runtime/adapters/kafka/open-publisher.ts'
import { nodeClock } from '../../../../runtime/adapters/node-clock.ts'
import { isCodedError } from '../../../../runtime/kernel/errors.ts'
import type { OutputRecord } from '../../../../runtime/ports/log.ts'
import type { LedgerEntry, SlotName } from '../../../../runtime/ports/publisher.ts'
import { StreamCutter } from '../../../support/cutting-stream.ts'
import { needsOwnKafka, OwnKafka } from '../../../support/kafka-server.ts'
import { OwnTopics } from '../../../../simulations/chaos/own-topics.ts'
import { begun, ledgerEntry, outputRecord, testPublisher, type Seen } from '../../ports/publisher-conformance.ts'

const decoder = new TextDecoder()
const text = (bytes: Uint8Array | undefined): string => decoder.decode(bytes)
const endTxn = 26

t.setTimeout(240_000)

void t.test('on a real Kafka', { ...needsOwnKafka(), timeout: 240_000 }, async t => {
  const kafka = await OwnKafka.launch(t, {
    properties: {
      // What is away too long is forgotten within seconds here.
      'transactional.id.expiration.ms': 4_000,
      'transaction.remove.expired.transaction.cleanup.interval.ms': 500,
      'transaction.abort.timed.out.transaction.cleanup.interval.ms': 200,
      'producer.id.expiration.ms': 4_000,
      'producer.id.expiration.check.interval.ms': 500
    }
  })
  const cluster = { brokers: kafka.brokers }
  const topics = new OwnTopics(cluster)
  t.teardown(() => topics.close())
  const cutter = new StreamCutter()

  const open = (
    t: Test,
    topic: string,
    transactionTimeoutMs = 60_000,
    more: { readonly compression?: 'gzip' } = {}
  ): KafkaPublisher => {
    const reach = reachKafka(cluster)
    const publisher = new KafkaPublisher({
      ...reach,
      connect: cutter.around(reach.connect),
      clock: nodeClock,
      clientId: 'test',
      topic,
      ledgerTopic: ledgerTopicOf(topic),
      ledgerPartitions: 4,
      transactionTimeoutMs,
      ...more
    })
    t.teardown(() => publisher.close())
    return publisher
  }

  const rules = (t: Test): Promise<void> =>
    testPublisher(
      t,
      { fencing: 'by-owner', partitions: 3, wholeRecords: true, shared: true, checksPartitions: true },
      async t => {
        const topic = kafka.name()
        await topics.create(topic, 3, { 'max.message.bytes': '2000000' })
        return {
          publisher: () => open(t, topic),
          seen: async () =>
            (await topics.read(topic)).map(({ partition, timestamp, key, value }): Seen => ({
              partition,
              timestamp,
              key: key === undefined ? undefined : text(key),
              value: text(value)
            })),
          fail: when => cutter.arm(endTxn, when),
          reopen: () => Promise.resolve()
        }
      }
    )

  const slotOf = (job: string): SlotName => ({ job, lineage: 1, sink: 'out', stage: 'Count', slot: 1 })

  await t.test('the rules of the port', rules)

  await t.test('what a topic would refuse is known before: no key, a time too far away', async t => {
    const topic = kafka.name()
    await topics.create(topic, 1, {
      'cleanup.policy': 'compact',
      'message.timestamp.after.max.ms': '3600000',
      'message.timestamp.before.max.ms': '86400000'
    })
    const publisher = open(t, topic)
    t.match(await publisher.describe(), {
      partitions: 1,
      needsKey: true,
      mostAheadMs: 3_540_000,
      mostBehindMs: 86_400_000
    })
    const now = Date.now()
    const bytes = new TextEncoder().encode('x')
    const outcomes = async (key: Uint8Array | undefined, timestamp: number): Promise<string> => {
      const producer = await begun(publisher, slotOf(topic))
      return (await producer.publish([{ partition: 0, timestamp, key, value: bytes }], ledgerEntry(1))).kind
    }
    t.equal(await outcomes(undefined, now), 'refused', 'the broker does')
    t.equal(await outcomes(bytes, now + 7_200_000), 'refused')
    t.equal(await outcomes(bytes, now - 2 * 86_400_000), 'refused')
    t.equal(await outcomes(bytes, now), 'published')

    const stamped = kafka.name()
    await topics.create(stamped, 1, { 'message.timestamp.type': 'LogAppendTime' })
    const { maxRecordBytes: _, ...others } = await open(t, stamped).describe()
    t.same(others, { partitions: 1 }, 'times that the broker sets itself are all right')
  })

  await t.test('compressed, it takes less room and is read all the same', async t => {
    const records = Array.from({ length: 2000 }, (_, i) =>
      outputRecord(`${i} says what many others say, and they say it at length`)
    )
    const publish = async (more: {
      readonly compression?: 'gzip'
    }): Promise<readonly [values: string, size: number]> => {
      const topic = kafka.name()
      await topics.create(topic, 1)
      const producer = await begun(open(t, topic, 60_000, more), slotOf(topic))
      t.same(await producer.publish(records, ledgerEntry(1)), { kind: 'published' })
      const read = await kafka.consume(topic, { max: records.length })
      const told = await kafka.tool('org.apache.kafka.tools.LogDirsCommand', ['--describe', '--topic-list', topic])
      return [read.map(({ value }) => value).join('\n'), Number(/"size":(\d+)/.exec(told)?.[1])]
    }
    const [plain, plainSize] = await publish({})
    const [packed, packedSize] = await publish({ compression: 'gzip' })
    t.equal(packed, plain)
    t.equal(plain.split('\n').length, records.length)
    t.ok(packedSize > 0 && packedSize < plainSize / 3, `${packedSize} bytes instead of ${plainSize}`)
  })

  await t.test("Kafka's own consumer reads what was published, byte for byte, and no transaction is open", async t => {
    const topic = kafka.name()
    await topics.create(topic, 2)
    const publisher = open(t, topic)
    const producer = await begun(publisher, slotOf(topic))
    const bytes = (value: string | undefined): Uint8Array | undefined =>
      value === undefined ? undefined : new TextEncoder().encode(value)
    const record = (
      partition: number,
      timestamp: number,
      key: string | undefined,
      value: string | undefined
    ): OutputRecord => ({ partition, timestamp, key: bytes(key), value: bytes(value) })
    const records = [
      record(0, 1_700_000_000_000, 'ü', 'naïve €'),
      record(0, 1_699_999_999_999, undefined, 'earlier'),
      record(1, 1_700_000_000_001, 'gone', undefined),
      record(1, 0, '', '')
    ]
    t.same(await producer.publish(records, ledgerEntry(1)), { kind: 'published' })
    const lost = open(t, topic)
    const next = await lost.initialise(slotOf(topic))
    await next.readLedger()
    cutter.arm(endTxn, 'before')
    t.match(await next.publish([record(0, 1, 'a', 'aborted')], ledgerEntry(2)), { kind: 'unknown' })
    t.same((await kafka.openTransactions(slotKey(slotOf(topic)))).length, 1)
    t.equal((await (await publisher.initialise(slotOf(topic))).readLedger())?.epoch, 1)
    const seen = (await kafka.consume(topic, { max: 4 })).sort((a, b) => a.partition - b.partition)
    t.same(
      seen.map(({ partition, timestamp, key, value, headers }) => ({ partition, timestamp, key, value, headers })),
      [
        { partition: 0, timestamp: 1_700_000_000_000, key: 'ü', value: 'naïve €', headers: '' },
        { partition: 0, timestamp: 1_699_999_999_999, key: null, value: 'earlier', headers: '' },
        { partition: 1, timestamp: 1_700_000_000_001, key: 'gone', value: null, headers: '' },
        { partition: 1, timestamp: 0, key: '', value: '', headers: '' }
      ]
    )
    t.same(await kafka.openTransactions(topic), [])
  })

  await t.test('a broker that is killed in the middle of a publication loses and doubles nothing', async t => {
    const topic = kafka.name()
    await topics.create(topic, 2)
    const slot = slotOf(topic)
    const publisher = open(t, topic)
    let producer = await begun(publisher, slot)
    for (let epoch = 1; epoch <= 2; epoch++) {
      // Killed with records and entry written and not decided.
      cutter.arm(endTxn, 'before')
      t.match(await producer.publish(recordsOf(epoch), ledgerEntry(epoch)), { kind: 'unknown' })
      const restarted = kafka.cluster.restart('SIGKILL')
      producer = await insistently(() => publisher.initialise(slot))
      t.equal((await insistently(() => producer.readLedger()))?.epoch, epoch - 1)
      await restarted
      let outcome = await producer.publish(recordsOf(epoch), ledgerEntry(epoch))
      while (outcome.kind === 'unknown') {
        producer = await insistently(() => publisher.initialise(slot))
        outcome =
          (await producer.readLedger())?.epoch === epoch
            ? { kind: 'published' }
            : await producer.publish(recordsOf(epoch), ledgerEntry(epoch))
      }
      t.match(outcome, { kind: 'published' })
      // Kafka forgets the markers of a transaction that is decided and not yet marked when its last broker is killed (docs/kafka.md).
      await topics.read(topic)
    }
    const read = await topics.read(topic)
    for (const partition of [0, 1])
      t.same(
        read.filter(each => each.partition === partition).map(({ value }) => text(value)),
        ['1', '2']
      )
    t.same(await kafka.openTransactions(topic), [])
  })

  await t.test(
    'an owner that was idle for longer than its id is remembered comes back, and so does a new one',
    async t => {
      const topic = kafka.name()
      await topics.create(topic, 1)
      const slot = slotOf(topic)
      const idle = open(t, topic, 1_000)
      const producer = await begun(idle, slot)
      t.match(await producer.publish([outputRecord('1')], ledgerEntry(1)), { kind: 'published' })
      const known = async (): Promise<boolean> =>
        (await kafka.tool('org.apache.kafka.tools.TransactionsCommand', ['list'])).includes(slotKey(slot))
      // Decided here, and not published: longer than the transaction's time-out, and then the broker is away, too.
      while (await known()) continue
      await kafka.cluster.restart('SIGTERM')
      t.match(await producer.publish([outputRecord('2')], ledgerEntry(2)), { kind: 'unknown' }, 'forgotten, not fenced')
      const again = await idle.initialise(slot)
      t.equal((await again.readLedger())?.epoch, 1)
      t.match(await again.publish([outputRecord('2')], ledgerEntry(2)), { kind: 'published' })
      while (await known()) continue
      const next = await open(t, topic).initialise(slot)
      t.equal((await next.readLedger())?.epoch, 2)
      t.match(await next.publish([outputRecord('3')], ledgerEntry(3)), { kind: 'published' })
      t.match(await again.publish([outputRecord('zombie')], ledgerEntry(3)), { kind: 'fenced' })
      t.same(
        (await topics.read(topic)).map(({ value }) => text(value)),
        ['1', '2', '3']
      )
    }
  )

  await t.test('what is wrong with topics is told', async t => {
    const missing = openKafkaPublisher(cluster, { job: 'a', topic: kafka.name(), slots: 4, clock: nodeClock })
    await t.rejects(missing.describe(), { code: 'TOPIC_MISSING' })
    await missing.close()
    const topic = kafka.name()
    await topics.create(topic, 1)
    const bad = openKafkaPublisher(cluster, { job: 'a', topic, slots: 4, clock: nodeClock, ledgerTopic: 'no topic' })
    await t.rejects(bad.describe(), { code: 'KAFKA_REFUSED', message: /INVALID_TOPIC_EXCEPTION/ })
    await bad.close()
    const slow = open(t, topic, 100_000_000)
    await t.rejects(slow.initialise(slotOf(topic)), { code: 'KAFKA_REFUSED', message: /INVALID_TRANSACTION_TIMEOUT/ })
    const small = kafka.name()
    await topics.create(small, 1, { 'max.message.bytes': '1000' })
    const producer = await begun(open(t, small), slotOf(small))
    t.match(await producer.publish([outputRecord('x'.repeat(1000))], ledgerEntry(1)), {
      kind: 'refused',
      error: { message: /takes 9\d\d bytes; a record has 1000/ }
    })
  })

  await t.test('the rules of the port, where the cluster has the older transactions', async t => {
    await kafka.tool('org.apache.kafka.tools.FeatureCommand', ['downgrade', '--feature', 'transaction.version=1'])
    await rules(t)
  })
})

/** As the shell does: a sink that cannot be reached is asked again. */
async function insistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await attempt()
    } catch (error) {
      if (!isCodedError(error) || error.code !== 'SINK_UNREACHABLE') throw error
    }
}

const recordsOf = (epoch: LedgerEntry['epoch']): OutputRecord[] =>
  [0, 1].map(partition => outputRecord(String(epoch), partition))
