/**
 * Clocks that disagree. A machine's wall clock has an offset, a rate and jumps; its timers run at its rate and are not moved by
 * jumps, as Node's are not.
 */
import type { Clock } from '../../runtime/ports/clock.ts'
import type { SimProcess } from './process.ts'
import type { WorldTime } from './time.ts'

export interface HostClockOptions {
  /** Ahead of the world's; default 0. */
  readonly offsetMs?: number
  /** Its milliseconds per millisecond of the world; default 1. */
  readonly rate?: number
  /** What a slice of work costs: the time until a `yield` calls back; default 0.02. A slow process is one with more. */
  readonly yieldMs?: number
}

/** 2026-01-01: what the clocks of the world count from. */
export const worldEpochMs = 1_767_225_600_000

export class HostClock {
  yieldMs: number
  private readonly time: WorldTime
  private rate: number
  /** Both read at the same moment, which was the last change. */
  private worldMs: number
  private wallMs: number

  constructor(time: WorldTime, { offsetMs = 0, rate = 1, yieldMs = 0.02 }: HostClockOptions = {}) {
    this.time = time
    this.rate = rate
    this.yieldMs = yieldMs
    this.worldMs = time.now()
    this.wallMs = worldEpochMs + this.worldMs + offsetMs
  }

  now(): number {
    return Math.floor(this.exact())
  }
  /** The world's time until this clock's timers have counted so many milliseconds. */
  worldDelay(delayMs: number): number {
    return delayMs / this.rate
  }
  jump(byMs: number): void {
    this.wallMs += byMs
  }
  setRate(rate: number): void {
    this.wallMs = this.exact()
    this.worldMs = this.time.now()
    this.rate = rate
  }
  private exact(): number {
    return this.wallMs + (this.time.now() - this.worldMs) * this.rate
  }
}

/** The clock that the code of one process sees. */
export class SimClock implements Clock {
  private readonly process: SimProcess

  constructor(process: SimProcess) {
    this.process = process
  }

  now(): number {
    return this.process.host.clock.now()
  }
  after(delayMs: number, callback: () => void): () => void {
    return this.process.after(this.process.host.clock.worldDelay(Math.max(0, delayMs)), callback, 'timer')
  }
  yield(callback: () => void): void {
    this.process.after(this.process.host.clock.yieldMs, callback, 'yield')
  }
}
