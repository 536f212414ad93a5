/**
 * Consume, count, produce, exactly once: Cairn, a loop written by hand, and Kafka Streams. When they are warm, a transaction is committed that makes
 * all of the events readable at once. Brokers stamp each record of the output when they write it: until the last of them is the time, and nobody has
 * to watch meanwhile.
 */
import type { BenchTopics } from './bench-topics.ts'
import { cpuOf } from './cpu-time.ts'
import { startJob, type BenchPlace, type Contender } from './jobs.ts'

export interface Throughput {
  readonly eventsPerSecond: number
  readonly eventsPerCpuSecond: number
  /** What is wrong with the output; without any the figures mean something. */
  readonly faults: readonly string[]
}

export interface ThroughputRun {
  readonly who: Contender
  readonly interval: string
  /** New. */
  readonly name: string
  readonly events: number
  /** More of them before, to get warm. */
  readonly warm: number
}

const sampleMs = 50

export async function throughput(
  { who, interval, name, events, warm }: ThroughputRun,
  place: BenchPlace,
  topics: BenchTopics
): Promise<Throughput> {
  const [from, to] = [`${name}-in`, `${name}-out`]
  await topics.create(from)
  await topics.create(to, true)
  const release = await topics.fill(from, warm, events)
  const job = startJob({ who, from, to, interval, delivery: 'exactly-once', name }, place)
  const samples: { readonly at: number; readonly cpu: number }[] = []
  const timer = setInterval(() => samples.push({ at: Date.now(), cpu: cpuOf(job.pid) }), sampleMs)
  try {
    await job.while(topics.outputOf(to, warm))
    const began = Date.now()
    await release()
    const { times, check } = await job.while(topics.outputOf(to, warm + events))
    const cpuAt = (ms: number): number => samples.find(({ at }) => at >= ms)?.cpu ?? samples.at(-1)?.cpu ?? NaN
    const ended = times.at(-1) ?? NaN
    return {
      eventsPerSecond: Math.round(events / ((ended - began) / 1000)),
      eventsPerCpuSecond: Math.round(events / (cpuAt(ended) - cpuAt(began))),
      faults: check.faults(warm + events)
    }
  } finally {
    clearInterval(timer)
    await job.stop()
  }
}
