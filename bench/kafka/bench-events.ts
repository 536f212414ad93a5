/** The events of the bench, and Cairn's job over them. */

export const partitions = 4
const keys = 10_000
const encoder = new TextEncoder()

export interface BenchEvent {
  readonly partition: number
  readonly timestamp: number
  readonly key: undefined
  readonly value: Uint8Array
}

export const keyOfEvent = (n: number): string => `k${n % keys}`

export function benchEvent(n: number, at: number): BenchEvent {
  const value = encoder.encode(JSON.stringify({ key: keyOfEvent(n), at }))
  return { partition: n % partitions, timestamp: at, key: undefined, value }
}

/** Counts by key and passes each event on, with the time at which it was made. Reads the declared fields, as all contenders do. */
export const jobText = (name: string, from: string, to: string, delivery: string, interval: string): string => `
import { Actor, job, json, kafka } from 'cairn'
class Count extends Actor {
  n = 0
  receive({ key, at }, ctx) { this.n++; ctx.emit({ key, at, n: this.n }) }
}
 export default job('${name}', j => ({
  out: j.source('in', kafka({ topic: '${from}', value: json.fields({ key: 'string', at: 'number' }) })).keyBy(each => each.key).actor(Count, { name: 'Count' })
    .to('out', kafka({ topic: '${to}', value: json(), key: each => each.key }), { delivery: '${delivery}' })
}), { interval: '${interval}' })
`
