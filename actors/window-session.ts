/** Session windows: an event at t opens [t, t + gap); what overlaps or touches is one session. */
import { WindowActor, type WindowContext } from './window-base.ts'
import type { Firing } from './window.ts'

interface Session {
  start: number
  end: number
  acc: unknown
  n: number
  /** Since the last early firing. */
  changed: boolean
}

export abstract class SessionWindows extends WindowActor {
  /** In order of time; no two overlap or touch. */
  readonly sessions: Session[] = []

  override receive(value: never, ctx: never): void {
    this.take(value, ctx)
  }

  private take(value: unknown, ctx: WindowContext): void {
    const { window, latenessMs, trigger, contents } = this.setup
    const time = this.timeOf(ctx)
    const progress = this.progress(time, ctx)
    const session = this.join(time, time + window.gapMs, progress - latenessMs)
    if (session === undefined) return this.late(value, ctx)
    session.acc = contents.add(session.acc, value, time)
    session.n++
    if (session.end <= progress) {
      this.fireSession(session, 'late', ctx)
      this.armBy(session.end + latenessMs, ctx)
      return
    }
    this.armBy(session.end, ctx)
    if (trigger.every !== undefined && session.n % trigger.every === 0) this.fireSession(session, 'early', ctx)
    if (trigger.earlyMs !== undefined) {
      session.changed = true
      this.armEarly(trigger.earlyMs, ctx)
    }
  }

  /**
   * The one session that holds [start, end) now, made of all that it meets; undefined when it meets none and is itself purged.
   * As Flink's MergingWindowSet: an event is late only if the merged session is.
   */
  private join(start: number, end: number, purged: number): Session | undefined {
    const { sessions } = this
    const { contents } = this.setup
    let from = sessions.length
    while (from > 0 && (sessions[from - 1] as Session).end >= start) from--
    let to = from
    while (to < sessions.length && (sessions[to] as Session).start <= end) to++
    if (to === from) {
      if (end <= purged) return undefined
      const made = { start, end, acc: contents.create(), n: 0, changed: false }
      sessions.splice(from, 0, made)
      return made
    }
    const into = sessions[from] as Session
    for (let i = from + 1; i < to; i++) {
      const other = sessions[i] as Session
      into.acc = contents.merge(into.acc, other.acc)
      into.n += other.n
      into.changed ||= other.changed
      into.end = other.end
    }
    into.start = Math.min(into.start, start)
    into.end = Math.max(into.end, end)
    if (to > from + 1) sessions.splice(from + 1, to - from - 1)
    return into
  }

  protected override fire(at: number, ctx: WindowContext): void {
    for (const session of this.sessions) if (session.end === at) this.fireSession(session, 'on-time', ctx)
  }

  protected override purge(at: number): number | undefined {
    const { sessions } = this
    const { latenessMs } = this.setup
    // The ends are in order, so those that are purged come first.
    let over = 0
    while (over < sessions.length && (sessions[over] as Session).end + latenessMs <= at) over++
    if (over > 0) sessions.splice(0, over)
    let next: number | undefined
    for (const { end } of sessions) {
      const instant = end > at ? end : end + latenessMs
      if (next === undefined || instant < next) next = instant
    }
    return next
  }

  protected override fireEarly(progress: number, ctx: WindowContext): void {
    for (const session of this.sessions)
      if (session.changed && session.end > progress) this.fireSession(session, 'early', ctx)
  }
  protected override settleEarly(): void {
    for (const session of this.sessions) session.changed = false
  }
  protected override fireAll(ctx: WindowContext): void {
    for (const session of this.sessions) if (session.end >= this.armed) this.fireSession(session, 'on-time', ctx)
  }

  private fireSession(session: Session, firing: Firing, ctx: WindowContext): void {
    this.emit(session.acc, session.start, session.end, firing, session.end - 1, ctx)
  }
}
