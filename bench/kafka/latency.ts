/** From produce to committed consume, through a job or without one, at a given rate. */
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { quantile } from '../barrier.ts'
import { benchEvent, partitions } from './bench-events.ts'
import type { BenchTopics } from './bench-topics.ts'
import { cpuOf } from './cpu-time.ts'
import { startJob, type BenchPlace, type Contender, type Delivery } from './jobs.ts'
import { OutputCheck } from './output-check.ts'

export interface LatencyRun {
  readonly perSecond: number
  readonly seconds: number
  /** Undefined: without one, from the topic that the events are produced to. */
  readonly job: { readonly who: Contender; readonly interval: string; readonly delivery: Delivery } | undefined
  /** New. */
  readonly name: string
}

export interface Latency {
  readonly sentPerSecond: number
  /** Share of the events; less than 1: the job did not keep up. */
  readonly arrived: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Median of the last second of events by that of the first: more than about 1 where the job falls behind. */
  readonly growth: number
  /** Cores in use while events came: by the job, and by the bench, which makes them and reads what comes out. The broker is neither. */
  readonly jobCores: number
  readonly benchCores: number
  /** What is wrong with output that is exactly once. */
  readonly faults: readonly string[]
}

/** Until code is warm, from when the job has caught up with what was produced while it began. */
const warmMs = 5_000
/** Newer than that it has caught up; one that takes longer for it than the other never will. */
const [caughtUpMs, startMs] = [2_000, 60_000]
const lastMs = 20_000

export async function latency(
  { perSecond, seconds, job: wanted, name }: LatencyRun,
  place: BenchPlace,
  topics: BenchTopics
): Promise<Latency> {
  const from = `${name}-in`
  const to = wanted === undefined ? from : `${name}-out`
  await topics.create(from, partitions)
  if (wanted !== undefined) await topics.create(to, partitions)
  const job = wanted === undefined ? undefined : startJob({ ...wanted, from, to, name }, place)
  const isExact = wanted?.delivery === 'exactly-once'
  const consumer = new Consumer(place.brokers, to, isExact)
  const producer = new Producer(place.brokers, from, perSecond)
  try {
    const until = performance.now() + startMs
    while (consumer.newestAgeMs() > caughtUpMs && performance.now() < until) await producer.send(100)
    await producer.send(warmMs)
    consumer.began = Date.now()
    const before = [cpuOf(job?.pid), cpuOf(process.pid)] as const
    const count = await producer.send(seconds * 1000)
    const cores = (pid: number | undefined, since: number): number =>
      Math.round((100 * (cpuOf(pid) - since)) / seconds) / 100
    const [jobCores, benchCores] = [cores(job?.pid, before[0]), cores(process.pid, before[1])]
    const last = performance.now() + lastMs
    while (consumer.records < producer.sent && performance.now() < last)
      await new Promise(resolve => setTimeout(resolve, 10))
    const { found, began } = consumer
    const ages = found.map(({ ageMs }) => ageMs).sort((a, b) => a - b)
    const medianOf = (second: number): number => {
      const from = began + 1000 * second
      const some = found.filter(({ at }) => at >= from && at < from + 1000).map(({ ageMs }) => ageMs)
      return quantile(
        some.sort((a, b) => a - b),
        0.5
      )
    }
    return {
      sentPerSecond: Math.round(count / seconds),
      arrived: found.length / count,
      p50Ms: quantile(ages, 0.5),
      p99Ms: quantile(ages, 0.99),
      growth: Math.round((100 * medianOf(seconds - 1)) / medianOf(0)) / 100,
      jobCores,
      benchCores,
      faults: isExact ? consumer.check.faults(producer.sent) : []
    }
  } finally {
    await consumer.close()
    await producer.close()
    await job?.stop()
  }
}

/** Reads what is committed, and how old it is. */
class Consumer {
  readonly found: { readonly at: number; readonly ageMs: number }[] = []
  /** Events that are older do not count. */
  began = Infinity
  records = 0
  readonly check = new OutputCheck()
  private newestAt = -Infinity
  private over = false
  private readonly isChecked: boolean
  private readonly reader: ReturnType<KafkaReaders['reader']>
  private readonly following: readonly Promise<void>[]

  constructor(brokers: readonly string[], topic: string, isChecked: boolean) {
    this.isChecked = isChecked
    this.reader = new KafkaReaders({ cluster: { brokers }, name: 'bench', clock: nodeClock }).reader({ topic })
    this.following = Array.from({ length: partitions }, (_, partition) => this.follow(partition))
  }

  /** Of the newest event that has come; Infinity before there is one. */
  newestAgeMs(): number {
    return Date.now() - this.newestAt
  }

  private async follow(partition: number): Promise<void> {
    for (let position = 0; !this.over;) {
      const got = await this.reader.fetch(partition, position, 1 << 20, 100)
      const now = Date.now()
      if (got.kind === 'records')
        for (let i = 0; i < got.batch.count; i++) {
          const { at } = this.row(got.batch.key(i), got.batch.value(i))
          this.records++
          this.newestAt = Math.max(this.newestAt, at)
          if (at >= this.began) this.found.push({ at, ageMs: now - at })
        }
      if (got.kind === 'records' || got.kind === 'caught-up') position = got.next
    }
  }

  private row(key: Uint8Array | undefined, value: Uint8Array | undefined): { readonly at: number } {
    if (this.isChecked) return this.check.take(key, value)
    return JSON.parse(Buffer.from(value ?? []).toString()) as { readonly at: number }
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
  sent = 0

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
