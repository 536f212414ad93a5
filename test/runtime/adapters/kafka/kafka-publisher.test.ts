/** The publisher against a real Kafka: the rules of the port, and what only a real broker shows. */
import t, { type Test } from 'tap'
import { openKafkaPublisher, ledgerTopicOf } from '../../../../runtime/adapters/kafka/open-publisher.ts'
import { nodeClock } from '../../../../runtime/adapters/node-clock.ts'
import { KafkaServer, needsKafka } from '../../../support/kafka-server.ts'
import { OwnTopics } from '../../../support/own-topics.ts'
import { testPublisher, type Seen } from '../../ports/publisher-conformance.ts'

const decoder = new TextDecoder()
const text = (bytes: Uint8Array | undefined): string => decoder.decode(bytes)

void t.test('on a real Kafka', needsKafka(), async t => {
  const kafka = await KafkaServer.start(t)
  const cluster = { brokers: kafka.brokers }
  const topics = new OwnTopics(cluster)
  t.teardown(() => topics.close())

  const open = (t: Test, job: string, topic: string): ReturnType<typeof openKafkaPublisher> => {
    const publisher = openKafkaPublisher(cluster, { job, topic, slots: 4, clock: nodeClock })
    t.teardown(() => publisher.close())
    return publisher
  }

  await t.test('the rules of the port', t =>
    testPublisher(
      t,
      { fencing: 'by-owner', partitions: 3, wholeRecords: true, shared: true, checksPartitions: true },
      async t => {
        const topic = kafka.name()
        await topics.create(topic, 3, { 'max.message.bytes': '2000000' })
        return {
          publisher: () => open(t, topic, topic),
          seen: async () =>
            (await topics.read(topic)).map(({ partition, timestamp, key, value }): Seen => ({
              partition,
              timestamp,
              key: key === undefined ? undefined : text(key),
              value: text(value)
            }))
        }
      }
    )
  )

  t.match(ledgerTopicOf('shop'), 'cairn-shop-ledger')
})
