/** How a keyed stream is cut into windows: pure data, made by `tumbling`, `sliding`, `session` and `global`. */
import { formatDuration, parseDuration, type Duration } from '../runtime/kernel/durations.ts'

export interface Window {
  readonly kind: 'tumbling' | 'sliding' | 'session' | 'global'
  readonly sizeMs: number
  readonly everyMs: number
  readonly gapMs: number
  readonly offsetMs: number
  readonly time: 'event' | 'processing'
  /** What is wrong with the arguments; reported with the plan's other errors. */
  readonly problems: readonly string[]
}

export interface WindowTimeOptions {
  /** `event` (default) or the wall clock. */
  readonly time?: 'event' | 'processing'
}
export interface AlignedWindowOptions extends WindowTimeOptions {
  /** Windows start at `offset + k × size` (or `every`) ms since 1970; may be negative. Default 0: midnights of UTC. */
  readonly offset?: Duration
}

export interface WindowOptions {
  /** How long after its end a window still takes late events, firing again for each. Default 0. */
  readonly lateness?: Duration
  /**
   * Results before the end, each the full result so far: so long (wall clock) after a change, or at every n-th event of the
   * window. Default: none.
   */
  readonly trigger?: { readonly early?: Duration | { readonly every: number } }
  /** Stable identity of the stored state; default `<origin>-window`. */
  readonly name?: string
}

/** `early` firings come before the end, `on-time` once the watermark has reached it, `late` for each late event after. */
export type Firing = 'early' | 'on-time' | 'late'

/** A window of one key: [start, end) in ms since 1970. Of a global window they are -Infinity and Infinity (JSON: null). */
export interface Windowed<K> {
  readonly key: K
  readonly start: number
  readonly end: number
  readonly firing: Firing
}

export interface ResolvedTrigger {
  readonly earlyMs: number | undefined
  readonly every: number | undefined
}

/** [k × size, (k + 1) × size): every event is in one window. */
export function tumbling(size: Duration, options: AlignedWindowOptions = {}): Window {
  return make('tumbling', { size }, options)
}

/** Windows of `size`, one starting each `every`: an event is in size / every of them (none, where `every` leaves gaps). */
export function sliding(size: Duration, every: Duration, options: AlignedWindowOptions = {}): Window {
  return make('sliding', { size, every }, options)
}

/**
 * Windows of activity: an event at t opens [t, t + gap); windows that overlap or touch become one, as Flink's
 * `TimeWindow.mergeWindows`. A window that is over but not purged (lateness) may be extended, and then fires again at its new end.
 */
export function session(gap: Duration, options: WindowTimeOptions = {}): Window {
  return make('session', { gap }, options)
}

/** One window that never ends: needs an early trigger; fires on time only when the input ends. */
export function global(): Window {
  return make('global', {}, {})
}

function make(
  kind: Window['kind'],
  lengths: { readonly size?: Duration; readonly every?: Duration; readonly gap?: Duration },
  options: AlignedWindowOptions
): Window {
  const problems: string[] = []
  const take = (what: string, duration: Duration | undefined): number => {
    if (duration === undefined) return 0
    const ms = whole(duration, `${kind}: ${what}`, problems)
    if (ms === 0) problems.push(`${kind}: ${what} is 0; it must be longer`)
    return ms
  }
  const sizeMs = take('size', lengths.size)
  const everyMs = kind === 'tumbling' ? sizeMs : take('every', lengths.every)
  const gapMs = take('gap', lengths.gap)
  const { offset = 0, time = 'event' } = options
  const offsetMs =
    typeof offset === 'number' && offset < 0
      ? -whole(-offset, `${kind}: offset`, problems)
      : whole(offset, `${kind}: offset`, problems)
  if (time !== 'event' && time !== 'processing')
    problems.push(`${kind}: time is ${JSON.stringify(time)}; it is 'event' or 'processing'`)
  return { kind, sizeMs, everyMs, gapMs, offsetMs, time, problems }
}

/** Longer ones added to the latest time there is (±8.64e15 ms, of a Date) would leave the safe integers. */
const longestMs = 1e14
/** A key may hold so many panes, and a firing merges as many: more would make one event cost a pause. */
const mostPanes = 10_000

function whole(duration: Duration, what: string, problems: string[]): number {
  try {
    const ms = parseDuration(duration, what)
    if (Number.isInteger(ms) && ms <= longestMs) return ms
    problems.push(`${what} is ${JSON.stringify(duration)}; it must be a whole number of ms, at most ${longestMs}`)
  } catch (error) {
    problems.push((error as Error).message)
  }
  return 1
}

export function paneSizeMs(window: Window): number {
  let [a, b] = [window.sizeMs, window.everyMs]
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

export interface ResolvedWindowOptions {
  readonly latenessMs: number
  readonly trigger: ResolvedTrigger
}

/** Base units, and one sentence per mistake in the window and its options; [] = it can run. */
export function resolveWindow(
  window: Window,
  options: WindowOptions
): ResolvedWindowOptions & { readonly problems: readonly string[] } {
  const problems = [...window.problems]
  for (const name of Object.keys(options))
    if (!['lateness', 'trigger', 'name'].includes(name))
      problems.push(`option "${name}" is unknown; a window takes lateness, trigger and name`)
  const latenessMs = whole(options.lateness ?? 0, 'lateness', problems)
  let earlyMs: number | undefined
  let every: number | undefined
  const early = options.trigger?.early
  if (typeof early === 'object') {
    every = early.every
    if (!Number.isSafeInteger(every) || every < 1)
      problems.push(`trigger.early.every is ${String(every)}; it must be a whole number from 1`)
  } else if (early !== undefined) {
    earlyMs = whole(early, 'trigger.early', problems)
    if (earlyMs === 0) problems.push('trigger.early is 0; for a result at every event write { every: 1 }')
  }
  const trigger = { earlyMs, every }
  if (problems.length === 0) problems.push(...checkWindow(window, { latenessMs, trigger }))
  return { latenessMs, trigger, problems }
}

/** What cannot run though each number is right by itself. */
export function checkWindow(window: Window, options: ResolvedWindowOptions): string[] {
  const problems: string[] = []
  const { latenessMs, trigger } = options
  if (window.kind === 'global') {
    if (trigger.earlyMs === undefined && trigger.every === undefined)
      problems.push('a global window never ends: give it trigger: { early: … }')
    if (latenessMs > 0) problems.push('a global window never ends, so nothing is late: leave lateness out')
  }
  if (window.time === 'processing' && latenessMs > 0)
    problems.push('nothing is late on processing time: leave lateness out')
  if (window.kind === 'sliding') {
    const panes = window.sizeMs / paneSizeMs(window)
    if (panes > mostPanes)
      problems.push(
        `${describeWindow(window)} needs ${panes} panes a window (size and every share ${paneSizeMs(window)} ms); at most ${mostPanes}: make them multiples of a longer time`
      )
  }
  return problems
}

/** For people and for the stored identity of the state: `sliding(1h, 5m)`. */
export function describeWindow(window: Window): string {
  const parts: string[] = []
  if (window.sizeMs > 0) parts.push(formatDuration(window.sizeMs))
  if (window.kind === 'sliding') parts.push(formatDuration(window.everyMs))
  if (window.kind === 'session') parts.push(formatDuration(window.gapMs))
  if (window.offsetMs !== 0) parts.push(`offset ${formatDuration(window.offsetMs)}`)
  if (window.time === 'processing') parts.push('processing time')
  return `${window.kind}(${parts.join(', ')})`
}

export function describeOptions(options: ResolvedWindowOptions): string {
  const { earlyMs, every } = options.trigger
  return [
    options.latenessMs > 0 ? `, lateness ${formatDuration(options.latenessMs)}` : '',
    earlyMs === undefined ? '' : `, early after ${formatDuration(earlyMs)}`,
    every === undefined ? '' : `, early at every ${every} events`
  ].join('')
}
