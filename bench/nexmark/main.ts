/** `npm run bench:nexmark`: every system over the same bytes, in turns, each measurement in a process of its own. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { prepareStreams, streamsQueries, streamsServices, streamsVersion } from '../peers/nexmark-streams.ts'
import { flinkVersion, hasFlinkQuery, prepareFlink, type Flink } from '../peers/flink.ts'
import { queries, queryOf } from './catalogue.ts'
import { writeEvents } from './generator.ts'
import { kafkaHtml, kafkaTable, summariseKafka, type KafkaSetting, type KafkaSummary } from './kafka-report.ts'
import { kafkaRounds, type Expected, type KafkaRoundsOf } from './kafka-rounds.ts'
import { loopOf } from './loops.ts'
import type { Measured, MeasureSpec, System } from './measure.ts'
import type { Profiled, ProfileSpec } from './profile.ts'
import { describeSetting, html, profileTable, summarise, systems, table, type Rounds, type Setting } from './report.ts'

interface Options {
  readonly queries: readonly number[]
  readonly peers: readonly string[]
  readonly events: number
  readonly warm?: number
  readonly rate: number
  readonly rounds: number
  readonly html?: string
  readonly json?: boolean
  readonly profile?: boolean
}

const progress = (text: string): void => void process.stderr.write(`nexmark: ${text}\n`)

function whole(text: string): number {
  const n = Number(text)
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return n
}

function numbers(text: string): number[] {
  return text.split(',').map(part => {
    const n = Number(part)
    if (part === '' || queries[n] === undefined)
      throw new InvalidArgumentError(`There are queries ${Object.keys(queries).join(', ')}.`)
    return n
  })
}

const peerNames = ['flink', 'kafka-streams', 'loops']

function peers(text: string): string[] {
  const named = text.split(',').filter(name => name !== '')
  for (const name of named)
    if (!peerNames.includes(name)) throw new InvalidArgumentError(`There are the peers ${peerNames.join(', ')}.`)
  return named
}

function inProcess<T>(file: 'measure.js' | 'profile.js', spec: MeasureSpec | ProfileSpec): T {
  const script = fileURLToPath(new URL(`./${file}`, import.meta.url))
  const child = spawnSync(process.execPath, [script, JSON.stringify(spec)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit']
  })
  if (child.status !== 0)
    throw new Error(`${file} of query ${spec.query} ended with ${child.status}: ${JSON.stringify(spec)}`)
  return JSON.parse(child.stdout) as T
}

/** Whether a query is measured there. */
function takesPart(system: System, query: number, peers: readonly string[], flink: Flink | undefined): boolean {
  switch (system) {
    case 'cairn':
      return true
    case 'loop':
    case 'scan':
      return peers.includes('loops') && loopOf(query, system) !== undefined
    case 'flink-heap':
    case 'flink-rocksdb':
      return flink !== undefined && hasFlinkQuery(query)
  }
}

/** The order turns round with every round: whoever goes first in one goes last in the next. */
function run({ queries, peers, events, rounds }: Options, path: string, flink: Flink | undefined): Rounds[] {
  const results = queries.map(query => ({ query, systems: {} as Partial<Record<System, Measured[]>> }))
  for (let round = 0; round < rounds; round++)
    for (const { query, systems: measured } of results) {
      progress(`round ${round + 1} of ${rounds}, query ${query}, ${queryOf(query).title}`)
      const present = systems.filter(system => takesPart(system, query, peers, flink))
      for (const system of round % 2 === 0 ? present : present.reverse()) {
        const spec = { system, query, path, events, ...(flink === undefined ? {} : { flink, last: true }) }
        ;(measured[system] ??= []).push(inProcess<Measured>('measure.js', spec))
      }
    }
  return results
}

/** Of Cairn with events in memory, which tests compare with a naive implementation. */
const expectedOf =
  (path: string) =>
  (query: number, events: number): Expected =>
    inProcess<Measured>('measure.js', { system: 'cairn', query, path, events, last: true })

const leftOut = (name: string, services: readonly string[]): string =>
  `${name} IS LEFT OUT: it is not on this machine and could not be fetched (npm run services -- install ${services.join(' ')} says why)`

interface KafkaResults {
  readonly setting: KafkaSetting
  readonly summaries: readonly KafkaSummary[]
  readonly results: readonly KafkaRoundsOf[]
}

async function runKafka(options: Options, warm: number, folder: string): Promise<KafkaResults> {
  const { events, rate, rounds } = options
  const setting = {
    streams: `Kafka Streams ${streamsVersion}`,
    cairnReadsWith: process.env['CAIRN_KAFKA_READER'] ?? 'confluent',
    warm,
    without: options.queries.filter(query => !streamsQueries.includes(query))
  }
  const streams = prepareStreams(join(folder, 'streams-classes'))
  if (streams === undefined) {
    const why = leftOut('KAFKA STREAMS', streamsServices)
    progress(why)
    return { setting: { ...setting, streams: why }, summaries: [], results: [] }
  }
  const path = join(folder, 'kafka-events')
  progress(`writing ${warm + events} events`)
  writeEvents(path, warm + events, { rate })
  const queries = options.queries.filter(query => streamsQueries.includes(query))
  const run = { folder, path, events, warm, rounds, streams, expected: expectedOf(path), progress }
  const results = queries.length === 0 ? [] : await kafkaRounds(queries, run)
  return { setting, summaries: results.map(summariseKafka), results }
}

const options = new Command('bench:nexmark')
  .description(
    'Measures the queries of Nexmark on this machine, beside loops written by hand, Flink and Kafka Streams.'
  )
  .option('--queries <list>', 'which, by their numbers', numbers, Object.keys(queries).map(Number))
  .option(
    '--peers <list>',
    `what to compare with: ${peerNames.join(', ')}; Kafka Streams from Kafka to Kafka, in a table of its own; empty: nothing`,
    peers,
    ['loops']
  )
  .option('--events <n>', 'how many', whole, 1_000_000)
  .option('--warm <n>', 'more of them before, from Kafka to Kafka, to get warm (default: as many as --events)', whole)
  .option('--rate <n>', 'of them in a second of event time', whole, 10_000)
  .option('--rounds <n>', 'how often each is measured', whole, 3)
  .option('--html <file>', 'write a page with table and chart')
  .option('--json', 'print the figures as JSON')
  .option('--profile', 'measure nothing; tell where the time of Cairn goes, and what it allocates, a query at a time')
  .parse()
  .opts<Options>()

const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
const { events, rate, rounds, warm = events } = options
const loadOf = (): number => loadavg()[0] as number
const loadBefore = loadOf()
const path = join(folder, 'events')
progress(`writing ${events} events`)
writeEvents(path, events, { rate })
if (options.profile === true) {
  for (const of of ['time', 'memory'] as const) {
    const profiles = options.queries.map(query => {
      progress(`profiling the ${of} of query ${query}, ${queryOf(query).title}`)
      return { query, ...inProcess<Profiled>('profile.js', { query, path, events, of }) }
    })
    process.stdout.write(profileTable(of, profiles))
  }
  process.exit(0)
}
const flink = options.peers.includes('flink') ? prepareFlink(join(folder, 'classes')) : undefined
const missing = options.peers.includes('flink') && flink === undefined
const withoutFlink = leftOut('FLINK', ['flink'])
if (missing) progress(withoutFlink)
// Where nothing else is asked for there is nothing to compare with in memory.
const inMemory = options.peers.length === 0 || options.peers.some(name => name !== 'kafka-streams')
const results = inMemory ? run(options, path, flink) : []
const kafka = options.peers.includes('kafka-streams') ? await runKafka(options, warm, folder) : undefined
const summaries = results.map(summarise)
const setting: Setting = {
  machine: `${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 1024 ** 3)} GiB`,
  node: process.version,
  flink: flink === undefined ? (missing ? withoutFlink : undefined) : `Flink ${flinkVersion}`,
  events,
  rate,
  rounds,
  load: [loadBefore, loadOf()]
}
const kafkaPart = kafka === undefined ? '' : kafkaHtml(kafka.summaries, kafka.setting)
if (options.html !== undefined) writeFileSync(options.html, html(summaries, setting, kafkaPart))
if (options.json === true) process.stdout.write(`${JSON.stringify({ setting, summaries, results, kafka }, null, 2)}\n`)
else {
  process.stdout.write(inMemory ? table(summaries, setting) : `${describeSetting(setting)}\n`)
  if (kafka !== undefined) process.stdout.write(`\n${kafkaTable(kafka.summaries, kafka.setting)}`)
}
const all = [...summaries, ...(kafka?.summaries ?? [])]
process.exitCode = all.some(({ verdict }) => verdict.startsWith('VOID')) ? 1 : 0
