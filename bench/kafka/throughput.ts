/** Consume, count, produce, exactly once: Cairn, a loop written by hand, and Kafka Streams. */
import { benchEvent, partitions } from './bench-events.ts'
import type { BenchTopics } from './bench-topics.ts'
import { startJob, type BenchPlace, type Contender } from './jobs.ts'
import { OutputCheck } from './output-check.ts'
import { timed } from './timed-run.ts'

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

export async function throughput(
  { who, interval, name, events, warm, profiled = false }: ThroughputRun,
  place: BenchPlace,
  topics: BenchTopics
): Promise<Throughput> {
  const [from, to] = [`${name}-in`, `${name}-out`]
  const at = Date.now()
  let shares: Readonly<Record<string, number>> | undefined
  const { seconds, cpuSeconds, check } = await timed(
    {
      from,
      to,
      partitions,
      event: n => benchEvent(n, at),
      events,
      warm,
      due: count => count,
      newCheck: () => new OutputCheck(),
      start: () => startJob({ who, from, to, interval, delivery: 'exactly-once', name, profiled }, place),
      warmed: job => profiled && job.startProfile(),
      async ended(job) {
        if (profiled) shares = await job.stopProfile()
      }
    },
    topics
  )
  const ofStage = ([stage, share]: [string, number]): [string, number] => [
    stage,
    Math.round((share * cpuSeconds * 1e9) / events)
  ]
  return {
    eventsPerSecond: Math.round(events / seconds),
    eventsPerCpuSecond: Math.round(events / cpuSeconds),
    faults: check.faults(warm + events),
    ...(shares && { stages: Object.fromEntries(Object.entries(shares).map(ofStage)) })
  }
}
