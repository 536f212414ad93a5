/**
 * The world's time: one heap of events, one event at a time, and between two of them every promise that can settle settles.
 *
 *   schedule ─→ heap (time, then insertion) ─→ callback ─→ microtasks until there are none ─→ the next event
 *
 * Invariants
 * 1. Events run by (time, insertion); time never goes back.
 * 2. No event begins before all microtasks of the one before it have ended: the next is begun by a tick that a microtask asked for,
 *    and Node runs ticks only when its microtask queue is empty. So code of one process never runs inside an event of another.
 * 3. A run is a function of what was scheduled: nothing here knows real time.
 */

interface ScheduledEvent {
  readonly at: number
  readonly order: number
  readonly label: string
  readonly who: string
  /** Undefined: cancelled. */
  callback: (() => void) | undefined
}

export interface RunLimits {
  /** Asked before each event. */
  readonly until?: () => boolean
  /** Time then stands at this point, unless something else ended the run. */
  readonly untilMs?: number
  /** Events of this call. */
  readonly events?: number
}

/** What ended it. `idle`: nothing is left that could ever happen. */
export type RunEnd = 'until' | 'time' | 'events' | 'idle'

/** After so many events timers, sockets and signals of the real process get a turn; larger: it seems hung to its parent. */
const eventsPerTurn = 4096
const settled = Promise.resolve()

export class WorldTime {
  /** Of all runs. */
  events = 0
  /** Whose code runs in this event and its microtasks: set by the process that is entered, undefined before. */
  running: { readonly name: string } | undefined
  /** Told each event, as one line; costs a string each. */
  trace: ((line: string) => void) | undefined
  private time: number
  private order = 0
  private cancelled = 0
  private heap: ScheduledEvent[] = []
  private hash1 = 0x811c9dc5 | 0
  private hash2 = 0x9e3779b9 | 0

  constructor(startMs = 0) {
    this.time = startMs
  }

  /** Virtual milliseconds, with fractions. */
  now(): number {
    return this.time
  }

  /**
   * Returns what cancels it; harmless afterwards.
   *
   * @param label what happens, for the trace and its hash: the same for all events of a kind
   * @param who to whom
   */
  schedule(delayMs: number, callback: () => void, label = '', who = ''): () => void {
    const at = this.time + (delayMs > 0 ? delayMs : 0)
    const event: ScheduledEvent = { at, order: this.order++, label, who, callback }
    this.push(event)
    return () => {
      if (event.callback === undefined) return
      event.callback = undefined
      this.cancelled++
    }
  }

  /** Something worth telling that is no event of its own: a fault, a decision. Part of the hash. */
  note(label: string, who = ''): void {
    this.mix(this.time, label, who)
    this.trace?.(line(this.time, label, who))
  }

  /** Equal for two runs in which the same happened at the same times, to the same processes, in the same order. */
  get traceHash(): string {
    return [this.hash1, this.hash2].map(half => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }

  /** What is still to come, by label, most frequent first: what a run that is stuck waits for. */
  pending(): readonly { readonly label: string; readonly count: number; readonly nextMs: number }[] {
    const found = new Map<string, { count: number; nextMs: number }>()
    for (const { at, label, who, callback } of this.heap) {
      if (callback === undefined) continue
      const name = who === '' ? label : `${who} ${label}`
      const known = found.get(name)
      if (known === undefined) found.set(name, { count: 1, nextMs: at })
      else {
        known.count++
        known.nextMs = Math.min(known.nextMs, at)
      }
    }
    return [...found]
      .map(([label, { count, nextMs }]) => ({ label, count, nextMs }))
      .sort((a, b) => b.count - a.count || (a.label < b.label ? -1 : 1))
  }

  /** Rejects with what an event threw. Not to be called while a run goes on. */
  run(limits: RunLimits | (() => boolean)): Promise<RunEnd> {
    const { until, untilMs = Infinity, events = Infinity } = typeof limits === 'function' ? { until: limits } : limits
    return new Promise((resolve, reject) => {
      let count = 0
      const step = (): void => {
        try {
          const end = until?.() === true ? 'until' : count >= events ? 'events' : this.step(untilMs)
          if (end !== undefined) {
            this.running = undefined
            resolve(end)
            return
          }
        } catch (error) {
          reject(error as Error)
          return
        }
        if (++count % eventsPerTurn === 0) setImmediate(step)
        else void settled.then(nextTick)
      }
      const nextTick = (): void => process.nextTick(step)
      // What was scheduled by code that still runs comes first.
      setImmediate(step)
    })
  }

  /** Runs until it settles. Throws when nothing is left that could settle it: it waits on what the world does not know. */
  async complete<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const done = (): void => void (settled = true)
    promise.then(done, done)
    const end = await this.run(() => settled)
    if (end === 'idle' && !settled) throw new Error('it waits on something outside of the world: no event is left')
    return promise
  }

  private step(untilMs: number): RunEnd | undefined {
    let event: ScheduledEvent | undefined
    for (;;) {
      event = this.heap[0]
      if (event === undefined) break
      if (event.callback !== undefined) break
      this.pop()
      this.cancelled--
    }
    if (event === undefined || event.at > untilMs) {
      if (untilMs !== Infinity) this.time = Math.max(this.time, untilMs)
      return event === undefined ? 'idle' : 'time'
    }
    this.pop()
    this.time = event.at
    this.events++
    this.running = undefined
    this.mix(event.at, event.label, event.who)
    this.trace?.(line(event.at, event.label, event.who))
    const callback = event.callback as () => void
    event.callback = undefined
    callback()
    return undefined
  }

  private mix(at: number, label: string, who: string): void {
    let [a, b] = [this.hash1, this.hash2]
    // Microseconds: finer differences would come from the order of additions only.
    const micros = Math.round(at * 1000)
    a = Math.imul(a ^ (micros | 0), 0x01000193)
    b = Math.imul(b ^ Math.floor(micros / 2 ** 32), 0x85ebca6b)
    for (let i = 0; i < label.length; i++) a = Math.imul(a ^ label.charCodeAt(i), 0x01000193)
    for (let i = 0; i < who.length; i++) b = Math.imul(b ^ who.charCodeAt(i), 0x85ebca6b)
    this.hash1 = (a ^ (b >>> 15)) | 0
    this.hash2 = (b ^ (a >>> 13)) | 0
  }

  private push(event: ScheduledEvent): void {
    // Many time-outs are cancelled long before they are due: half of the heap may be such, not more.
    if (this.cancelled > 1024 && this.cancelled > this.heap.length >> 1) this.compact()
    const { heap } = this
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as ScheduledEvent
      if (!before(event, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = event
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop() as ScheduledEvent
    if (heap.length === 0) return
    sink(heap, 0, last)
  }

  private compact(): void {
    this.heap = this.heap.filter(event => event.callback !== undefined)
    this.cancelled = 0
    for (let at = (this.heap.length >> 1) - 1; at >= 0; at--) sink(this.heap, at, this.heap[at] as ScheduledEvent)
  }
}

const line = (at: number, label: string, who: string): string =>
  `${at.toFixed(3)} ${who === '' ? '' : `${who} `}${label}`

const before = (a: ScheduledEvent, b: ScheduledEvent): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Puts `event` at `at` or below. */
function sink(heap: ScheduledEvent[], at: number, event: ScheduledEvent): void {
  const { length } = heap
  for (;;) {
    let child = 2 * at + 1
    if (child >= length) break
    if (child + 1 < length && before(heap[child + 1] as ScheduledEvent, heap[child] as ScheduledEvent)) child++
    const below = heap[child] as ScheduledEvent
    if (!before(below, event)) break
    heap[at] = below
    at = child
  }
  heap[at] = event
}
