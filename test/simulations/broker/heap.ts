/** A heap of events that runs by itself while it has any: enough of a world for tests of the simulated log. */
import type { Clock } from '../../../runtime/ports/clock.ts'

interface Event {
  readonly at: number
  readonly order: number
  callback: (() => void) | undefined
}

export class Heap {
  private time = 1_000_000
  private order = 0
  private events: Event[] = []
  private running = false

  now(): number {
    return this.time
  }

  schedule(delayMs: number, callback: () => void): void {
    this.push(delayMs, callback)
  }

  private push(delayMs: number, callback: () => void): Event {
    const event: Event = { at: this.time + Math.max(0, delayMs), order: this.order++, callback }
    let low = 0
    for (let high = this.events.length; low < high;) {
      const middle = (low + high) >> 1
      if ((this.events[middle] as Event).at <= event.at) low = middle + 1
      else high = middle
    }
    this.events.splice(low, 0, event)
    if (!this.running) {
      this.running = true
      setImmediate(() => this.step())
    }
    return event
  }

  /** One event, then everything that follows from it at once. */
  private step(): void {
    for (;;) {
      const event = this.events.shift()
      if (event === undefined) {
        this.running = false
        return
      }
      if (event.callback === undefined) continue
      this.time = Math.max(this.time, event.at)
      event.callback()
      setImmediate(() => this.step())
      return
    }
  }

  readonly clock: Clock = {
    now: () => this.time,
    elapsed: () => this.time,
    after: (delayMs, callback) => {
      const event = this.push(delayMs, callback)
      return () => {
        event.callback = undefined
      }
    },
    yield: callback => {
      this.push(0, callback)
    }
  }
}
