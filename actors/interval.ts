/** What a job says of its checkpoints: the time between them, or the latency of its output, for which the runtime finds that time. */
import { formatDuration, type Duration } from '../runtime/kernel/durations.ts'

/** How late output may be, from when its event is read to when it is published exactly once. */
export interface LatencyGoal {
  /**
   * Interval and duration of a checkpoint together, e.g. `'300ms'`; at least 20 ms. Output is published when a checkpoint has completed:
   * what is read right behind a barrier waits for the next one.
   */
  readonly latency: Duration
  /**
   * The most that checkpoints may take of the time in which a worker could handle events: from 0.01 to 0.9, default 0.1. Where goal and
   * share cannot both be kept, the share is: checkpoints come less often, up to a minute apart (or the goal, if that is longer).
   */
  readonly share?: number
}

export interface ResolvedLatencyGoal {
  readonly latencyMs: number
  readonly share: number
}

/** What a plan holds of it. */
export interface Interval {
  /** Between two checkpoints; where there is a goal: until the first has shown what one costs. */
  readonly intervalMs: number
  readonly latencyGoal: ResolvedLatencyGoal | undefined
}

/** Sooner the next barrier would meet the one before. */
export const leastIntervalMs = 10
export const leastLatencyMs = 2 * leastIntervalMs
export const usualShare = 0.1
const [leastShare, mostShare] = [0.01, 0.9]

/** Half of the goal to begin with: the other half is for the checkpoint. */
export const intervalFor = (goal: ResolvedLatencyGoal): Interval => ({
  intervalMs: Math.ceil(goal.latencyMs / 2),
  latencyGoal: goal
})

/** @param duration tells mistakes of its own and answers 0 then */
export function resolveInterval(
  given: Duration | LatencyGoal,
  duration: (given: Duration, what: string) => number,
  problems: string[]
): Interval {
  if (typeof given !== 'object') return { intervalMs: duration(given, 'interval'), latencyGoal: undefined }
  const { latency, share = usualShare, ...others } = given
  for (const name of Object.keys(others))
    problems.push(`interval.${name}: there is no such option; a latency goal has \`latency\` and \`share\``)
  const told = problems.length
  const latencyMs = duration(latency, 'interval.latency')
  if (told === problems.length && latencyMs < leastLatencyMs)
    problems.push(`interval.latency is ${formatDuration(latencyMs)}; it must be at least ${leastLatencyMs} ms`)
  if (typeof share !== 'number' || !(share >= leastShare && share <= mostShare))
    problems.push(
      `interval.share is ${JSON.stringify(share)}; it is a part of the time, from ${leastShare} to ${mostShare}`
    )
  return intervalFor({ latencyMs, share })
}

/** What the one who starts the job says goes over what the job says, but for the share, which only the job can. */
export function overriddenInterval(
  plan: Interval,
  { intervalMs, latencyMs }: { readonly intervalMs?: number; readonly latencyMs?: number }
): Interval {
  if (intervalMs !== undefined) return { intervalMs, latencyGoal: undefined }
  if (latencyMs !== undefined) return intervalFor({ latencyMs, share: plan.latencyGoal?.share ?? usualShare })
  return { intervalMs: plan.intervalMs, latencyGoal: plan.latencyGoal }
}
