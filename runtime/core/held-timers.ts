/** The armed timers of parked keys: out of the queues, so that they hold nothing up, until their key is released. */
import type { Entry } from './entry.ts'
import { TimerQueue, type Timer } from './timer-queue.ts'

export type TimerClock = 'event' | 'wall'
type Queues = Readonly<Record<TimerClock, TimerQueue<Entry>>>

const clocks = ['event', 'wall'] as const

export class HeldTimers {
  private readonly held: Queues = { event: new TimerQueue(), wall: new TimerQueue() }
  private readonly running: Queues

  constructor(running: Queues) {
    this.running = running
  }

  /** Where timers of the entry are. */
  of(clock: TimerClock, entry: Entry): TimerQueue<Entry> {
    return (entry.parked === undefined ? this.running : this.held)[clock]
  }

  /** Call when the entry was parked. */
  hold(entry: Entry): void {
    move(entry, this.running, this.held)
  }

  /** Call when it is parked no more. */
  free(entry: Entry): void {
    move(entry, this.held, this.running)
  }

  /** Takes the first one of the entry that was due at `upTo`. */
  takeDue(entry: Entry, clock: TimerClock, upTo: number): Timer<Entry> | undefined {
    let first: Timer<Entry> | undefined
    for (const timer of this.held[clock].timersOf(entry))
      if (timer.at <= upTo && (first === undefined || before(timer, first))) first = timer
    if (first !== undefined) this.held[clock].cancel(entry, first.name)
    return first
  }
}

function move(entry: Entry, from: Queues, to: Queues): void {
  for (const clock of clocks) {
    for (const { name, at } of from[clock].timersOf(entry)) to[clock].arm(entry, name, at)
    from[clock].forget(entry)
  }
}

function before(a: Timer<Entry>, b: Timer<Entry>): boolean {
  return a.at === b.at ? a.name < b.name : a.at < b.at
}
