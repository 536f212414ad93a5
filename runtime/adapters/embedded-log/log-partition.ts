/**
 * One partition as held in memory: how far it is written, how far it may be read, and which transactions are open on it.
 *
 * Invariants
 * 1. Offsets in [0, end) are stored without a gap, transaction markers included.
 * 2. `stable` ≤ `visibleEnd` ≤ `end`; nothing at or behind `stable` is ever given to a reader. `stable` lies before the first record
 *    of every open transaction (Kafka's last stable offset) and before everything that is not durable yet.
 */
import type { Clock } from '../../ports/clock.ts'
import type { Place } from './log-entry.ts'

export interface AbortedRun {
  readonly producer: number
  readonly first: number
  /** Offset of the marker. */
  readonly marker: number
}

export class LogPartition {
  readonly place: Place
  /** Next offset to write; may not be durable yet. */
  end: number
  /** Next offset to write, as durable. */
  visibleEnd: number
  /** Where reading stops for now. */
  stable: number
  /** First offset by producer number. */
  readonly open = new Map<number, number>()
  readonly aborted: AbortedRun[] = []
  private readonly waiting = new Set<() => void>()

  constructor(place: Place, end: number) {
    this.place = place
    this.end = this.visibleEnd = this.stable = end
  }

  /** What `stable` becomes once everything written so far is durable. */
  get stableEnd(): number {
    return Math.min(this.end, ...this.open.values())
  }

  advance(visibleEnd: number, stable: number): void {
    this.visibleEnd = visibleEnd
    if (stable <= this.stable) return
    this.stable = stable
    this.wake()
  }

  isAborted(producer: number, offset: number): boolean {
    return this.aborted.some(run => run.producer === producer && offset >= run.first && offset < run.marker)
  }

  /** Resolves when more can be read, when `waitMs` have passed, or when woken. */
  more(clock: Clock, waitMs: number): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        cancel()
        this.waiting.delete(done)
        resolve()
      }
      const cancel = clock.after(waitMs, done)
      this.waiting.add(done)
    })
  }

  wake(): void {
    for (const done of [...this.waiting]) done()
  }
}
