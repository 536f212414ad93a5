/**
 * What all windows share: two timers a key, and how results leave.
 *
 * Invariants
 * 1. `armed` is never later than the next instant at which a window of the key fires or is purged. It may be earlier (a session
 *    was extended): then nothing happens but arming again.
 * 2. At `armed`, `fire` runs before `step` (timers of one instant run in the order of their names). Only `fire`, `early` and
 *    `end` call the user's functions; `step`, `settle` and `ended` change the state. So a result that throws becomes one dead
 *    letter and neither keeps a window for ever nor stops the windows after it.
 * 3. A key with no window left forgets itself.
 */
import { output, Actor, type Context } from './actor.ts'
import type { WindowContents } from './window-contents.ts'
import type { Firing, ResolvedWindowOptions, Window } from './window.ts'

export interface WindowSetup extends ResolvedWindowOptions {
  readonly window: Window
  readonly contents: WindowContents
  /** On the wall clock instead of event time. */
  readonly processing: boolean
}

/** The task's context: `at` is the event time of the emission. */
export interface WindowContext extends Omit<Context<unknown>, 'emit'> {
  emit(value: unknown, at: number): void
}

export const lateOutput = output<unknown>()

/** Of a Date: beyond, sums with sizes would not be exact. */
const greatestTime = 8.64e15

export abstract class WindowActor extends Actor {
  armed = NaN
  early = false

  /** On the prototype: fields are state. */
  abstract get setup(): WindowSetup
  abstract override receive(value: never, ctx: never): void
  /** Emits for the window that ends at `at`. */
  protected abstract fire(at: number, ctx: WindowContext): void
  /** Purges what is over at `at`; the next instant to be armed, undefined when nothing is left. */
  protected abstract purge(at: number): number | undefined
  /** Emits for every open window that changed since the last time. */
  protected abstract fireEarly(progress: number, ctx: WindowContext): void
  protected abstract settleEarly(): void
  /** Emits for every window: the input ended. */
  protected abstract fireAll(ctx: WindowContext): void

  override onTimer(name: string, ctx: never): void {
    this.ring(name, ctx)
  }
  override onAlarm(name: string, ctx: never): void {
    this.ring(name, ctx)
  }

  private ring(name: string, ctx: WindowContext): void {
    switch (name) {
      case 'fire':
        return this.fire(this.armed, ctx)
      case 'step': {
        const next = this.purge(this.armed)
        if (next === undefined) ctx.forget()
        else this.arm(next, ctx)
        return
      }
      case 'early':
        return this.fireEarly(this.setup.processing ? ctx.now : Math.floor(ctx.watermark), ctx)
      case 'settle':
        this.settleEarly()
        this.early = false
        return
      case 'end':
        return this.fireAll(ctx)
      case 'ended':
        ctx.forget()
    }
  }

  /** Times are taken to the whole ms below; all bounds of windows are whole. */
  protected timeOf(ctx: WindowContext): number {
    const time = Math.floor(this.setup.processing ? ctx.now : ctx.time)
    if (!(Math.abs(time) <= greatestTime))
      throw new RangeError(`event time ${time} is not within ±${greatestTime} ms of 1970`)
    return time
  }

  /** Windows that end at or before it have fired. `time` is that of the event: the wall clock may have moved since it was read. */
  protected progress(time: number, ctx: WindowContext): number {
    return this.setup.processing ? time : Math.floor(ctx.watermark)
  }

  protected armBy(at: number, ctx: WindowContext): void {
    if (!(this.armed <= at)) this.arm(at, ctx)
  }

  private arm(at: number, ctx: WindowContext): void {
    if (this.setup.processing) {
      // Alarms stop with the input: what is open then still gets its result.
      if (Number.isNaN(this.armed)) this.armEnd(ctx)
      ctx.alarm('fire', at)
      ctx.alarm('step', at)
    } else {
      ctx.timer('fire', at)
      ctx.timer('step', at)
    }
    this.armed = at
  }

  protected armEnd(ctx: WindowContext): void {
    ctx.timer('end', Infinity)
    ctx.timer('ended', Infinity)
  }

  protected armEarly(afterMs: number, ctx: WindowContext): void {
    if (this.early) return
    this.early = true
    ctx.alarm('early', ctx.now + afterMs)
    ctx.alarm('settle', ctx.now + afterMs)
  }

  /** Of an event none of whose windows is kept any more. */
  protected late(value: unknown, ctx: WindowContext): void {
    ctx.emitTo(lateOutput, value)
    this.leave(ctx)
  }

  /** After an event that opened nothing: its key may have been made for it. */
  protected leave(ctx: WindowContext): void {
    if (Number.isNaN(this.armed)) ctx.forget()
  }

  protected emit(acc: unknown, start: number, end: number, firing: Firing, at: number, ctx: WindowContext): void {
    ctx.emit(this.setup.contents.result(acc, { key: ctx.key, start, end, firing }), at)
  }
}
