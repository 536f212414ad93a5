/** Each query in Kafka Streams answers what a naive implementation answers, from Kafka to Kafka, and so does Cairn there: else they are no peers. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startProcess } from '../../bench/kafka/started-job.ts'
import { loadQuery, queryOf, type Row } from '../../bench/nexmark/catalogue.ts'
import { nexmarkEvent } from '../../bench/nexmark/events.ts'
import { generate, NexmarkBytes } from '../../bench/nexmark/generator.ts'
import { partitions, RowsCheck, startQuery, topicsOf } from '../../bench/nexmark/kafka-jobs.ts'
import { summariseKafka } from '../../bench/nexmark/kafka-report.ts'
import { naiveResult } from '../../bench/nexmark/naive.ts'
import { collectResults } from '../../bench/nexmark/run.ts'
import { differences } from '../../bench/nexmark/verify.ts'
import { prepareStreams, streamsCommandOf, streamsQueries } from '../../bench/peers/nexmark-streams.ts'
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { OwnTopics } from '../../simulations/chaos/own-topics.ts'
import { KafkaServer, needsKafka } from '../support/kafka-server.ts'
import { needs } from '../support/services.ts'

t.setTimeout(240_000)

const encoder = new TextEncoder()
/** As measurements compare. */
function hashOf(query: number, rows: readonly object[]): string {
  const check = new RowsCheck(query)
  for (const row of rows) check.take(undefined, encoder.encode(JSON.stringify(row)))
  return check.hash
}

const figures = { perSecond: 2, perCpuSecond: 4 }

void t.test('where output differs from what it has to be there is no ratio', t => {
  const expected = { rows: 2, hash: 'all' }
  const verdictOf = (own: string, theirs: string, rows = 2) =>
    summariseKafka({
      query: 0,
      expected,
      systems: { cairn: [{ ...figures, rows, hash: own }], 'kafka-streams': [{ ...figures, rows: 2, hash: theirs }] }
    })
  t.match(verdictOf('all', 'all'), { verdict: 'equal', ratios: { perSecond: { median: 1 } } })
  for (const [own, theirs, rows, wrong] of [
    ['all', 'other', 2, 'kafka-streams'],
    ['other', 'other', 2, 'cairn and kafka-streams'],
    ['all', 'all', 3, 'cairn']
  ] as const) {
    const { verdict, ratios } = verdictOf(own, theirs, rows)
    t.match(verdict, `VOID: results of ${wrong} differ`)
    t.equal(ratios, undefined)
  }
  t.end()
})

void t.test('rows are compared in any order, updates by the last of each key', t => {
  const [first, second] = [
    { auction: 1, day: 'a', total_bids: 1 },
    { auction: 1, day: 'a', total_bids: 2 }
  ]
  t.equal(hashOf(0, [first, second]), hashOf(0, [second, first]))
  t.not(hashOf(0, [first, second]), hashOf(0, [second]))
  t.equal(hashOf(17, [first, second]), hashOf(17, [second]))
  t.not(hashOf(17, [first, second]), hashOf(17, [second, first]))
  t.end()
})

void t.test('from Kafka to Kafka', { ...needs('kafka-client', 'kafka-streams'), ...needsKafka() }, async t => {
  const kafka = await KafkaServer.start(t)
  const { brokers } = kafka
  const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-streams-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const prepared = prepareStreams(join(folder, 'classes'))
  if (prepared === undefined) throw new Error('Kafka Streams was here')
  const streams = { ...prepared, brief: true }
  const topics = new OwnTopics({ brokers })
  t.teardown(() => topics.close())

  const name = kafka.name('cairn')
  const cairn = { who: 'cairn', query: 18, name } as const
  const { from, to } = topicsOf(cairn)
  const events = [...generate(3_000, { seed: 'a', rate: 40, outOfOrderGroupSize: 100 })]
  await topics.create(from, partitions)
  const appender = new KafkaAppender({ cluster: { brokers }, topic: from, name: 'bench' })
  const record = { partition: 0, timestamp: Date.now(), key: undefined }
  await appender.append(events.map(event => ({ ...record, value: nexmarkEvent.encode(event) })))
  await appender.close()

  const bytes = NexmarkBytes.of(events)
  const inMemory = async (query: number): Promise<Row[]> => collectResults(await loadQuery(query), bytes)
  /** As soon as there are so many. */
  const rowsOf = async (topic: string, due: number): Promise<Row[]> => {
    const positions = Array.from({ length: partitions }, () => 0)
    for (let counted = 0; counted < due;) counted += await topics.count(topic, positions)
    return (await topics.read(topic)).map(({ value }) => JSON.parse(Buffer.from(value ?? []).toString()) as Row)
  }

  const queries = streamsQueries.map(query => ({ query, to: kafka.name(`q${query}`) }))
  for (const { to } of queries) await topics.create(to, partitions)
  const own = join(folder, 'streams')
  mkdirSync(own)
  const command = streamsCommandOf(streams, { brokers, from, queries, intervalMs: 100, folder: own })
  const job = startProcess({ who: 'Kafka Streams', command, folder: own, isQuiet: true })
  t.teardown(() => job.stop())
  for (const { query, to } of queries)
    await t.test(`Kafka Streams, query ${query}, ${queryOf(query).title}`, async t => {
      const expected = await inMemory(query)
      t.ok(expected.length > 0)
      const rows = await job.while(rowsOf(to, expected.length))
      t.equal(rows.length, expected.length)
      t.equal(hashOf(query, rows), hashOf(query, expected), 'as Cairn in memory, byte by byte')
      t.same(differences(queryOf(query), rows, naiveResult(query, events)), [])
    })
  await job.stop()

  await t.test('Cairn, query 18', async t => {
    await topics.create(to, partitions)
    const job = startQuery(cairn, { folder, brokers, streams })
    t.teardown(() => job.stop())
    const rows = await job.while(rowsOf(to, (await inMemory(18)).length))
    t.same(differences(queryOf(18), rows, naiveResult(18, events)), [])
  })
})
