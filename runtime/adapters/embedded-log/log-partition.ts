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

interface AbortedRun {
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
  /** By producer number, in order: one producer's transactions never overlap. */
  private readonly aborted = new Map<number, AbortedRun[]>()
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
    const runs = this.aborted.get(producer)
    if (runs === undefined) return false
    let [low, high] = [0, runs.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((runs[middle] as AbortedRun).marker < offset) low = middle + 1
      else high = middle
    }
    return low < runs.length && offset >= (runs[low] as AbortedRun).first
  }

  addAborted(producer: number, run: AbortedRun): void {
    const runs = this.aborted.get(producer)
    if (runs === undefined) this.aborted.set(producer, [run])
    else {
      runs.push(run)
      // What is loaded comes in the order of text.
      if (run.marker < (runs.at(-2) as AbortedRun).marker) runs.sort((a, b) => a.marker - b.marker)
    }
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
