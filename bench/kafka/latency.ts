/** From produce to committed consume, through a job or without one, at a given rate. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { root } from '../../simulations/chaos/installed.ts'
import { quantile } from '../barrier.ts'
import { benchEvent, jobText, partitions, type BenchTopics } from './bench-topics.ts'
import { cpuOf } from './cpu-time.ts'

export interface LatencyRun {
  readonly perSecond: number
  readonly interval: string
  readonly delivery: 'exactly-once' | 'at-least-once' | 'without a job'
  readonly seconds: number
  /** New. */
  readonly name: string
}

export interface Latency {
  readonly sentPerSecond: number
  /** Share of the events; less than 1: the job did not keep up. */
  readonly arrived: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Cores in use while events came: by the job, and by the bench, which makes them and reads what comes out. The broker is neither. */
  readonly jobCores: number
  readonly benchCores: number
}

/** Until code is warm and connections are there. */
const warmMs = 5_000
const lastMs = 20_000

export async function latency(
  { perSecond, interval, delivery, seconds, name }: LatencyRun,
  folder: string,
  brokers: readonly string[],
  topics: BenchTopics
): Promise<Latency> {
  const from = `${name}-in`
  const to = delivery === 'without a job' ? from : `${name}-out`
  await topics.create(from)
  let job: ChildProcess | undefined
  let exited: Promise<unknown> | undefined
  if (delivery !== 'without a job') {
    await topics.create(to)
    writeFileSync(join(folder, `${name}.mjs`), jobText(name, from, to, delivery, interval))
    const bin = join(root, 'deploy/bin/cairn.cjs')
    const options: SpawnOptions = { cwd: folder, stdio: 'ignore' }
    job = spawn(process.execPath, [bin, 'run', `${name}.mjs`, '--kafka', brokers.join()], options)
    exited = once(job, 'exit')
  }
  const consumer = new Consumer(brokers, to)
  const producer = new Producer(brokers, from, perSecond)
  try {
    await producer.send(warmMs)
    consumer.began = Date.now()
    const before = [cpuOf(job?.pid), cpuOf(process.pid)] as const
    const count = await producer.send(seconds * 1000)
    const cores = (pid: number | undefined, since: number): number =>
      Math.round((100 * (cpuOf(pid) - since)) / seconds) / 100
    const [jobCores, benchCores] = [cores(job?.pid, before[0]), cores(process.pid, before[1])]
    const until = performance.now() + lastMs
    while (consumer.found.length < count && performance.now() < until)
      await new Promise(resolve => setTimeout(resolve, 10))
    const found = consumer.found.sort((a, b) => a - b)
    return {
      sentPerSecond: Math.round(count / seconds),
      arrived: found.length / count,
      p50Ms: quantile(found, 0.5),
      p99Ms: quantile(found, 0.99),
      jobCores,
      benchCores
    }
  } finally {
    await consumer.close()
    await producer.close()
    job?.kill('SIGKILL')
    await exited
  }
}

/** Reads what is committed, and how old it is. */
class Consumer {
  readonly found: number[] = []
  /** Events that are older do not count. */
  began = Infinity
  private over = false
  private readonly reader: ReturnType<KafkaReaders['reader']>
  private readonly following: readonly Promise<void>[]

  constructor(brokers: readonly string[], topic: string) {
    this.reader = new KafkaReaders({ cluster: { brokers }, name: 'bench', clock: nodeClock }).reader({ topic })
    this.following = Array.from({ length: partitions }, (_, partition) => this.follow(partition))
  }

  private async follow(partition: number): Promise<void> {
    for (let position = 0; !this.over;) {
      const got = await this.reader.fetch(partition, position, 1 << 20, 100)
      const now = Date.now()
      if (got.kind === 'records')
        for (let i = 0; i < got.batch.count; i++) {
          const { at } = JSON.parse(Buffer.from(got.batch.value(i) ?? []).toString()) as { readonly at: number }
          if (at >= this.began) this.found.push(now - at)
        }
      if (got.kind === 'records' || got.kind === 'caught-up') position = got.next
    }
  }

  async close(): Promise<void> {
    this.over = true
    await Promise.all(this.following)
    await this.reader.close()
  }
}

class Producer {
  private readonly appender: KafkaAppender
  private readonly perSecond: number
  private sent = 0

  constructor(brokers: readonly string[], topic: string, perSecond: number) {
    this.appender = new KafkaAppender({ cluster: { brokers }, topic, name: 'bench' })
    this.perSecond = perSecond
  }

  /** Answers how many it has sent. */
  async send(forMs: number): Promise<number> {
    const start = performance.now()
    let count = 0
    for (let elapsed = 0; elapsed < forMs; elapsed = performance.now() - start) {
      const due = Math.floor((elapsed / 1000) * this.perSecond) - count
      const at = Date.now()
      const records = Array.from({ length: due }, (_, i) => benchEvent(this.sent + i, at))
      count += due
      this.sent += due
      if (due > 0) await this.appender.append(records)
      else await new Promise(resolve => setTimeout(resolve, 1))
    }
    return count
  }

  close(): Promise<void> {
    return this.appender.close()
  }
}
