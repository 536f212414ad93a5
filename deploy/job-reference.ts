/** What `<job>` on the command line stands for: a job file, or the name of a job that storage holds. */
import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import type { Plan } from '../actors/plan.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { loadJob } from './load-job.ts'

export interface JobReference {
  readonly name: string
  /** Absolute: `<storage>/<name>`. */
  readonly folder: string
  /** Known when a file was given. */
  readonly plan: Plan | undefined
}

export const jobArgument = 'a job file, or the name of a job in storage'

/** `--storage`: flag over CAIRN_STORAGE over .cairn. */
export function withStorage(command: Command): Command {
  return command.addOption(
    new Option('--storage <folder>', 'where checkpoints are kept').env('CAIRN_STORAGE').default('.cairn')
  )
}

const isFile = (text: string): boolean => /[\\/]|\.[cm]?[jt]s$/.test(text)

/** Loads the file, or looks into storage. Throws JOB_FILE_INVALID, NOT_FOUND. */
export async function findJob(text: string, storage: string): Promise<JobReference> {
  if (isFile(text)) {
    const { name, plan } = await loadJob(text)
    return { name, folder: resolve(storage, name), plan }
  }
  const names = await jobsIn(storage)
  if (!names.includes(text))
    throw new CodedError(
      'NOT_FOUND',
      `storage "${storage}" holds no job "${text}"; ${names.length === 0 ? 'it holds none' : `it holds ${names.join(', ')}`}`
    )
  return { name: text, folder: resolve(storage, text), plan: undefined }
}

async function jobsIn(storage: string): Promise<string[]> {
  try {
    const entries = await readdir(storage, { withFileTypes: true })
    return entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new CodedError(
      'STORAGE_FAILED',
      `storage "${storage}" cannot be listed: ${(cause as NodeJS.ErrnoException).code}`,
      { cause }
    )
  }
}
