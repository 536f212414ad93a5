/**
 * Windows from their definitions, for tests: keeps every event, compares everything with everything, shares no code with the
 * product. Time is BigInt, so that no sum is rounded.
 *
 * What is replayed is a list of steps of one key's life; what comes out is the rows in order, each as text:
 * `start..end firing id,id,id`, the ids in order of (time, arrival).
 */
export interface OracleWindow {
  readonly kind: 'tumbling' | 'sliding' | 'session' | 'global'
  readonly size: number
  readonly every: number
  readonly gap: number
  readonly offset: number
  readonly lateness: number
  /** Early firing at each n-th event of a window. */
  readonly everyNth: number | undefined
  /** Early firing so long (wall clock) after a change. */
  readonly earlyAfter: number | undefined
}

interface OracleEvent {
  readonly time: bigint
  readonly id: number
}

/** A window, or a session as it is now, with its events. */
interface Span {
  readonly start: bigint | undefined
  readonly end: bigint | undefined
  readonly events: readonly OracleEvent[]
}

export class WindowOracle {
  readonly rows: string[] = []
  readonly late: number[] = []
  private readonly window: OracleWindow
  /** Events that were not late; those of purged sessions are taken out. */
  private events: OracleEvent[] = []
  private watermark: bigint | '-∞' | '∞' = '-∞'
  private now = 0
  private alarm: number | undefined
  private changed = new Set<number>()

  constructor(window: OracleWindow) {
    this.window = window
  }

  event(time: number, id: number): void {
    const event = { time: BigInt(time), id }
    const spans = this.spansWith(event)
    if (spans.length === 0) return
    if (spans.every(span => this.purged(span))) {
      this.late.push(id)
      return
    }
    this.events.push(event)
    for (const span of spans) {
      if (this.purged(span)) continue
      const { everyNth } = this.window
      if (this.over(span)) this.row(span, 'late')
      else if (everyNth !== undefined && span.events.length % everyNth === 0) this.row(span, 'early')
    }
    if (this.window.earlyAfter === undefined || spans.every(span => this.over(span))) return
    this.changed.add(id)
    this.alarm ??= this.now + this.window.earlyAfter
  }

  /** Every window whose end it reaches fires, in order of the ends. */
  advanceWatermark(to: number): void {
    const next = to === Infinity ? '∞' : BigInt(Math.floor(to))
    const before = this.spans().filter(span => !this.over(span))
    this.watermark = next
    for (const span of before) if (this.over(span)) this.row(span, 'on-time')
    this.forget()
  }

  /** Moves the wall clock, ringing on the way. */
  advanceClock(to: number): void {
    this.now = to
    if (this.alarm === undefined || this.alarm > to) return
    for (const span of this.spans())
      if (!this.over(span) && span.events.some(event => this.changed.has(event.id))) this.row(span, 'early')
    this.changed.clear()
    this.alarm = undefined
  }
  get nextAlarm(): number | undefined {
    return this.alarm
  }

  private forget(): void {
    if (this.window.kind === 'session')
      for (const span of this.spans())
        if (this.purged(span)) this.events = this.events.filter(event => !span.events.includes(event))
    if (this.spans().some(span => !this.purged(span))) return
    this.alarm = undefined
    this.changed.clear()
  }

  private over(span: Span): boolean {
    if (this.watermark === '∞') return true
    return this.watermark !== '-∞' && span.end !== undefined && span.end <= this.watermark
  }
  private purged(span: Span): boolean {
    if (this.watermark === '∞') return true
    if (this.watermark === '-∞' || span.end === undefined) return false
    return span.end + BigInt(this.window.lateness) <= this.watermark
  }

  /** Windows that hold the event, each with all its events, in order of the ends. */
  private spansWith(event: OracleEvent): Span[] {
    return spansOf(this.window, [...this.events, event]).filter(span => span.events.includes(event))
  }
  private spans(): Span[] {
    return spansOf(this.window, this.events)
  }

  private row(span: Span, firing: string): void {
    const ids = [...span.events].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)).map(each => each.id)
    this.rows.push(`${span.start ?? null}..${span.end ?? null} ${firing} ${ids.join()}`)
  }
}

function spansOf(window: OracleWindow, events: readonly OracleEvent[]): Span[] {
  if (window.kind === 'global') return events.length === 0 ? [] : [{ start: undefined, end: undefined, events }]
  const spans = window.kind === 'session' ? sessionsOf(window, events) : alignedOf(window, events)
  return spans.sort((a, b) => (a.end < b.end ? -1 : 1))
}

type Bounded = Span & { readonly start: bigint; readonly end: bigint }

/** Every start = offset + k × every such that start ≤ time < start + size. */
function alignedOf(window: OracleWindow, events: readonly OracleEvent[]): Bounded[] {
  const [size, offset] = [BigInt(window.size), BigInt(window.offset)]
  const every = window.kind === 'tumbling' ? size : BigInt(window.every)
  const starts = new Set<bigint>()
  for (const { time } of events) {
    // Division of BigInts goes towards zero: begin a step too late, end a size and a step too early.
    const about = (time - offset) / every
    for (let k = about + 1n; offset + k * every > time - size - every; k--) starts.add(offset + k * every)
  }
  return [...starts]
    .map(start => ({
      start,
      end: start + size,
      events: events.filter(({ time }) => start <= time && time < start + size)
    }))
    .filter(span => span.events.length > 0)
}

/** Joins any two that overlap or touch until there are none. */
function sessionsOf(window: OracleWindow, events: readonly OracleEvent[]): Bounded[] {
  let spans = events.map(event => ({ start: event.time, end: event.time + BigInt(window.gap), events: [event] }))
  for (;;) {
    const pair = spans
      .flatMap((a, i) => spans.slice(i + 1).map(b => [a, b] as const))
      .find(([a, b]) => a.start <= b.end && b.start <= a.end)
    if (pair === undefined) return spans
    const [a, b] = pair
    const joined = {
      start: a.start < b.start ? a.start : b.start,
      end: a.end > b.end ? a.end : b.end,
      events: events.filter(event => a.events.includes(event) || b.events.includes(event))
    }
    spans = [...spans.filter(span => span !== a && span !== b), joined]
  }
}

/**
 * Watermarks of one partition of which nothing is expected to be more than `bound` out of order (DESIGN 10.1): a step whenever
 * greatest time − bound crosses a multiple of bound / 32, at least 1 ms.
 */
export class OracleWatermark {
  value = -Infinity
  private greatest = -Infinity
  private readonly bound: number

  constructor(bound: number) {
    this.bound = bound
  }
  /** True when it advanced. */
  observe(time: number): boolean {
    this.greatest = Math.max(this.greatest, time)
    const quantum = Math.max(this.bound / 32, 1)
    const next = Math.floor((this.greatest - this.bound) / quantum) * quantum
    if (next <= this.value) return false
    this.value = next
    return true
  }
}
