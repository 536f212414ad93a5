/** Reads the dead letters that a job has published. Changes nothing. */
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { json } from '../actors/codecs.ts'
import type { SinkSpec } from '../actors/connectors.ts'
import type { Plan } from '../actors/plan.ts'
import type { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { plainValue } from './plain-value.ts'

/** As the sink holds it; a job may encode its letters as it likes, so nothing is certain. */
export type Letter = Readonly<Record<string, unknown>>

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

/** Runs `work` with the job's log; undefined = it has none. */
type WithLog = <T>(work: (log: EmbeddedLog) => Promise<T>) => Promise<T | undefined>

/** @param plan says where they go; where it is not known, the default topic */
export async function readDeadLetters(
  job: string,
  plan: Plan | undefined,
  withLog: WithLog,
  query: LetterQuery
): Promise<Letters> {
  const spec = plan?.deadLetters
  const kept: Letter[] = []
  let total = 0
  const add = (value: unknown): void => {
    const letter = letterOf(value)
    if (!matches(letter, query)) return
    total++
    if (kept.push(letter) > query.limit) kept.shift()
  }
  if (spec?.connector === 'files') await lettersInFolder(resolve(spec.folder), spec.codec, add)
  else if (spec === undefined || spec.connector === 'log')
    await withLog(log => lettersInTopic(log, spec?.topic ?? `${job}-dead-letters`, spec?.codec ?? json(), add))
  else
    throw new CodedError(
      'NOT_FOUND',
      `the dead letters of job "${job}" go to the connector "${spec.connector}", which cannot be read from here`
    )
  return { letters: kept, total }
}

function matches(letter: Letter, { id, stage, error, since = -Infinity, until = Infinity }: LetterFilter): boolean {
  if (id !== undefined && letter['id'] !== id) return false
  if (stage !== undefined && letter['stage'] !== stage) return false
  if (error !== undefined && !String(letter['error']).includes(error)) return false
  if (since === -Infinity && until === Infinity) return true
  const time = Number(letter['time'])
  return time >= since && time < until
}

async function lettersInTopic(
  log: EmbeddedLog,
  topic: string,
  codec: SinkSpec['codec'],
  add: (value: unknown) => void
): Promise<void> {
  const partitions = log.topic(topic)?.partitions ?? 0
  const reader = log.reader(topic)
  for (let partition = 0; partition < partitions; partition++)
    for (let position = 0; ;) {
      const fetched = await reader.fetch(partition, position, 1024 * 1024, 0)
      if (fetched.kind !== 'records') break
      for (let i = 0; i < fetched.batch.count; i++) {
        const value = fetched.batch.value(i)
        if (value !== undefined) add(codec.decode(value))
      }
      position = fetched.next
    }
  await reader.close()
}

async function lettersInFolder(folder: string, codec: SinkSpec['codec'], add: (value: unknown) => void): Promise<void> {
  for (const name of await publishedFiles(folder)) {
    const bytes = await readFile(join(folder, name))
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(0x0a, from)
      const line = bytes.subarray(from, end < 0 ? bytes.length : end)
      from += line.length + 1
      add(codec.decode(line))
    }
  }
}

function letterOf(value: unknown): Letter {
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
