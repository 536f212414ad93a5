/** One window per key that never ends: early firings, and one more when the input ends. */
import { WindowActor, type WindowContext } from './window-base.ts'
import type { Firing } from './window.ts'

export abstract class GlobalWindow extends WindowActor {
  acc: unknown = undefined
  n = 0
  /** Greatest event time: that of the emissions. */
  latest = -Infinity

  override receive(value: never, ctx: never): void {
    this.take(value, ctx)
  }

  private take(value: unknown, ctx: WindowContext): void {
    const { contents, trigger } = this.setup
    const time = this.timeOf(ctx)
    if (this.n === 0) {
      this.acc = contents.create()
      this.armEnd(ctx)
    }
    this.acc = contents.add(this.acc, value, time)
    this.n++
    this.latest = Math.max(this.latest, time)
    if (trigger.every !== undefined && this.n % trigger.every === 0) this.fireNow('early', ctx)
    if (trigger.earlyMs !== undefined) this.armEarly(trigger.earlyMs, ctx)
  }

  protected override fire(): void {}
  protected override purge(): undefined {}
  protected override settleEarly(): void {}
  protected override fireEarly(_: number, ctx: WindowContext): void {
    this.fireNow('early', ctx)
  }
  protected override fireAll(ctx: WindowContext): void {
    this.fireNow('on-time', ctx)
  }

  private fireNow(firing: Firing, ctx: WindowContext): void {
    this.emit(this.acc, -Infinity, Infinity, firing, this.latest, ctx)
  }
}
