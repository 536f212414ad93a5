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
  private readonly usualYieldMs: number
  private readonly usualRate: number
  private readonly slowness = new Set<{ readonly yieldMs: number }>()
  private readonly drifts = new Set<{ readonly rate: number }>()
  private readonly time: WorldTime
  private rate: number
  /** All read at the same moment, which was the last change. */
  private worldMs: number
  private wallMs: number
  private elapsedMs = 0

  constructor(time: WorldTime, { offsetMs = 0, rate = 1, yieldMs = 0.02 }: HostClockOptions = {}) {
    this.time = time
    this.rate = this.usualRate = rate
    this.usualYieldMs = yieldMs
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
  /** Runs at another rate. Returns what ends it, as do all of these. */
  drift(rate: number): () => void {
    const drift = { rate }
    this.drifts.add(drift)
    this.changeRate()
    return () => {
      this.drifts.delete(drift)
      this.changeRate()
    }
  }
  /** Each slice of work takes that long. */
  slow(yieldMs: number): () => void {
    const slowness = { yieldMs }
    this.slowness.add(slowness)
    return () => void this.slowness.delete(slowness)
  }
  get yieldMs(): number {
    let slowest = this.usualYieldMs
    for (const { yieldMs } of this.slowness) slowest = Math.max(slowest, yieldMs)
    return slowest
  }
  /** Without the jumps. */
  elapsed(): number {
    return this.elapsedMs + (this.time.now() - this.worldMs) * this.rate
  }
  private changeRate(): void {
    this.elapsedMs = this.elapsed()
    this.wallMs = this.exact()
    this.worldMs = this.time.now()
    this.rate = this.usualRate
    for (const { rate } of this.drifts) this.rate *= rate
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
  elapsed(): number {
    return this.process.host.clock.elapsed()
  }
  after(delayMs: number, callback: () => void): () => void {
    return this.process.after(this.process.host.clock.worldDelay(Math.max(0, delayMs)), callback, 'timer')
  }
  yield(callback: () => void): void {
    this.process.after(this.process.host.clock.yieldMs, callback, 'yield')
  }
}
