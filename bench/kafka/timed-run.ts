/**
 * A job from Kafka to Kafka, timed. When it is warm, a transaction is committed that makes all of the events readable at once. Brokers stamp each
 * record of the output when they write it: until the last of them is the time, and nobody has to watch meanwhile.
 */
import type { BenchTopics, Check, NewRecord } from './bench-topics.ts'
import { cpuOf } from './cpu-time.ts'
import type { StartedJob } from './started-job.ts'

export interface TimedRun<C extends Check> {
  /** New topics, with so many partitions each. */
  readonly from: string
  readonly to: string
  readonly partitions: number
  readonly event: (n: number) => NewRecord
  readonly events: number
  /** More of them before, to get warm. */
  readonly warm: number
  /** How many records the first so many events make. */
  readonly due: (events: number) => number
  readonly newCheck: () => C
  readonly start: () => StartedJob
  /** Just before the events can be read. */
  readonly warmed?: (job: StartedJob) => void
  /** Before the job is stopped. */
  readonly ended?: (job: StartedJob) => Promise<void>
}

export interface Timed<C> {
  readonly seconds: number
  /** Of the job. */
  readonly cpuSeconds: number
  readonly check: C
}

const sampleMs = 50

export async function timed<C extends Check>(run: TimedRun<C>, topics: BenchTopics): Promise<Timed<C>> {
  const { from, to, partitions, event, events, warm, due, newCheck } = run
  await topics.create(from, partitions)
  await topics.create(to, partitions, true)
  const release = await topics.fill(from, event, warm, events)
  const job = run.start()
  const samples: { readonly at: number; readonly cpu: number }[] = []
  const timer = setInterval(() => samples.push({ at: Date.now(), cpu: cpuOf(job.pid) }), sampleMs)
  try {
    await job.while(topics.outputOf(to, due(warm), newCheck))
    run.warmed?.(job)
    const began = Date.now()
    await release()
    const { times, check } = await job.while(topics.outputOf(to, due(warm + events), newCheck))
    const cpuAt = (ms: number): number => samples.find(({ at }) => at >= ms)?.cpu ?? samples.at(-1)?.cpu ?? NaN
    const ended = times.at(-1) ?? NaN
    await run.ended?.(job)
    return { seconds: (ended - began) / 1000, cpuSeconds: cpuAt(ended) - cpuAt(began), check }
  } finally {
    clearInterval(timer)
    await job.stop()
  }
}
