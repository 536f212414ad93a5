/** Queries from Kafka to Kafka, exactly once, Cairn and Kafka Streams in turns, on a broker of their own. */
import { join } from 'node:path'
import { service } from '../../simulations/chaos/installed.ts'
import { KafkaProcess } from '../../simulations/chaos/kafka-process.ts'
import { BenchTopics } from '../kafka/bench-topics.ts'
import { timed } from '../kafka/timed-run.ts'
import type { Streams } from '../peers/nexmark-streams.ts'
import { NexmarkBytes } from './generator.ts'
import { contenders, partitions, RowsCheck, startQuery, topicsOf, type Contender, type KafkaJob } from './kafka-jobs.ts'
import type { Measured } from './measure.ts'

/** What a query puts out, by Cairn in memory. */
export type Expected = Pick<Measured, 'rows' | 'hash' | 'last'>

export interface KafkaMeasured {
  readonly perSecond: number
  readonly perCpuSecond: number
  readonly rows: number
  /** What has to be equal. */
  readonly hash: string
}

export interface KafkaRoundsOptions {
  /** New. */
  readonly folder: string
  /** File of the events, those to get warm before the others. */
  readonly path: string
  readonly events: number
  readonly warm: number
  readonly rounds: number
  readonly streams: Streams
  /** Of a query over the first so many events. */
  readonly expected: (query: number, events: number) => Expected
  readonly progress: (text: string) => void
}

export interface KafkaRoundsOf {
  readonly query: number
  readonly expected: Expected
  readonly systems: Readonly<Record<Contender, readonly KafkaMeasured[]>>
}

/** Data of a topic that was deleted is kept no longer: each measurement has as much as all events. */
const properties = { 'log.segment.delete.delay.ms': 1000 }

export async function kafkaRounds(queries: readonly number[], options: KafkaRoundsOptions): Promise<KafkaRoundsOf[]> {
  const { folder, path, events, warm } = options
  const kafka = await KafkaProcess.launch({ program: service('kafka'), folder: join(folder, 'kafka'), properties })
  const topics = new BenchTopics(kafka.addresses())
  try {
    const bytes = NexmarkBytes.read(path, warm + events)
    const found: KafkaRoundsOf[] = []
    for (const query of queries) found.push(await roundsOf(query, bytes, { kafka, topics }, options))
    return found
  } finally {
    await topics.close()
    await kafka.stop()
  }
}

interface Broker {
  readonly kafka: KafkaProcess
  readonly topics: BenchTopics
}

/** The order turns round with every round. */
async function roundsOf(
  query: number,
  bytes: NexmarkBytes,
  broker: Broker,
  options: KafkaRoundsOptions
): Promise<KafkaRoundsOf> {
  const { events, warm, rounds, expected, progress } = options
  progress(`what query ${query} has to put out`)
  const [early, all] = [expected(query, warm).rows, expected(query, warm + events)]
  const due = (count: number): number => (count === warm ? early : all.rows)
  const systems: Record<Contender, KafkaMeasured[]> = { cairn: [], 'kafka-streams': [] }
  for (let round = 1; round <= rounds; round++)
    for (const who of round % 2 === 1 ? contenders : contenders.toReversed()) {
      progress(`from Kafka to Kafka, round ${round} of ${rounds}, query ${query}, ${who}`)
      const job = { who, query, name: `q${query}-${who}-${round}` }
      systems[who].push(await measure(job, bytes, due, broker, options))
    }
  return { query, expected: all, systems }
}

async function measure(
  job: KafkaJob,
  bytes: NexmarkBytes,
  due: (events: number) => number,
  { kafka, topics }: Broker,
  { folder, events, warm, streams }: KafkaRoundsOptions
): Promise<KafkaMeasured> {
  const at = Date.now()
  const { seconds, cpuSeconds, check } = await timed(
    {
      ...topicsOf(job),
      partitions,
      event: n => ({ partition: 0, timestamp: at, value: bytes.value(n) }),
      events,
      warm,
      due,
      newCheck: () => new RowsCheck(job.query),
      start: () => startQuery(job, { folder, brokers: kafka.addresses(), streams })
    },
    topics
  )
  // Of the topics of Kafka Streams' own, too.
  await kafka.tool('org.apache.kafka.tools.TopicCommand', ['--delete', '--topic', `.*${job.name}.*`])
  return { perSecond: events / seconds, perCpuSecond: events / cpuSeconds, rows: check.records, hash: check.hash }
}
