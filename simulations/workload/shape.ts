/** The graph of a workload as data: the job is built from it, and so is the model. */
import type { Item, Row } from './program.ts'

/** One way out of an output. Of the legs of an output exactly one carries the weight; the others are copies of weight 0. */
export interface Leg {
  readonly id: number
  readonly copy: boolean
  /** `split`: in two parts; `thin`: copies only, leaves some out. */
  readonly step: 'pass' | 'split' | 'thin'
  readonly to: { readonly kind: 'stage'; readonly stage: number } | { readonly kind: 'sink'; readonly sink: number }
}

export interface SourceShape {
  readonly name: string
  readonly partitions: number
  readonly boundMs: number
  /** Event time is read from the value; else it is the record's timestamp. */
  readonly ownTime: boolean
  /** Each record belongs to one lane. */
  readonly lanes: readonly (readonly Leg[])[]
}

interface StageBase {
  readonly index: number
  readonly name: string
  readonly main: readonly Leg[]
}
export interface ActorShape extends StageBase {
  readonly kind: 'actor'
  readonly onError: 'fail' | 'dead-letter'
  readonly sends: readonly number[]
  readonly next: readonly Leg[]
  readonly maps: boolean
  readonly alarms: boolean
  readonly sleeps: boolean
}
export interface WindowShape extends StageBase {
  readonly kind: 'window'
  readonly window: 'tumbling' | 'sliding' | 'session'
  readonly contents: 'aggregate' | 'collect'
  /** Of a session: the gap. */
  readonly sizeMs: number
  readonly everyMs: number
  readonly offsetMs: number
}
export interface DedupeShape extends StageBase {
  readonly kind: 'dedupe'
  readonly withinMs: number
}
export type StageShape = ActorShape | WindowShape | DedupeShape

export interface SinkShape {
  readonly name: string
  readonly delivery: 'exactly-once' | 'at-least-once'
  readonly keyed: boolean
  readonly partitions: number
}

/**
 * A window stage of its own that gets events later than their source allows. Whether one counts depends on the interleaving, so the
 * model leaves it out; that it counts once, or is told late, and that no window fires twice, does not.
 */
export interface StraysShape {
  readonly name: string
  readonly source: number
  readonly sizeMs: number
  /** A window that is over takes events for so long, and fires again for each. */
  readonly latenessMs: number
  readonly sink: string
  readonly lateSink: string
}

/** An actor stage of its own with a time to live, by event time: see `fleeting.ts`. */
export interface FleetingShape {
  readonly name: string
  readonly source: number
  readonly sink: string
  readonly afterMs: number
  readonly since: 'last-event' | 'created'
}

/** The lane of a stray record: it goes nowhere else. */
export const strayLane = -1

export interface Shape {
  readonly job: string
  readonly sources: readonly SourceShape[]
  /** An item only ever goes to a stage of a greater index, but for sends in cycles. */
  readonly stages: readonly StageShape[]
  readonly sinks: readonly SinkShape[]
  /** Sink of what rang; at most once each. */
  readonly alarmSink: string | undefined
  /** Sink of what windows found late: nothing. */
  readonly lateSink: string | undefined
  readonly strays: StraysShape | undefined
  readonly fleeting: FleetingShape | undefined
  readonly parallelism: number
  readonly slots: number
  readonly keyGroups: number
  readonly intervalMs: number
  /** What came through a loop may arm timers, and so behind the watermark: what a checkpoint must hold is then not known exactly. */
  readonly lateTimers: boolean
}

/** What becomes of an item on a leg; the functions of the job's map, flatMap and filter. */
export function enterLeg(item: Item, leg: Leg): Item {
  const from = item.from === '' ? '' : `${item.from}#${leg.id}`
  return leg.copy ? { ...item, id: `${item.id}*${leg.id}`, from, w: 0, ops: [] } : { ...item, from }
}

export function splitItem(item: Item): Item[] {
  const half = item.w >> 1
  return [
    { ...item, id: `${item.id}/0`, seq: 2 * item.seq, w: item.w - half },
    { ...item, id: `${item.id}/1`, seq: 2 * item.seq + 1, w: half, ops: [] }
  ]
}

export function isThick(item: Item): boolean {
  return item.id.length % 3 !== 0
}

export function rowOf(item: Item, leg: Leg): Row {
  const { id, from, seq, key, w, v, agg } = item
  return { id, from, seq, key, w, v, leg: leg.id, ...(agg === undefined ? {} : { agg }) }
}

export function throughLeg(item: Item, leg: Leg): Item[] {
  const entered = enterLeg(item, leg)
  if (leg.step === 'split') return splitItem(entered)
  return leg.step === 'thin' && !isThick(entered) ? [] : [entered]
}

/** What a window stage says of one window. */
export function windowItem(
  stage: string,
  key: string,
  window: { readonly start: number; readonly end: number },
  totals: { readonly n: number; readonly w: number; readonly h: number; readonly top: number; readonly low: number }
): Item {
  const { n, w, h, top, low } = totals
  return {
    id: `${stage}:${key}@${window.start}-${window.end}`,
    from: `${stage}:${key}`,
    seq: window.end,
    key,
    owner: '',
    w,
    v: top,
    ops: [],
    agg: [n, h, top, low]
  }
}

/** The leg that carries the weight. */
export function realLeg(legs: readonly Leg[]): Leg | undefined {
  return legs.find(leg => !leg.copy)
}

/** Stages that `from` leads to, itself among them. */
export function reachedFrom(edges: readonly (readonly number[])[], from: number): number[] {
  const found = [from]
  for (let i = 0; i < found.length; i++)
    for (const to of edges[found[i] as number] ?? []) if (!found.includes(to)) found.push(to)
  return found
}

/** `from>to` of each send that is part of a loop: what it brings may be late. */
export function sendsInLoops(shape: Shape): ReadonlySet<string> {
  const edges = shape.stages.map(stage => (stage.kind === 'actor' ? stage.sends : []))
  const found = new Set<string>()
  edges.forEach((sends, from) => {
    for (const to of sends) if (reachedFrom(edges, to).includes(from)) found.add(`${from}>${to}`)
  })
  return found
}
