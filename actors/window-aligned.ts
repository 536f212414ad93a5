/**
 * Tumbling and sliding windows. A key keeps panes, the greatest pieces that no window cuts; a window is the panes from its start
 * to its end. An event is added once, however many windows hold it; of a tumbling window, the one pane is the window.
 */
import { WindowActor, type WindowContext, type WindowSetup } from './window-base.ts'
import { paneSizeMs } from './window.ts'

interface Pane {
  acc: unknown
  n: number
  /** Since the last early firing. */
  changed: boolean
}

/** Of the windows of one stage; windows end at `anchor + k × every`. */
export interface AlignedSetup extends WindowSetup {
  readonly sizeMs: number
  readonly everyMs: number
  readonly paneMs: number
  readonly offsetMs: number
}

export function alignedSetup(setup: WindowSetup): AlignedSetup {
  const { sizeMs, everyMs, offsetMs } = setup.window
  return { ...setup, sizeMs, everyMs, offsetMs, paneMs: paneSizeMs(setup.window) }
}

/** The greatest `offset + k × step` ≤ `time`. As Flink's `TimeWindow.getWindowStartWithOffset`, right for negative times too. */
export function alignedStart(time: number, offset: number, step: number): number {
  const past = (time - offset) % step
  return time - (past < 0 ? past + step : past)
}

export abstract class AlignedWindows extends WindowActor {
  readonly panes = new Map<number, Pane>()

  abstract override get setup(): AlignedSetup

  override receive(value: never, ctx: never): void {
    this.take(value, ctx)
  }

  private take(value: unknown, ctx: WindowContext): void {
    const { offsetMs, paneMs, latenessMs, trigger, contents } = this.setup
    const time = this.timeOf(ctx)
    const start = alignedStart(time, offsetMs, paneMs)
    const last = this.lastEnd(start)
    if (last <= start) return this.leave(ctx) // between windows
    const progress = this.progress(time, ctx)
    if (last + latenessMs <= progress) return this.late(value, ctx)
    let pane = this.panes.get(start)
    if (pane === undefined) {
      pane = { acc: contents.create(), n: 0, changed: false }
      this.panes.set(start, pane)
      this.armBy(this.nextInstant(start, progress), ctx)
    }
    pane.acc = contents.add(pane.acc, value, time)
    pane.n++
    if (trigger.earlyMs !== undefined && last > progress) {
      pane.changed = true
      this.armEarly(trigger.earlyMs, ctx)
    }
    if (trigger.every !== undefined || progress >= start + paneMs) this.fireAtEvent(start, last, progress, ctx)
  }

  /** Late firings of the event's windows that are over, early firings of those that are not. */
  private fireAtEvent(start: number, last: number, progress: number, ctx: WindowContext): void {
    const { everyMs, latenessMs, trigger } = this.setup
    for (let end = this.firstEnd(start); end <= last; end += everyMs) {
      if (end + latenessMs <= progress) continue
      if (end <= progress) this.fireWindow(end, 'late', ctx)
      else if (trigger.every === undefined) return
      else if (this.countOf(end) % trigger.every === 0) this.fireWindow(end, 'early', ctx)
    }
  }

  /** Of the windows that hold the pane. */
  private firstEnd(start: number): number {
    const { sizeMs, everyMs, paneMs, offsetMs } = this.setup
    return alignedStart(start + paneMs + everyMs - 1, offsetMs + sizeMs, everyMs)
  }
  /** Not after `start` when no window holds the pane. */
  private lastEnd(start: number): number {
    const { sizeMs, everyMs, offsetMs } = this.setup
    return alignedStart(start, offsetMs, everyMs) + sizeMs
  }

  /** When, after `progress`, a window of the pane fires or the pane is purged. */
  private nextInstant(start: number, progress: number): number {
    const { sizeMs, everyMs, offsetMs, latenessMs } = this.setup
    const last = this.lastEnd(start)
    if (progress >= last) return last + latenessMs
    const first = this.firstEnd(start)
    return progress < first ? first : alignedStart(progress, offsetMs + sizeMs, everyMs) + everyMs
  }

  protected override fire(at: number, ctx: WindowContext): void {
    const { sizeMs, everyMs, offsetMs } = this.setup
    if (alignedStart(at, offsetMs + sizeMs, everyMs) === at) this.fireWindow(at, 'on-time', ctx)
  }

  protected override purge(at: number): number | undefined {
    let next: number | undefined
    for (const start of this.panes.keys()) {
      if (this.lastEnd(start) + this.setup.latenessMs <= at) {
        this.panes.delete(start)
        continue
      }
      const instant = this.nextInstant(start, at)
      if (next === undefined || instant < next) next = instant
    }
    return next
  }

  protected override fireEarly(progress: number, ctx: WindowContext): void {
    for (const end of this.openEnds(pane => pane.changed, progress)) this.fireWindow(end, 'early', ctx)
  }
  protected override settleEarly(): void {
    for (const pane of this.panes.values()) pane.changed = false
  }
  protected override fireAll(ctx: WindowContext): void {
    for (const end of this.openEnds(() => true, this.armed - 1)) this.fireWindow(end, 'on-time', ctx)
  }

  /** Ends after `progress` of the windows of some panes, in order. */
  private openEnds(which: (pane: Pane) => boolean, progress: number): number[] {
    const ends = new Set<number>()
    for (const [start, pane] of this.panes) {
      if (!which(pane)) continue
      const last = this.lastEnd(start)
      for (let end = this.nextInstant(start, progress); end <= last && end > progress; end += this.setup.everyMs)
        ends.add(end)
    }
    return [...ends].sort((a, b) => a - b)
  }

  private countOf(end: number): number {
    const { sizeMs, paneMs } = this.setup
    let n = 0
    for (let start = end - sizeMs; start < end; start += paneMs) n += this.panes.get(start)?.n ?? 0
    return n
  }

  private fireWindow(end: number, firing: 'early' | 'on-time' | 'late', ctx: WindowContext): void {
    const { sizeMs, paneMs, contents } = this.setup
    const from = end - sizeMs
    if (sizeMs === paneMs) {
      const pane = this.panes.get(from)
      if (pane !== undefined) this.emit(pane.acc, from, end, firing, end - 1, ctx)
      return
    }
    let acc: unknown
    for (let start = from; start < end; start += paneMs) {
      const pane = this.panes.get(start)
      if (pane !== undefined) acc = contents.merge(acc === undefined ? contents.create() : acc, pane.acc)
    }
    if (acc !== undefined) this.emit(acc, from, end, firing, end - 1, ctx)
  }
}
