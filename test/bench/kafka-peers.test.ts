/** The job of bench:kafka puts out the same here, in Kafka Streams and in Flink: without that they are no peers to be measured with. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { benchEvent, partitions } from '../../bench/kafka/bench-events.ts'
import { startJob, type Contender } from '../../bench/kafka/jobs.ts'
import { OutputCheck, type Row } from '../../bench/kafka/output-check.ts'
import { peerNames, preparePeer } from '../../bench/peers/count-by-key.ts'
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { OwnTopics, type TopicRecord } from '../../simulations/chaos/own-topics.ts'
import { KafkaServer, needsKafka } from '../support/kafka-server.ts'
import { needs } from '../support/services.ts'

t.setTimeout(240_000)

const encoder = new TextEncoder()
const text = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString()

const checkOf = (rows: readonly Row[]): OutputCheck => {
  const check = new OutputCheck()
  for (const row of rows) check.take(encoder.encode(row.key), encoder.encode(JSON.stringify(row)))
  return check
}

void t.test('output with a record twice, out of order, missing or too much is noticed', t => {
  const row = (key: string, n: number): Row => ({ key, at: 1, n })
  const due = (n: number): Row[] =>
    Array.from({ length: n }, (_, i) => row(`k${i % 10_000}`, Math.floor(i / 10_000) + 1))
  const faults = (rows: readonly Row[], events = 10_001): string[] => checkOf(rows).faults(events)
  t.same(faults(due(10_001)), [])
  t.match(faults([...due(10_001), row('k0', 2)]), [/k0 counts 2 where 3/, /10002 records of 10001/, /k0 has 3 .* of 2/])
  t.match(faults(due(10_001).reverse()), [/k0 counts 2 where 1/, /k0 counts 1 where 2/])
  t.match(faults(due(10_000)), [/10000 records of 10001/, /k0 has 1 .* of 2/])
  t.match(faults([...due(10_000), row('other', 1)]), [/k0 has 1 records of 2/, /other has 1 records of 0/])
  const misplaced = new OutputCheck()
  misplaced.take(encoder.encode('k1'), encoder.encode(JSON.stringify(row('k0', 1))))
  t.match(misplaced.faults(1), [/the record of k0 has the key k1/])
  t.end()
})

for (const peer of peerNames) {
  const wanted = { ...needs('kafka-client', peer), ...needsKafka() }
  void t.test(`${peer} puts out what Cairn does, record by record`, wanted, async t => {
    const kafka = await KafkaServer.start(t)
    const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-peer-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
    const prepared = preparePeer(peer, join(folder, 'classes'), { threads: 1, store: 'rocksdb' })
    if (prepared === undefined) throw new Error(`${peer} was here`)
    const topics = new OwnTopics({ brokers: kafka.brokers })
    t.teardown(() => topics.close())
    const from = kafka.name('in')
    await topics.create(from, partitions)
    const events = 12_000
    const begin = Date.now() - events
    const appender = new KafkaAppender({ cluster: { brokers: kafka.brokers }, topic: from, name: 'bench' })
    await appender.append(Array.from({ length: events }, (_, n) => benchEvent(n, begin + n)))
    await appender.close()

    const place = { folder, brokers: kafka.brokers, peers: [{ ...prepared, brief: true }] }
    const outputOf = async (t: Test, who: Contender): Promise<TopicRecord[]> => {
      const [name, to] = [kafka.name(who), kafka.name(`${who}-out`)]
      await topics.create(to, partitions)
      const job = startJob({ who, from, to, interval: '100ms', delivery: 'exactly-once', name }, place)
      t.teardown(() => job.stop())
      const positions = Array.from({ length: partitions }, () => 0)
      for (let counted = 0; counted < events;) counted += await job.while(topics.count(to, positions))
      await job.stop()
      return topics.read(to)
    }
    const [own, theirs] = [await outputOf(t, 'cairn'), await outputOf(t, peer)]
    for (const records of [own, theirs]) {
      const check = new OutputCheck()
      for (const { key, value } of records) check.take(key ?? undefined, value ?? undefined)
      t.same(check.faults(events), [])
    }
    const lines = (records: readonly TopicRecord[]): string[] =>
      records.map(each => `${each.partition} ${each.timestamp} ${text(each.key)} ${text(each.value)}`).sort()
    t.same(lines(theirs), lines(own))
  })
}
