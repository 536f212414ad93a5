/** `npm run bench:kafka`: from produce to committed consume through a job on a real Kafka of its own, on this machine. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { loadKafka } from '../../runtime/adapters/kafka/load-kafka.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { root, service } from '../../simulations/chaos/installed.ts'
import { KafkaProcess } from '../../simulations/chaos/kafka-process.ts'
import { quantile } from '../barrier.ts'

const partitions = 4
const say = (text: string): void => void process.stderr.write(`bench:kafka: ${text}\n`)
const encoder = new TextEncoder()

/** Counts by key and passes each event on, with the time at which it was made. */
const jobText = (name: string, delivery: string, interval: string): string => `
import { Actor, job, json, kafka } from 'cairn'
class Count extends Actor {
  n = 0
  receive({ key, at }, ctx) { this.n++; ctx.emit({ key, at, n: this.n }) }
}
 export default job('${name}', j => ({
  out: j.source('in', kafka({ topic: '${name}-in', value: json() })).keyBy(each => each.key).actor(Count, { name: 'Count' })
    .to('out', kafka({ topic: '${name}-out', value: json(), key: each => each.key }), { delivery: '${delivery}' })
}), { interval: '${interval}' })
`

interface Run {
  readonly perSecond: number
  readonly interval: string
  readonly delivery: 'exactly-once' | 'at-least-once'
}

class Bench {
  private readonly brokers: readonly string[]
  private readonly folder: string
  private readonly seconds: number
  private made = 0

  constructor(brokers: readonly string[], folder: string, seconds: number) {
    this.brokers = brokers
    this.folder = folder
    this.seconds = seconds
  }

  async measure({ perSecond, interval, delivery }: Run): Promise<object> {
    const name = `bench${++this.made}`
    await this.topics(`${name}-in`, `${name}-out`)
    writeFileSync(join(this.folder, `${name}.mjs`), jobText(name, delivery, interval))
    const bin = join(root, 'deploy/bin/cairn.cjs')
    const job = spawn(process.execPath, [bin, 'run', `${name}.mjs`, '--kafka', this.brokers.join()], {
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'ignore']
    })
    const exited = new Promise(resolve => job.once('exit', resolve))
    try {
      return { perSecond, interval, delivery, ...(await this.latencies(name, perSecond)) }
    } finally {
      job.kill('SIGKILL')
      await exited
    }
  }

  private async latencies(name: string, perSecond: number): Promise<object> {
    const cluster = { brokers: this.brokers }
    const producer = new KafkaAppender({ cluster, topic: `${name}-in`, name: 'bench' })
    const readers = new KafkaReaders({ cluster, name: 'bench', clock: nodeClock })
    const found: number[] = []
    let began = Infinity
    let over = false
    const follow = async (partition: number): Promise<void> => {
      for (let position = 0; !over;) {
        const got = await reader.fetch(partition, position, 1 << 20, 100)
        const now = Date.now()
        if (got.kind === 'records')
          for (let i = 0; i < got.batch.count; i++) {
            const { at } = JSON.parse(Buffer.from(got.batch.value(i) ?? []).toString()) as { readonly at: number }
            if (at >= began) found.push(now - at)
          }
        if (got.kind === 'records' || got.kind === 'caught-up') position = got.next
      }
    }
    const reader = readers.reader({ topic: `${name}-out` })
    const following = Array.from({ length: partitions }, (_, partition) => follow(partition))
    let sent = 0
    const send = async (forMs: number): Promise<number> => {
      const start = performance.now()
      let count = 0
      for (let elapsed = 0; elapsed < forMs; elapsed = performance.now() - start) {
        const due = Math.floor((elapsed / 1000) * perSecond) - count
        const at = Date.now()
        const records = Array.from({ length: due }, (_, i) => {
          const n = sent + i
          const value = encoder.encode(JSON.stringify({ key: `k${n % 10_000}`, at }))
          return { partition: n % partitions, timestamp: at, key: undefined, value }
        })
        count += due
        sent += due
        if (due > 0) await producer.append(records)
        else await new Promise(resolve => setTimeout(resolve, 1))
      }
      return count
    }
    await send(5_000)
    began = Date.now()
    const count = await send(this.seconds * 1000)
    const until = performance.now() + 20_000
    while (found.length < count && performance.now() < until) await new Promise(resolve => setTimeout(resolve, 10))
    over = true
    await Promise.all(following)
    await reader.close()
    await producer.close()
    found.sort((a, b) => a - b)
    const sentPerSecond = Math.round(count / this.seconds)
    return { sentPerSecond, arrived: found.length / count, p50Ms: quantile(found, 0.5), p99Ms: quantile(found, 0.99) }
  }

  private async topics(...names: readonly string[]): Promise<void> {
    interface Admin {
      createTopic(topic: object, done: (error?: Error | null) => void): void
      disconnect(): void
    }
    const { AdminClient } = loadKafka() as unknown as { AdminClient: { create(config: object): Admin } }
    const admin = AdminClient.create({ 'bootstrap.servers': this.brokers.join() })
    for (const topic of names)
      await new Promise<void>((resolve, reject) =>
        admin.createTopic({ topic, num_partitions: partitions, replication_factor: 1 }, error =>
          error ? reject(error) : resolve()
        )
      )
    admin.disconnect()
  }
}

const command = new Command('npm run bench:kafka --')
  .option('--rates <list>', 'events a second', '10000,50000')
  .option('--intervals <list>', 'time between checkpoints', '100ms,1s')
  .option('--seconds <n>', 'of each measurement', '15')
  .parse()
const flags = command.opts<{ readonly rates: string; readonly intervals: string; readonly seconds: string }>()
const rates = flags.rates.split(',').map(Number)
const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-kafka-'))
const kafka = await KafkaProcess.launch({ program: service('kafka'), folder: join(folder, 'kafka') })
try {
  const bench = new Bench(kafka.addresses(), folder, Number(flags.seconds))
  const runs: Run[] = flags.intervals
    .split(',')
    .flatMap(interval => rates.map((perSecond): Run => ({ perSecond, interval, delivery: 'exactly-once' })))
  for (const run of [...runs, { perSecond: rates[0] ?? 0, interval: '1s', delivery: 'at-least-once' } as const]) {
    say(`${run.delivery}, ${run.perSecond} a second, a checkpoint every ${run.interval}`)
    process.stdout.write(`${JSON.stringify(await bench.measure(run))}\n`)
  }
} finally {
  await kafka.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
