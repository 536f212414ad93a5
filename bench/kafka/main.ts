/** `npm run bench:kafka`: throughput beside a loop written by hand, Kafka Streams and Flink, and latencies, on a real Kafka of its own on this machine. */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { service } from '../../simulations/chaos/installed.ts'
import { KafkaProcess } from '../../simulations/chaos/kafka-process.ts'
import { numberFrom } from '../../simulations/chaos/number-option.ts'
import {
  peerNames,
  peerStores,
  peerVersion,
  preparePeer,
  type PeerName,
  type PeerStore
} from '../peers/count-by-key.ts'
import { BenchTopics } from './bench-topics.ts'
import type { BenchPlace, Contender } from './jobs.ts'
import { latency, type LatencyRun } from './latency.ts'
import { throughput, type Throughput } from './throughput.ts'

interface Flags {
  readonly only?: 'throughput' | 'latency'
  readonly peers: readonly PeerName[]
  readonly threads: number
  readonly store: PeerStore
  readonly rates: string
  readonly intervals: string
  readonly seconds: number
  readonly events: number
  readonly warm?: number
  readonly rounds: number
  readonly profile?: boolean
}

const say = (text: string): void => void process.stderr.write(`bench:kafka: ${text}\n`)
const print = (found: object): void => void process.stdout.write(`${JSON.stringify(found)}\n`)

class Bench {
  private readonly flags: Flags
  private readonly place: BenchPlace
  private readonly topics: BenchTopics
  private made = 0
  /** Output was not what it has to be, somewhere. */
  isVoid = false

  constructor(flags: Flags, place: BenchPlace) {
    this.flags = flags
    this.place = place
    this.topics = new BenchTopics(place.brokers)
  }

  private get others(): readonly Contender[] {
    return ['loop', ...this.place.peers.map(({ name }) => name)]
  }

  /** In turns, whoever goes first in one round goes last in the next. */
  async throughput(): Promise<void> {
    const { events, rounds, warm = Math.ceil(events / 4) } = this.flags
    const all: readonly Contender[] = ['cairn', ...this.others]
    for (const interval of this.flags.intervals.split(',')) {
      const found = new Map<Contender, Throughput[]>(all.map(who => [who, []]))
      for (let round = 1; round <= rounds; round++)
        for (const who of round % 2 === 1 ? all : all.toReversed()) {
          say(`throughput of ${who}, a commit every ${interval}, round ${round}`)
          const run = { who, interval, events, warm, name: `bench${++this.made}` }
          found.get(who)?.push(await throughput(run, this.place, this.topics))
        }
      this.report(interval, found)
    }
  }

  /** Of Cairn alone, with its stages. */
  async profile(): Promise<void> {
    const { events, warm = Math.ceil(events / 4) } = this.flags
    for (const interval of this.flags.intervals.split(',')) {
      say(`profile, a commit every ${interval}`)
      const run = { who: 'cairn', interval, events, warm, name: `bench${++this.made}`, profiled: true } as const
      const found = await throughput(run, this.place, this.topics)
      print({ profile: 'cairn', interval, events, ...found, ...this.verdict([found]) })
    }
  }

  private report(interval: string, found: ReadonlyMap<Contender, readonly Throughput[]>): void {
    const { events } = this.flags
    for (const [throughput, of] of found) {
      const median = (what: Figure): number => spread(of.map(each => each[what]))[1]
      const [eventsPerSecond, eventsPerCpuSecond] = [median('eventsPerSecond'), median('eventsPerCpuSecond')]
      print({ throughput, interval, events, eventsPerSecond, eventsPerCpuSecond, ...this.verdict(of) })
    }
    const own = found.get('cairn') ?? []
    for (const cairnBy of this.others) {
      const theirs = found.get(cairnBy) ?? []
      const by = (what: Figure): Spread =>
        spread(own.map((each, round) => Math.round((100 * each[what]) / (theirs[round]?.[what] ?? NaN)) / 100))
      const verdict = this.verdict([...own, ...theirs])
      const ratios = { eventsPerSecond: by('eventsPerSecond'), eventsPerCpuSecond: by('eventsPerCpuSecond') }
      print({ cairnBy, interval, ...(verdict.VOID === undefined ? ratios : verdict) })
    }
  }

  private verdict(runs: readonly { readonly faults: readonly string[] }[]): { VOID?: readonly string[] } {
    const faults = runs.flatMap(each => each.faults)
    if (faults.length === 0) return {}
    this.isVoid = true
    return { VOID: faults }
  }

  async latencies(): Promise<void> {
    const { rates, intervals, seconds } = this.flags
    const jobs: LatencyRun['job'][] = [undefined]
    for (const interval of intervals.split(',')) {
      jobs.push({ who: 'cairn', interval, delivery: 'exactly-once' })
      for (const { name } of this.place.peers) jobs.push({ who: name, interval, delivery: 'exactly-once' })
      jobs.push({ who: 'cairn', interval, delivery: 'at-least-once' })
    }
    for (const perSecond of rates.split(',').map(Number))
      for (const job of jobs) {
        const of = { latency: job?.who ?? 'without a job', delivery: job?.delivery, perSecond, interval: job?.interval }
        say(`latency: ${Object.values(of).filter(Boolean).join(' ')}`)
        const run = { perSecond, seconds, job, name: `bench${++this.made}` }
        const { faults, ...found } = await latency(run, this.place, this.topics)
        print({ ...of, ...found, ...this.verdict([{ faults }]) })
      }
  }

  close(): Promise<void> {
    return this.topics.close()
  }
}

type Figure = 'eventsPerSecond' | 'eventsPerCpuSecond'
type Spread = readonly [least: number, median: number, greatest: number]

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  return [sorted[0] ?? NaN, sorted[Math.floor(sorted.length / 2)] ?? NaN, sorted.at(-1) ?? NaN]
}

function peers(text: string): PeerName[] {
  const named = text.split(',').filter(name => name !== '')
  return named.map(name => {
    const known = peerNames.find(each => each === name)
    if (known === undefined) throw new InvalidArgumentError(`There are the peers ${peerNames.join(', ')}.`)
    return known
  })
}

const count = numberFrom(1, true)
const flags = new Command('npm run bench:kafka --')
  .addOption(new Option('--only <what>', 'one of the two').choices(['throughput', 'latency']))
  .option('--peers <list>', `beside Cairn and the loop: ${peerNames.join(', ')}`, peers, [])
  .option('--threads <n>', 'of Kafka Streams; of Flink its parallelism', count, 1)
  .addOption(new Option('--store <where>', 'of the peers').choices(peerStores).default('memory'))
  .option('--rates <list>', 'latency: events a second', '10000,50000')
  .option('--intervals <list>', 'time between checkpoints', '100ms,1s')
  .option('--seconds <n>', 'of each measurement of latency', count, 15)
  .option('--events <n>', 'throughput: beside those to get warm', count, 600_000)
  .option('--warm <n>', 'throughput: events to get warm (default: a quarter of --events)', count)
  .option('--rounds <n>', 'throughput: of each, in turns', count, 3)
  .option('--profile', 'only where the time of Cairn goes, in ns of CPU per event')
  .parse()
  .opts<Flags>()
const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-kafka-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
const prepared = flags.peers.flatMap(name => {
  const peer = preparePeer(name, join(folder, `classes-${name}`), flags)
  if (peer !== undefined) return [peer]
  const left = `${name.toUpperCase()} IS LEFT OUT: it is not on this machine and could not be fetched`
  say(`${left} (npm run services -- install ${name} says why)`)
  return []
})
const kafka = await KafkaProcess.launch({ program: service('kafka'), folder: join(folder, 'kafka') })
try {
  const bench = new Bench(flags, { folder, brokers: kafka.addresses(), peers: prepared })
  const { threads, store } = flags
  const versions: Partial<Record<PeerName, string>> = {}
  for (const name of flags.peers)
    versions[name] = prepared.some(peer => peer.name === name) ? peerVersion(name) : 'LEFT OUT'
  const reader = process.env['CAIRN_KAFKA_READER'] ?? 'confluent'
  const machine = { cores: cpus().length, load: loadavg()[0], cairnReadsWith: reader }
  print({ ...machine, ...(flags.peers.length === 0 ? {} : { peers: versions, threads, store }) })
  if (flags.profile === true) await bench.profile()
  else {
    if (flags.only !== 'latency') await bench.throughput()
    if (flags.only !== 'throughput') await bench.latencies()
  }
  await bench.close()
  if (bench.isVoid) process.exitCode = 1
} finally {
  await kafka.stop()
}
