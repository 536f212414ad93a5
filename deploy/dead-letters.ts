/** Reads the dead letters that a job has published. Changes nothing. */
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { json } from '../actors/codecs.ts'
import type { SinkSpec } from '../actors/connectors.ts'
import type { Plan } from '../actors/plan.ts'
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

export interface LetterQuery {
  /** Of the event: source/partition/position. */
  readonly id?: string | undefined
  readonly stage?: string | undefined
  /** The newest so many. */
  readonly limit: number
}

/** @param plan says where they go; where it is not known, the default */
export async function readDeadLetters(job: string, plan: Plan | undefined, query: LetterQuery): Promise<Letters> {
  const spec: SinkSpec = plan?.deadLetters ?? {
    connector: 'files',
    folder: `.cairn/${job}/dead-letters`,
    codec: json()
  }
  const matching = (await lettersOf(job, spec)).filter(
    letter =>
      (query.id === undefined || letter['id'] === query.id) &&
      (query.stage === undefined || letter['stage'] === query.stage)
  )
  return { letters: matching.slice(Math.max(0, matching.length - query.limit)), total: matching.length }
}

async function lettersOf(job: string, spec: SinkSpec): Promise<Letter[]> {
  if (spec.connector === 'files') return lettersInFolder(resolve(spec.folder), spec.codec)
  throw new CodedError(
    'NOT_FOUND',
    `the dead letters of job "${job}" go to the connector "${spec.connector}", which cannot be read from here`
  )
}

async function lettersInFolder(folder: string, codec: SinkSpec['codec']): Promise<Letter[]> {
  const letters: Letter[] = []
  for (const name of await publishedFiles(folder)) {
    const bytes = await readFile(join(folder, name))
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(0x0a, from)
      const line = bytes.subarray(from, end < 0 ? bytes.length : end)
      from += line.length + 1
      letters.push(letterOf(codec.decode(line)))
    }
  }
  return letters
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
