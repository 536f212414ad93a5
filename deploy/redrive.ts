/**
 * Sends dead letters to the job again: the record of the source that a letter names is appended to the source's own topic once more, as it is
 * (key, value, headers, timestamp), with one header that names where it came from. `redrive-log.ts` and `redrive-kafka.ts` say why none is sent
 * twice.
 */
import type { Plan } from '../actors/plan.ts'
import { TopicPartitions } from '../runtime/adapters/kafka/topic-partitions.ts'
import { recordOf } from '../runtime/core/dead-letter.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { deadLetters, type Letter, type LetterPlaces } from './dead-letters.ts'
import { KafkaTargets } from './redrive-kafka.ts'
import { LogTargets } from './redrive-log.ts'
import type { KafkaPlace, LogPlace, RedriveQuery, RefusedLetter, Tally } from './redriven-record.ts'

export interface Redriven {
  /** How many letters were looked at. */
  readonly read: number
  /** Ids of records that were sent again, source/partition/position; with `dryRun` those that would be. */
  readonly redriven: readonly string[]
  /** What its topic does not take. Everything else is redriven all the same. */
  readonly refused: readonly RefusedLetter[]
  /** Letters whose record was redriven before. */
  readonly already: number
  /** Letters of timers and alarms: no record of a source set them off. */
  readonly noRecord: number
  /** Letters whose source is no topic, or does not read theirs any more. */
  readonly elsewhere: number
  /** Letters whose record is not in the topic any more. */
  readonly gone: number
}

export interface RedrivePlaces extends LetterPlaces {
  readonly probe?: ((point: string) => void) | undefined
}

/** How far a redrive is. */
export interface RedriveProgress {
  readonly read: number
  readonly redriven: number
  readonly refused: number
}

const underWay = new Map<string, Tally>()

/** Of the redrive of the job that this process carries out now. */
export function redriveProgress(job: string): RedriveProgress | undefined {
  const tally = underWay.get(job)
  return tally && { read: tally.read, redriven: tally.redriven.length, refused: tally.refused.length }
}

/** One at a time: two would both find that a record was not redriven yet, or fence each other. */
const queues = new Map<string, Promise<unknown>>()

export function redrive(job: string, plan: Plan, places: RedrivePlaces, query: RedriveQuery): Promise<Redriven> {
  const before = queues.get(job) ?? Promise.resolve()
  const own = before.catch(() => undefined).then(() => carryOut(job, plan, places, query))
  queues.set(job, own)
  return own
}

async function carryOut(job: string, plan: Plan, places: RedrivePlaces, query: RedriveQuery): Promise<Redriven> {
  const { log, kafka, probe } = places
  const tally: Tally = { read: 0, redriven: [], refused: [], already: 0, noRecord: 0, elsewhere: 0, gone: 0 }
  const targets = { log: new LogTargets(log, query), kafka: new KafkaTargets(kafka, query, probe) }
  underWay.set(job, tally)
  try {
    for await (const letter of deadLetters(job, plan, places, query)) {
      const place = placeOf(letter, plan)
      tally.read++
      if (typeof place === 'string') {
        if (query.id !== undefined) throw cannot(query.id, place)
        tally[place]++
      } else if (isInLog(place)) targets.log.take(place)
      else await targets.kafka.take(place, tally)
    }
    if (query.id !== undefined && tally.read === 0) throw noLetter(job, query.id)
    await targets.kafka.finish(tally)
    await targets.log.finish(tally)
    return tally
  } finally {
    underWay.delete(job)
    await targets.kafka.close()
  }
}

const isInLog = (place: LogPlace | KafkaPlace): place is LogPlace => place.source.connector === 'log'

function placeOf(letter: Letter, plan: Plan): LogPlace | KafkaPlace | 'noRecord' | 'elsewhere' {
  const [, name = '', partition, offset] = /^([^/]+)\/([0-9]+)\/([0-9]+)(?:\/|$)/.exec(String(letter['id'])) ?? []
  const node = plan.nodes.find(each => each.kind === 'source' && each.name === name)
  if (node?.kind !== 'source') return 'noRecord'
  const { source } = node
  if (source.connector !== 'log' && source.connector !== 'kafka') return 'elsewhere'
  const [record, time] = [recordOf(letter), letter['time']]
  if (record !== undefined && !new TopicPartitions(source.topic).reads(record.topic)) return 'elsewhere'
  const place = {
    id: `${name}/${partition}/${offset}`,
    name,
    partition: Number(partition),
    offset: Number(offset),
    held: record === undefined ? undefined : { ...record, timestamp: typeof time === 'number' ? time : NaN }
  }
  return source.connector === 'log' ? { ...place, source } : { ...place, source }
}

const reasons = {
  noRecord: [
    () => 'no record of a source of the job set it off',
    'A timer or an alarm has no record to send again: choose other letters.'
  ],
  elsewhere: [
    name => `source "${name}" reads no topic that could take the record`,
    'Correct its input, and let the job read that; the letter stays where it is.'
  ]
} satisfies Record<'noRecord' | 'elsewhere', readonly [(source: string) => string, string]>

function cannot(id: string, why: keyof typeof reasons): CodedError {
  const name = id.split('/')[0]
  const [reason, remedy] = reasons[why]
  return new CodedError('OPTION_INVALID', `--id ${id}: this dead letter cannot be redriven: ${reason(name ?? '')}`, {
    remedy
  })
}

export function noLetter(job: string, id: string): CodedError {
  return new CodedError('NOT_FOUND', `job "${job}" has no dead letter of event "${id}"`, {
    remedy: `\`cairn dead-letters list ${job}\` shows what there is.`
  })
}

/** Names of sources are in the job file only. */
export function needsPlan(job: string): CodedError {
  return new CodedError(
    'USAGE',
    `redrive needs to know the sources of job "${job}", which does not run: give its job file`
  )
}
