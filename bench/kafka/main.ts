/** `npm run bench:kafka`: throughput beside a loop written by hand, and latencies, on a real Kafka of its own on this machine. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { parseDuration, type Duration } from '../../runtime/kernel/durations.ts'
import { service } from '../../simulations/chaos/installed.ts'
import { KafkaProcess } from '../../simulations/chaos/kafka-process.ts'
import { BenchTopics } from './bench-topics.ts'
import { latency } from './latency.ts'
import { throughput, type Throughput } from './throughput.ts'

interface Flags {
  readonly only?: 'throughput' | 'latency'
  readonly rates: string
  readonly intervals: string
  readonly seconds: string
  readonly events: string
  readonly rounds: string
}

const say = (text: string): void => void process.stderr.write(`bench:kafka: ${text}\n`)
const print = (found: object): void => void process.stdout.write(`${JSON.stringify(found)}\n`)

class Bench {
  private readonly flags: Flags
  private readonly folder: string
  private readonly brokers: readonly string[]
  private readonly topics: BenchTopics
  private made = 0

  constructor(flags: Flags, folder: string, brokers: readonly string[]) {
    this.flags = flags
    this.folder = folder
    this.brokers = brokers
    this.topics = new BenchTopics(brokers)
  }

  /** Cairn and the loop in turns; medians. */
  async throughput(): Promise<void> {
    const events = Number(this.flags.events)
    for (const interval of this.flags.intervals.split(',')) {
      const intervalMs = parseDuration(interval as Duration, '--intervals')
      const found: Record<'cairn' | 'loop', Throughput[]> = { cairn: [], loop: [] }
      for (let round = 1; round <= Number(this.flags.rounds); round++)
        for (const who of ['cairn', 'loop'] as const) {
          say(`throughput of ${who}, a commit every ${interval}, round ${round}`)
          const run = { who, interval, intervalMs, events, name: `bench${++this.made}` }
          found[who].push(await throughput(run, this.folder, this.brokers, this.topics))
        }
      const median = (who: 'cairn' | 'loop', what: keyof Throughput): number =>
        found[who].map(each => each[what]).sort((a, b) => a - b)[Math.floor(found[who].length / 2)] ?? NaN
      for (const who of ['cairn', 'loop'] as const) {
        const [eventsPerSecond, eventsPerCpuSecond] = [
          median(who, 'eventsPerSecond'),
          median(who, 'eventsPerCpuSecond')
        ]
        print({ throughput: who, interval, events, eventsPerSecond, eventsPerCpuSecond })
      }
      const ofLoop = (what: keyof Throughput): number =>
        Math.round((100 * median('cairn', what)) / median('loop', what))
      print({ interval, percentOfLoop: ofLoop('eventsPerSecond'), percentPerCpu: ofLoop('eventsPerCpuSecond') })
    }
  }

  async latencies(): Promise<void> {
    const { rates, intervals, seconds } = this.flags
    for (const delivery of ['without a job', 'exactly-once', 'at-least-once'] as const)
      for (const interval of delivery === 'without a job' ? ['never'] : intervals.split(','))
        for (const perSecond of rates.split(',').map(Number)) {
          say(`latency ${delivery}, ${perSecond} a second, a checkpoint every ${interval}`)
          const run = { perSecond, interval, delivery, seconds: Number(seconds), name: `bench${++this.made}` }
          print({
            latency: delivery,
            perSecond,
            interval,
            ...(await latency(run, this.folder, this.brokers, this.topics))
          })
        }
  }

  close(): Promise<void> {
    return this.topics.close()
  }
}

const flags = new Command('npm run bench:kafka --')
  .option('--only <what>', 'throughput, or latency')
  .option('--rates <list>', 'latency: events a second', '10000,50000')
  .option('--intervals <list>', 'time between checkpoints', '100ms,1s')
  .option('--seconds <n>', 'of each measurement of latency', '15')
  .option('--events <n>', 'throughput: beside a quarter to get warm', '600000')
  .option('--rounds <n>', 'throughput: of each, in turns', '3')
  .parse()
  .opts<Flags>()
const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-kafka-'))
const kafka = await KafkaProcess.launch({ program: service('kafka'), folder: join(folder, 'kafka') })
try {
  const bench = new Bench(flags, folder, kafka.addresses())
  if (flags.only !== 'latency') await bench.throughput()
  if (flags.only !== 'throughput') await bench.latencies()
  await bench.close()
} finally {
  await kafka.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
