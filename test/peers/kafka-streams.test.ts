/** The same programs in Kafka Streams: what differs is known, and why. At length: `npm run peers:kafka-streams`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { KafkaServer, needsKafka } from '../support/kafka-server.ts'
import { needs } from '../support/services.ts'
import { peerRun } from './peer-run.ts'

t.setTimeout(120_000)

const wanted = { ...needs('kafka-client', 'kafka-streams'), ...needsKafka() }

void t.test('what Cairn and Kafka Streams put out differs as docs/kafka-streams.md says', wanted, async t => {
  const kafka = await KafkaServer.start(t)
  const folder = mkdtempSync(join(tmpdir(), 'cairn-peers-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const seed = 4711
  const events = 2_000
  for (const partitions of [1, 3]) {
    const name = kafka.name(`peers${partitions}`)
    const found = await peerRun({ brokers: kafka.brokers, folder: join(folder, name), name, seed, events, partitions })
    for (const [program, { equal, explained, unexplained }] of found) {
      const what = `${program}, ${partitions} partitions, seed ${seed}`
      t.same(unexplained, [], what)
      t.ok(equal > 100, `${what}: ${equal} records are equal`)
      const late = explained.get('what is late where a topic has several partitions') ?? 0
      if (partitions === 1) t.equal(late, 0, `${what}: one partition knows one time`)
    }
  }
})
