/**
 * Sends dead letters to the job again: the record of the source that a letter names is appended to the source's own topic once more, as
 * it is there (key, value, headers, timestamp), with one header that names where it came from.
 *
 * That header is the mark of progress: what is found behind it in the topic was redriven already. So nothing is redriven twice, after a
 * crash in the middle too.
 */
import type { Plan } from '../actors/plan.ts'
import type { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { OutputRecord } from '../runtime/ports/log.ts'
import { readDeadLetters, type Letter, type LetterFilter } from './dead-letters.ts'

export const redrivenHeader = 'cairn-redriven'

export interface RedriveQuery extends LetterFilter {
  /** The oldest so many records. */
  readonly limit: number
  /** Say what would be done. */
  readonly dryRun: boolean
}
export interface Redriven {
  /** Ids of records that were sent again, source/partition/position; with `dryRun` those that would be. */
  readonly redriven: readonly string[]
  /** Letters whose record was redriven before. */
  readonly already: number
  /** Letters of timers and alarms: no record of a source set them off. */
  readonly noRecord: number
  /** Letters whose source is no topic of the job's log. */
  readonly elsewhere: number
  /** Letters whose record is not in the topic any more. */
  readonly gone: number
}

/** A record of a source, in the topic that it was read from. */
interface Place {
  readonly id: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
}
/** By topic and partition. */
type Places = Map<string, Place[]>

const fetchBytes = 1024 * 1024
/** One at a time: two would both find that a record was not redriven yet. */
const queues = new WeakMap<EmbeddedLog, Promise<unknown>>()

export function redrive(job: string, plan: Plan, log: EmbeddedLog, query: RedriveQuery): Promise<Redriven> {
  const before = queues.get(log) ?? Promise.resolve()
  const own = before.catch(() => undefined).then(() => carryOut(job, plan, log, query))
  queues.set(log, own)
  return own
}

async function carryOut(job: string, plan: Plan, log: EmbeddedLog, query: RedriveQuery): Promise<Redriven> {
  const { letters } = await readDeadLetters(job, plan, work => work(log), { ...query, limit: Infinity })
  const places: Places = new Map()
  const counts = { already: 0, noRecord: 0, elsewhere: 0, gone: 0 }
  const seen = new Map<string, number>()
  for (const letter of letters) {
    const place = placeOf(letter, plan)
    if (typeof place === 'string') counts[place]++
    else {
      // A record may have several letters, of several stages: it is sent once.
      seen.set(place.id, (seen.get(place.id) ?? 0) + 1)
      if (seen.get(place.id) !== 1) continue
      const key = `${place.topic}/${place.partition}`
      places.set(key, [...(places.get(key) ?? []), place])
    }
  }
  const redriven: string[] = []
  for (const wanted of places.values()) {
    const { found, before } = await look(log, wanted)
    const records: OutputRecord[] = []
    for (const { id, offset, partition } of wanted) {
      const record = found.get(offset)
      if (before.has(id)) counts.already += seen.get(id) ?? 0
      else if (record === undefined) counts.gone += seen.get(id) ?? 0
      else if (redriven.length < query.limit) {
        redriven.push(id)
        const headers = (record.headers ?? []).filter(({ name }) => name !== redrivenHeader)
        headers.push({ name: redrivenHeader, value: new TextEncoder().encode(id) })
        records.push({ ...record, partition, headers })
      }
    }
    const [{ topic, partition }] = wanted as [Place]
    if (!query.dryRun && records.length > 0) await log.append(topic, partition, records)
  }
  return { redriven, ...counts }
}

function placeOf({ id }: Letter, plan: Plan): Place | 'noRecord' | 'elsewhere' {
  const [, name, partition, offset] = /^([^/]+)\/([0-9]+)\/([0-9]+)(?:\/|$)/.exec(String(id)) ?? []
  const node = plan.nodes.find(each => each.kind === 'source' && each.name === name)
  if (node?.kind !== 'source') return 'noRecord'
  if (node.source.connector !== 'log') return 'elsewhere'
  const record = `${name}/${partition}/${offset}`
  return { id: record, topic: node.source.topic, partition: Number(partition), offset: Number(offset) }
}

/** The wanted records of one partition, and the ids of what was redriven into it. */
async function look(
  log: EmbeddedLog,
  wanted: readonly Place[]
): Promise<{ readonly found: ReadonlyMap<number, OutputRecord>; readonly before: ReadonlySet<string> }> {
  const [{ topic, partition }] = wanted as [Place]
  const offsets = new Set(wanted.map(({ offset }) => offset))
  const found = new Map<number, OutputRecord>()
  const before = new Set<string>()
  if (partition >= (log.topic(topic)?.partitions ?? 0)) return { found, before }
  const reader = log.reader(topic)
  // A record that was redriven lies behind itself.
  for (let position = Math.min(...offsets); ;) {
    const fetched = await reader.fetch(partition, position, fetchBytes, 0)
    if (fetched.kind !== 'records') break
    const { batch } = fetched
    for (let i = 0; i < batch.count; i++) {
      const headers = batch.headers?.(i) ?? []
      for (const { name, value } of headers)
        if (name === redrivenHeader && value !== undefined && value !== null)
          before.add(new TextDecoder().decode(value))
      if (!offsets.has(batch.offset(i))) continue
      const [key, value] = [batch.key(i), batch.value(i)]
      found.set(batch.offset(i), { partition, timestamp: batch.timestamp(i), key, value, headers: [...headers] })
    }
    position = fetched.next
  }
  await reader.close()
  return { found, before }
}

/** Names of sources are in the job file only. */
export function needsPlan(job: string): CodedError {
  return new CodedError(
    'USAGE',
    `redrive needs to know the sources of job "${job}", which does not run: give its job file`
  )
}
