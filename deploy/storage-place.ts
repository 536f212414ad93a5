/** What `--storage` names: a folder, or a bucket on an S3-compatible server. */
import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { DirectoryLineages } from '../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../checkpoint/adapters/node-files.ts'
import { isS3, parseS3 } from '../checkpoint/adapters/s3/s3-options.ts'
import { S3Root } from '../checkpoint/adapters/s3/s3-root.ts'
import type { Lineages } from '../checkpoint/lineages.ts'
import { nodeClock } from '../runtime/adapters/node-clock.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

export interface StoragePlace {
  /** As people know it. */
  readonly shown: string
  /** Names of all jobs in it. */
  jobs(): Promise<readonly string[]>
  lineages(job: string): Lineages
  /** Absolute: where `cairn run` keeps what is local to a job. undefined: it does not run on such storage. */
  folder(job: string): string | undefined
  /** Tries whether checkpoints are safe there. Throws STORAGE_REFUSED, STORAGE_FAILED. */
  verify(job: string): Promise<void>
}

/** Throws OPTION_INVALID, PACKAGE_MISSING. Reads and writes nothing yet. */
export async function openStorage(text: string): Promise<StoragePlace> {
  if (!isS3(text)) return directory(localStorage(text))
  const options = parseS3(text, process.env)
  const root = await S3Root.open(options, nodeClock)
  return {
    shown: options.shown,
    jobs: () => root.jobs(),
    lineages: job => root.lineages(job),
    folder: () => undefined,
    verify: job => root.verify(job)
  }
}

/** The folder that it names. Throws OPTION_INVALID where it names none. */
export function localStorage(text: string): string {
  if (isS3(text))
    throw new CodedError(
      'OPTION_INVALID',
      `storage "${text.replace(/\?.*/s, '')}": a job that runs in one process keeps its lock, its control socket and its topics in a folder`,
      { remedy: 'Use --storage <folder>, or start it with `cairn worker start`.' }
    )
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)
  if (scheme !== null)
    throw new CodedError('OPTION_INVALID', `storage "${text}": a folder or s3://bucket/prefix, not ${scheme[1]}://`)
  return text
}

function directory(storage: string): StoragePlace {
  return {
    shown: storage,
    jobs: () => foldersIn(storage),
    lineages: job => new DirectoryLineages(nodeFiles, resolve(storage, job)),
    folder: job => resolve(storage, job),
    verify: () => Promise.resolve()
  }
}

async function foldersIn(storage: string): Promise<string[]> {
  try {
    const entries = await readdir(storage, { withFileTypes: true })
    return entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    throw new CodedError('STORAGE_FAILED', `storage "${storage}" cannot be listed: ${code}`, { cause })
  }
}
