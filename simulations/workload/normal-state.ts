/** State of one key in a form in which the model's and a checkpoint's can be compared as text. */
import type { Pending } from './program-actor.ts'

export interface ActorFields {
  readonly count: number
  readonly hash: number
  readonly kept: number
  readonly emitted: number
  readonly violation: string
  readonly sent: ReadonlyMap<string, number>
  readonly registers: ReadonlyMap<string, number>
  readonly pending: ReadonlyMap<string, Pending>
  readonly alarms: ReadonlyMap<string, number>
  readonly rang: ReadonlySet<string>
}

const sorted = <V>(entries: Iterable<readonly [string, V]>): (readonly [string, V])[] =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

/** When an alarm rings depends on the wall clock: what rang and what is still armed count alike. */
export function normalActor(fields: ActorFields, map: Iterable<readonly [string, number]>): string {
  let kept = fields.kept
  for (const w of fields.alarms.values()) kept += w
  return JSON.stringify({
    count: fields.count,
    hash: fields.hash,
    kept,
    emitted: fields.emitted,
    violation: fields.violation,
    registers: sorted(fields.registers),
    sent: sorted(fields.sent),
    pending: sorted(fields.pending).map(([name, { at, program }]) => [name, at, program.id, program.w]),
    alarms: [...fields.alarms.keys(), ...fields.rang].sort(),
    map: sorted(map)
  })
}

/** What an actor holds. */
export function weightOfActor(fields: ActorFields, map: Iterable<readonly [string, number]>): number {
  let weight = fields.kept
  for (const w of fields.alarms.values()) weight += w
  for (const { program } of fields.pending.values()) weight += program.w
  for (const [, w] of map) weight += w
  return weight
}

/** Of the events that a key's open windows hold, each once. */
export interface HeldTotals {
  readonly n: number
  readonly w: number
  readonly h: number
}

export function normalWindow({ n, w, h }: HeldTotals): string {
  return JSON.stringify({ n, w, h })
}

export function normalDedupe(until: number): string {
  return JSON.stringify({ until })
}
