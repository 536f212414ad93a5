/** What `<job>` on the command line stands for: a job file, or the name of a job that storage holds. */
import { Option, type Command } from 'commander'
import type { Plan } from '../actors/plan.ts'
import type { Lineages } from '../checkpoint/lineages.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { loadJob } from './load-job.ts'
import { openStorage } from './storage-place.ts'

export interface JobReference {
  readonly name: string
  readonly lineages: Lineages
  /** Absolute: `<storage>/<name>`; undefined: storage is no folder, and the job does not run in one process. */
  readonly folder: string | undefined
  /** Known when a file was given. */
  readonly plan: Plan | undefined
}

export const jobArgument = 'a job file, or the name of a job in storage'

/** `--storage`: flag over CAIRN_STORAGE over .cairn. */
export function withStorage(command: Command): Command {
  return command.addOption(
    new Option('--storage <place>', 'where checkpoints are kept: a folder, or s3://bucket/prefix')
      .env('CAIRN_STORAGE')
      .default('.cairn')
  )
}

const isFile = (text: string): boolean => /[\\/]|\.[cm]?[jt]s$/.test(text)

/** Loads the file, or looks into storage. Throws JOB_FILE_INVALID, NOT_FOUND and what `openStorage` throws. */
export async function findJob(text: string, storage: string): Promise<JobReference> {
  const place = await openStorage(storage)
  const reference = (name: string, plan: Plan | undefined): JobReference => ({
    name,
    lineages: place.lineages(name),
    folder: place.folder(name),
    plan
  })
  if (isFile(text)) {
    const { name, plan } = await loadJob(text)
    return reference(name, plan)
  }
  const names = await place.jobs()
  if (!names.includes(text))
    throw new CodedError(
      'NOT_FOUND',
      `storage "${place.shown}" holds no job "${text}"; ${names.length === 0 ? 'it holds none' : `it holds ${names.join(', ')}`}`
    )
  return reference(text, undefined)
}
