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
  /** ns of CPU of an event, by stage; when it was asked for. */
  readonly stages?: Readonly<Record<string, number>>
}

export interface ThroughputRun {
  readonly who: Contender
  readonly interval: string
  /** New. */
  readonly name: string
  readonly events: number
  /** More of them before, to get warm. */
  readonly warm: number
  /** Of Cairn: tells where its time goes. Default: no. */
  readonly profiled?: boolean
}

const sampleMs = 50

export async function throughput(
  { who, interval, name, events, warm, profiled = false }: ThroughputRun,
  place: BenchPlace,
  topics: BenchTopics
): Promise<Throughput> {
  const [from, to] = [`${name}-in`, `${name}-out`]
  await topics.create(from)
  await topics.create(to, true)
  const release = await topics.fill(from, warm, events)
  const job = startJob({ who, from, to, interval, delivery: 'exactly-once', name, profiled }, place)
  const samples: { readonly at: number; readonly cpu: number }[] = []
  const timer = setInterval(() => samples.push({ at: Date.now(), cpu: cpuOf(job.pid) }), sampleMs)
  try {
    await job.while(topics.outputOf(to, warm))
    if (profiled) job.startProfile()
    const began = Date.now()
    await release()
    const { times, check } = await job.while(topics.outputOf(to, warm + events))
    const cpuAt = (ms: number): number => samples.find(({ at }) => at >= ms)?.cpu ?? samples.at(-1)?.cpu ?? NaN
    const ended = times.at(-1) ?? NaN
    const cpuSeconds = cpuAt(ended) - cpuAt(began)
    const ofStage = ([stage, share]: [string, number]): [string, number] => [
      stage,
      Math.round((share * cpuSeconds * 1e9) / events)
    ]
    return {
      eventsPerSecond: Math.round(events / ((ended - began) / 1000)),
      eventsPerCpuSecond: Math.round(events / cpuSeconds),
      faults: check.faults(warm + events),
      ...(profiled && { stages: Object.fromEntries(Object.entries(await job.stopProfile()).map(ofStage)) })
    }
  } finally {
    clearInterval(timer)
    await job.stop()
  }
}
