/** Keys in quarantine as people and programs see them: of the running job, or as of a checkpoint. */
import type { Failure, ParkedLine } from '../runtime/core/quarantine.ts'
import { keyIdentity, type Key } from '../runtime/kernel/keys.ts'
import { plainValue } from './plain-value.ts'

/** A parked key of a stage. */
export interface Parked {
  readonly stage: string
  readonly line: ParkedLine
}

/** One key, without what waits. */
export interface QuarantineLine {
  readonly stage: string
  readonly key: Key
  /** Events and timers that wait, the one that failed among them. */
  readonly waiting: number
  readonly attempts: number
  /** When it failed last. */
  readonly since: string
  readonly error: string
}
export interface QuarantineLines {
  /** Those that have waited longest first. */
  readonly keys: readonly QuarantineLine[]
  /** How many there are, shown or not. */
  readonly total: number
  /** The checkpoint it was read from; null = from the running job. */
  readonly epoch: number | null
}
/** One key with what waits, the one that failed first. */
export interface ParkedShown extends QuarantineLine {
  readonly stack: string
  readonly events: readonly WaitingShown[]
  readonly epoch: number | null
}
export interface WaitingShown {
  readonly id: string
  readonly time: number
  /** As `plainValue` writes it. */
  readonly event?: unknown
  readonly timer?: string
  readonly alarm?: string
}

export function quarantineLines(
  parked: readonly Parked[],
  { stage, limit }: { readonly stage?: string | undefined; readonly limit: number },
  epoch: number | null
): QuarantineLines {
  const found = parked
    .filter(each => stage === undefined || each.stage === stage)
    .sort((a, b) => a.line.since - b.line.since)
  return { keys: found.slice(0, limit).map(lineOf), total: found.length, epoch }
}

export function parkedShown(
  parked: readonly Parked[],
  { stage, key, limit }: { readonly stage: string; readonly key: Key; readonly limit: number },
  epoch: number | null
): ParkedShown | null {
  const found = parked.find(each => each.stage === stage && keyIdentity(each.line.key) === keyIdentity(key))
  if (found === undefined) return null
  const { stack, waiting } = found.line
  return { ...lineOf(found), stack, events: waiting.slice(0, limit).map(waitingShown), epoch }
}

function lineOf({ stage, line: { key, waiting, attempts, since, error } }: Parked): QuarantineLine {
  return { stage, key, waiting: waiting.length, attempts, since: timeText(since), error }
}

const timeText = (at: Failure['since']): string => new Date(at).toISOString()

function waitingShown({ handler, argument, time, origin, offset, path }: ParkedLine['waiting'][number]): WaitingShown {
  const shown = { id: `${origin}${offset}${path}`, time }
  if (handler === 'receive') return { ...shown, event: plainValue(argument) }
  return { ...shown, [handler === 'onTimer' ? 'timer' : 'alarm']: String(argument) }
}
