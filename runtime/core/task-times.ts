/** Where a task's time went, as plain numbers: what moves them happens once per slice of work, never per event. */

/** Upper bounds of the buckets, in ms; the last bucket has none. */
export const batchBucketsMs = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000] as const
export const checkpointBucketsMs = [10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 60_000] as const

/** How often something took how long. */
export class Durations {
  /** Not cumulative; one more than there are bounds. */
  readonly counts: number[]
  totalMs = 0
  readonly boundsMs: readonly number[]

  constructor(boundsMs: readonly number[]) {
    this.boundsMs = boundsMs
    this.counts = new Array<number>(boundsMs.length + 1).fill(0)
  }

  add(ms: number): void {
    this.totalMs += ms
    let at = 0
    while (at < this.boundsMs.length && ms > (this.boundsMs[at] as number)) at++
    this.counts[at] = (this.counts[at] as number) + 1
  }

  absorb(other: Durations): void {
    this.totalMs += other.totalMs
    for (const [at, count] of other.counts.entries()) this.counts[at] = (this.counts[at] as number) + count
  }
}

export class TaskTimes {
  readonly batches = new Durations(batchBucketsMs)
  /** Something behind the task was full. */
  private readonly blocked = new Span()
  /** Too much waited for a checkpoint. */
  private readonly paused = new Span()

  look(elapsedMs: number, blocked: boolean, paused: boolean): void {
    this.blocked.look(elapsedMs, blocked)
    this.paused.look(elapsedMs, paused)
  }

  blockedMs(elapsedMs: number): number {
    return this.blocked.totalMs(elapsedMs)
  }
  pausedMs(elapsedMs: number): number {
    return this.paused.totalMs(elapsedMs)
  }
}

/** For how long something was so, all times together. */
class Span {
  private past = 0
  private since: number | undefined

  look(elapsedMs: number, is: boolean): void {
    if (is) this.since ??= elapsedMs
    else if (this.since !== undefined) {
      this.past += elapsedMs - this.since
      this.since = undefined
    }
  }

  totalMs(elapsedMs: number): number {
    return this.past + (this.since === undefined ? 0 : Math.max(0, elapsedMs - this.since))
  }
}
