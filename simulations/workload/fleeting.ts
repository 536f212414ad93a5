/**
 * An actor that is forgotten after a while, and what it must have said and must hold. Its keys are paths on which order is kept (one
 * partition, one key), so that what is forgotten, and when, does not depend on the interleaving.
 */
import { Actor, type ActorClass, type Context } from '../../actors/actor.ts'
import { addHash, type SourceRecord } from './program.ts'
import type { Inputs } from './random-inputs.ts'
import { strayLane, type FleetingShape } from './shape.ts'

/** What its sink gets for each event. */
export interface FleetingRow {
  readonly id: string
  readonly key: string
  /** Since it was last forgotten. */
  readonly count: number
  readonly hash: number
  readonly from: ''
  readonly w: 0
}
export interface FleetingEvent {
  readonly id: string
  readonly key: string
}

export const fleetingKey = ({ partition, key }: Pick<SourceRecord, 'partition' | 'key'>): string =>
  `${partition}/${key}`
/** A record may come twice, and each time it is another event. */
export const fleetingId = ({ partition, seq }: Pick<SourceRecord, 'partition' | 'seq'>): string => `${partition}/${seq}`

export function fleetingActor({ name, afterMs, since }: FleetingShape): ActorClass {
  return class extends Actor {
    static readonly actorName = name
    static readonly ttl = { after: afterMs, since }
    count = 0
    hash = 0

    override receive({ id }: FleetingEvent, ctx: Context<FleetingRow>): void {
      this.count++
      this.hash = addHash(this.hash, id)
      ctx.emit({ id, key: ctx.key, count: this.count, hash: this.hash, from: '', w: 0 })
    }
  }
}

interface Held {
  count: number
  hash: number
  created: number
  last: number
}

export class FleetingModel {
  /** By id of the event. */
  readonly rows = new Map<string, FleetingRow>()
  private readonly shape: FleetingShape
  private readonly inputs: Inputs
  private readonly positions: number[]
  private readonly held = new Map<string, Held>()

  constructor(shape: FleetingShape, inputs: Inputs) {
    this.shape = shape
    this.inputs = inputs
    this.positions = (inputs[shape.source] ?? []).map(() => 0)
  }

  /** Takes the records before `upTo` that were not taken yet; answers the keys that they are for. */
  feed(upTo: (source: number, partition: number) => number): Set<string> {
    const { source } = this.shape
    const touched = new Set<string>()
    this.inputs[source]?.forEach((records, partition) => {
      const to = Math.min(records.length, upTo(source, partition))
      for (let i = this.positions[partition] ?? 0; i < to; i++) {
        const record = records[i]?.record
        if (record !== undefined && record.lane !== strayLane) touched.add(this.take(record))
      }
      this.positions[partition] = Math.max(this.positions[partition] ?? 0, to)
    })
    return touched
  }

  private take(record: SourceRecord): string {
    const [key, id, { at }] = [fleetingKey(record), fleetingId(record), record]
    let held = this.held.get(key)
    if (held === undefined || this.expiresAt(held) <= at)
      this.held.set(key, (held = { count: 0, hash: 0, created: at, last: at }))
    held.last = Math.max(held.last, at)
    held.count++
    held.hash = addHash(held.hash, id)
    this.rows.set(id, { id, key, count: held.count, hash: held.hash, from: '', w: 0 })
    return key
  }

  /** What a key holds once event time has got there for it; undefined: it is forgotten. */
  stateOf(key: string, watermark: number): string | undefined {
    const held = this.held.get(key)
    return held === undefined || this.expiresAt(held) <= watermark ? undefined : fleetingText(held)
  }

  private expiresAt({ created, last }: Held): number {
    return (this.shape.since === 'created' ? created : last) + this.shape.afterMs
  }
}

export const fleetingText = ({ count, hash }: { readonly count: number; readonly hash: number }): string =>
  JSON.stringify({ count, hash })
