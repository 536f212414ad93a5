/**
 * The same small programs for Cairn and for Kafka Streams (KafkaStreamsPeer.java), and their input: event n is a pure function of (seed, n).
 * Some events come late, some too late, ids repeat, and keys pause for longer than a session lasts.
 */
import { Prng } from '../../runtime/kernel/prng.ts'

export const programs = ['count', 'tumbling', 'session', 'dedupe'] as const
export type Program = (typeof programs)[number]

export const sizeMs = 1_000
export const gapMs = 400
export const latenessMs = 600
export const withinMs = 2_000

export interface PeerEvent {
  readonly key: string
  readonly partition: number
  readonly value: number
  readonly timestamp: number
}

const keys = 24
const begin = 1_700_000_000_000
const stepMs = 10

export function peerEvents(seed: number, count: number, partitions: number): PeerEvent[] {
  const random = new Prng(`peers ${seed}`)
  const events = Array.from({ length: count }, (_, n): PeerEvent => {
    // Each key is silent every other two seconds.
    const phase = Math.floor((n * stepMs) / 2_000)
    const key = 2 * random.int(keys / 2) + (phase % 2)
    const delay = [0, 0, 0, 0, 0, 0, 50, 300, 900, 2_500][random.int(10)] ?? 0
    const timestamp = begin + n * stepMs - (delay === 0 ? 0 : random.int(delay))
    return { key: `k${key}`, partition: key % partitions, value: random.int(30), timestamp }
  })
  // Everything before is over, for both.
  const last = begin + count * stepMs + 86_400_000
  const ends = Array.from({ length: partitions }, (_, partition) => {
    return { key: `end${partition}`, partition, value: 0, timestamp: last }
  })
  return [...events, ...ends]
}

export const jobText = (name: string, input: string): string => `
import { Actor, count, job, json, kafka, session, sum, text, tumbling } from 'cairn'
class Count extends Actor {
  n = 0
  receive(event, ctx) { this.n++; ctx.emit({ key: ctx.key, n: this.n }) }
}
const to = program => kafka({ topic: \`${name}-\${program}\`, value: json(), key: row => row.key })
 export default job('${name}', j => {
  const read = ({ key, value }) => ({ key, value: Number(value) })
  const events = j.source('events', kafka({ topic: '${input}', value: text(), read }))
  const keyed = events.keyBy(each => each.key)
  const folds = { n: count(), sum: sum(each => each.value) }
  const lateness = ${latenessMs}
  return {
    count: keyed.actor(Count).to('out-count', to('count')),
    tumbling: keyed.window(tumbling(${sizeMs}), { lateness, name: 'tumbling' }).aggregate(folds).to('out-tumbling', to('tumbling')),
    session: keyed.window(session(${gapMs}), { lateness, name: 'session' }).aggregate(folds).to('out-session', to('session')),
    dedupe: events.dedupe({ id: each => \`\${each.key}/\${each.value}\`, within: ${withinMs} }).to('out-dedupe', to('dedupe'))
  }
}, { interval: '500ms' })
`
