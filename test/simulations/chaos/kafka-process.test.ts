/** Real brokers, as tests and chaos runs start them, and what Kafka's own tools say of them. */
import t from 'tap'
import { KafkaServer, needsKafka } from '../../support/kafka-server.ts'

void t.test('a real Kafka: what its producer writes its consumer reads', needsKafka(), async t => {
  const kafka = await KafkaServer.start(t)
  const topic = await kafka.topic(2)
  await kafka.produce(topic, ['a\t1', 'b\t\\N', 'a\t2'])
  const records = await kafka.consume(topic, { max: 3 })
  const of = (key: string): unknown[] => records.filter(each => each.key === key).map(({ value }) => value)
  t.same([of('a'), of('b')], [['1', '2'], [null]])
  t.same(await kafka.openTransactions(kafka.prefix), [])
  await kafka.deleteTopic(topic)
})
