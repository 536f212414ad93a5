/** A clock whose time moves only when told. */
import type { Clock } from '../runtime/ports/clock.ts'

interface Alarm {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

export class VirtualClock implements Clock {
  private time: number
  private alarms: Alarm[] = []
  private order = 0

  constructor(start = 0) {
    this.time = start
  }
  now(): number {
    return this.time
  }
  elapsed(): number {
    return this.time
  }
  after(delayMs: number, callback: () => void): () => void {
    const alarm = { at: this.time + delayMs, order: this.order++, callback }
    this.alarms.push(alarm)
    return () => {
      this.alarms = this.alarms.filter(each => each !== alarm)
    }
  }
  yield(callback: () => void): void {
    setImmediate(callback)
  }

  /** Moves to the next alarm at or before `limit` and rings it, or to `limit`. True when one rang. */
  step(limit: number): boolean {
    const due = this.alarms.filter(alarm => alarm.at <= limit).sort((a, b) => a.at - b.at || a.order - b.order)[0]
    if (due === undefined) {
      this.time = limit
      return false
    }
    this.alarms = this.alarms.filter(alarm => alarm !== due)
    this.time = Math.max(this.time, due.at)
    due.callback()
    return true
  }
}
