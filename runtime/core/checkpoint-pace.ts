/**
 * How often a job with a latency goal takes checkpoints. Its output is published when a checkpoint has completed, so an event that comes
 * right behind a barrier waits for the interval and for the checkpoint at its end.
 *
 *   barrier ──► all files durable ──► decided ──► published
 *      ├──── turn ───────────────────────┤            │
 *      ├──── delay ───────────────────────────────────┤          work: what of it kept the busiest worker from its events
 *
 *   interval = goal − delay, but at least work ÷ share, and at least turn: one after the other          latency = interval + delay
 *
 * It is told of one checkpoint after the other by whoever leads, and looks at no clock. Each of the three is held as an upper estimate: a
 * costly checkpoint counts in full at once, and by half less with each cheap one after it. So a single hiccup is soon forgotten, and one
 * costly checkpoint in two does not send the interval up and down.
 *
 * Invariants
 * 1. The barrier that time triggers after a checkpoint comes no sooner than its work ÷ share: checkpoints take no more than their share
 *    of the time; but see 2.
 * 2. The interval is never longer than a minute, or the goal: there is always a next checkpoint.
 * 3. A checkpoint that was given up counts as a costly one: all of its time, and twice what was known.
 */
import { leastIntervalMs, type ResolvedLatencyGoal } from '../../actors/interval.ts'

/** What can be told of it, for people and metrics. */
export interface PaceGauges {
  /** Between two barriers at the moment. */
  readonly intervalMs: number
  /** undefined: the interval is fixed. */
  readonly goal:
    | (ResolvedLatencyGoal & {
        /** As late as output is at most, as far as is known. */
        readonly expectedMs: number
        /** It can be kept. */
        readonly kept: boolean
      })
    | undefined
}

/** Without an end, storage that is slow for a while would keep back output for much longer. */
const longestIntervalMs = 60_000
/** In a row that show otherwise before the goal is called kept, or not: fewer, and each collection of garbage would be told of. */
const convincing = 5

export class CheckpointPace {
  /** It is told of, so it does not change with every checkpoint. */
  kept = true
  private readonly goal: ResolvedLatencyGoal
  private readonly longestMs: number
  private work = 0
  private turn = 0
  private delay: number
  /** Of the checkpoint in flight. */
  private triggeredAt = 0
  /** When the oldest was triggered whose output is not known to be published. */
  private unpublishedSince: number | undefined
  private otherwise = 0

  constructor(goal: ResolvedLatencyGoal) {
    this.goal = goal
    this.longestMs = Math.max(longestIntervalMs, goal.latencyMs)
    this.delay = goal.latencyMs / 2
  }

  get intervalMs(): number {
    const { latencyMs, share } = this.goal
    const least = Math.max(leastIntervalMs, Math.ceil(this.work / share), Math.ceil(this.turn))
    return Math.min(this.longestMs, Math.max(least, Math.floor(latencyMs - this.delay)))
  }

  /** How late output is at most. */
  get expectedMs(): number {
    return this.intervalMs + this.delay
  }

  /** Output of a decided checkpoint is on its way. */
  get publishing(): boolean {
    return this.unpublishedSince !== undefined
  }

  triggered(now: number): void {
    this.triggeredAt = now
  }

  /** All its files are durable. @param workMs of the busiest worker; where that is not known, all the time counts */
  written(now: number, workMs = now - this.triggeredAt): void {
    this.worked(workMs)
  }

  decided(now: number): void {
    this.turn = this.raised(this.turn, now - this.triggeredAt)
    // While older output is on its way the newer is behind it.
    if (this.unpublishedSince === undefined) this.unpublishedSince = this.triggeredAt
    else this.delay = Math.max(this.delay, Math.min(this.longestMs, now - this.unpublishedSince))
    this.judge()
  }

  published(now: number): void {
    if (this.unpublishedSince === undefined) return
    this.delay = this.raised(this.delay, now - this.unpublishedSince)
    this.unpublishedSince = undefined
  }

  abandoned(now: number): void {
    const elapsed = now - this.triggeredAt
    this.worked(Math.max(elapsed, 2 * this.work))
    this.turn = this.raised(this.turn, elapsed)
    this.judge()
  }

  private worked(sample: number): void {
    // More would only make it longer until the interval is short again.
    this.work = Math.min(this.raised(this.work, sample), this.longestMs * this.goal.share)
  }

  private raised(estimate: number, sample: number): number {
    // Rounded down, so that it comes all the way.
    return Math.min(this.longestMs, Math.max(sample, Math.floor((estimate + sample) / 2)))
  }

  private judge(): void {
    const keeps = this.expectedMs <= this.goal.latencyMs
    this.otherwise = keeps === this.kept ? 0 : this.otherwise + 1
    if (this.otherwise < convincing) return
    this.kept = keeps
    this.otherwise = 0
  }
}
