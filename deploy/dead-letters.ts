/** Reads the dead letters that a job has published. Changes nothing. */
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { json } from '../actors/codecs.ts'
import type { SinkSpec } from '../actors/connectors.ts'
import type { Plan } from '../actors/plan.ts'
import type { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import { readLetter } from '../runtime/core/dead-letter.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { readableBytes } from '../runtime/kernel/readable-bytes.ts'
import type { LogReader } from '../runtime/ports/log.ts'
import type { KafkaSide } from './kafka.ts'
import { plainValue } from './plain-value.ts'

/** As the sink holds it; a job may encode its letters as it likes, so nothing is certain. */
export type Letter = Readonly<Record<string, unknown>>

const fetchBytes = 1024 * 1024

export interface Letters {
  /** Oldest first. */
  readonly letters: readonly Letter[]
  /** How many there are that match, shown or not. */
  readonly total: number
}

export interface LetterFilter {
  /** Of the event: source/partition/position. */
  readonly id?: string | undefined
  readonly stage?: string | undefined
  /** A part of the error's message. */
  readonly error?: string | undefined
  /** Event times, ms: from (inclusive), to (exclusive). */
  readonly since?: number | undefined
  readonly until?: number | undefined
}
export interface LetterQuery extends LetterFilter {
  /** The newest so many. */
  readonly limit: number
}

/** Where letters may be. */
export interface LetterPlaces {
  /** Undefined: the job has none. */
  readonly log: EmbeddedLog | undefined
  readonly kafka: KafkaSide
}

/** @param plan says where they go; where it is not known, the default topic */
export async function readDeadLetters(
  job: string,
  plan: Plan | undefined,
  places: LetterPlaces,
  query: LetterQuery
): Promise<Letters> {
  const kept: Letter[] = []
  let total = 0
  for await (const letter of deadLetters(job, plan, places, query)) {
    total++
    if (kept.push(letter) > query.limit) kept.shift()
  }
  return { letters: kept, total }
}

/** Those that match, and were there when it began: oldest first in each partition of a topic. Of a topic of several jobs the job's own. */
export async function* deadLetters(
  job: string,
  plan: Plan | undefined,
  { log, kafka }: LetterPlaces,
  filter: LetterFilter
): AsyncGenerator<Letter> {
  const spec = plan?.deadLetters
  const all =
    spec?.connector === 'files'
      ? lettersInFolder(resolve(spec.folder), spec.codec)
      : spec?.connector === 'kafka'
        ? lettersInTopic(kafka.records('the topic of dead letters', spec), spec.codec)
        : spec === undefined || spec.connector === 'log'
          ? lettersInLog(log, spec?.topic ?? `${job}-dead-letters`, spec?.codec ?? json())
          : undefined
  if (all === undefined)
    throw new CodedError(
      'NOT_FOUND',
      `the dead letters of job "${job}" go to the connector "${spec?.connector}", which cannot be read from here`
    )
  for await (const { job: of = job, ...letter } of all) if (of === job && matches(letter, filter)) yield letter
}

/** No job has dead letters somewhere else than in its log, as far as is known without its file. */
export function lettersAreInLog(plan: Plan | undefined): boolean {
  return plan === undefined || plan.deadLetters.connector === 'log'
}

function matches(letter: Letter, { id, stage, error, since = -Infinity, until = Infinity }: LetterFilter): boolean {
  if (id !== undefined && letter['id'] !== id) return false
  if (stage !== undefined && letter['stage'] !== stage) return false
  if (error !== undefined && !String(letter['error']).includes(error)) return false
  if (since === -Infinity && until === Infinity) return true
  const time = Number(letter['time'])
  return time >= since && time < until
}

async function* lettersInLog(
  log: EmbeddedLog | undefined,
  topic: string,
  codec: SinkSpec['codec']
): AsyncGenerator<Letter> {
  if (log?.topic(topic) !== undefined) yield* lettersInTopic(log.reader(topic), codec)
}

async function* lettersInTopic(reader: LogReader, codec: SinkSpec['codec']): AsyncGenerator<Letter> {
  try {
    const { length } = await reader.partitions()
    // What comes later may come of what is done about these.
    const ends = await Promise.all(Array.from({ length }, (_, partition) => reader.start(partition, 'latest')))
    for (const [partition, end] of ends.entries())
      for (let position = await reader.start(partition, 'earliest'); position < end;) {
        const fetched = await reader.fetch(partition, position, fetchBytes, 0)
        if (fetched.kind !== 'records') break
        const { batch } = fetched
        for (let i = 0; i < batch.count && batch.offset(i) < end; i++) {
          const [key, value, headers] = [batch.key(i), batch.value(i), batch.headers?.(i) ?? []]
          if (value !== undefined || headers.length > 0) yield letterOf({ key, value, headers }, codec)
        }
        position = fetched.next
      }
  } finally {
    await reader.close()
  }
}

async function* lettersInFolder(folder: string, codec: SinkSpec['codec']): AsyncGenerator<Letter> {
  for (const name of await publishedFiles(folder)) {
    const bytes = await readFile(join(folder, name))
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(0x0a, from)
      const line = bytes.subarray(from, end < 0 ? bytes.length : end)
      from += line.length + 1
      yield letterOf({ key: undefined, value: line }, codec)
    }
  }
}

/** What no codec of the job can read may be another program's. */
function letterOf(record: Parameters<typeof readLetter>[0], codec: SinkSpec['codec']): Letter {
  let value: unknown
  try {
    value = readLetter(record, codec)
  } catch {
    return { letter: readableBytes(record.value) }
  }
  const plain = plainValue(value)
  return typeof plain === 'object' && plain !== null && !Array.isArray(plain) ? (plain as Letter) : { letter: plain }
}

/** In the order of publication: epoch, chunk, and then slot. */
async function publishedFiles(folder: string): Promise<string[]> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    throw new CodedError('STORAGE_FAILED', `dead letters in "${folder}" cannot be listed: ${code}`, { cause })
  }
  return names
    .flatMap(name => {
      const match = /^\d{3}-(.+-\d{3})-(\d{12}-\d{6})(?:-last)?\.ndjson$/.exec(name)
      return match === null ? [] : [{ name, order: `${match[2]} ${match[1]}` }]
    })
    .sort((a, b) => (a.order < b.order ? -1 : 1))
    .map(({ name }) => name)
}
