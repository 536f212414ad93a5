import { Command, InvalidArgumentError } from 'commander'
import { letterLimit } from '../control-protocol.ts'
import { askJob, progressOf, type OwnMeans } from '../job-answers.ts'
import { findJob, jobArgument, type JobReference } from '../job-reference.ts'
import { printOne, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'
import { noLetter, type Redriven } from '../redrive.ts'
import { redrivenHeader } from '../redriven-record.ts'
import { settingsOf, withSettings } from '../settings/command-settings.ts'
import { kafkaProblems, letterSettings } from '../settings/tables.ts'
import { killProbe } from '../kill-probe.ts'

interface Flags {
  readonly output: OutputFormat
  readonly stage?: string
  readonly limit: number
}

export function deadLettersCommand(): Command {
  return new Command('dead-letters')
    .description('Events that failed and were put aside, where `onError` says dead-letter.')
    .addCommand(list())
    .addCommand(show())
    .addCommand(redriveCommand())
}

function list(): Command {
  return withOutput(withSettings(new Command('list'), letterSettings))
    .description('The newest dead letters, oldest of them first.')
    .argument('<job>', jobArgument)
    .option('--stage <name>', 'of this stage or source only')
    .option('--limit <n>', 'how many', wholeNumber(1, letterLimit), 50)
    .addHelpText(
      'after',
      '\nExamples:\n  cairn dead-letters list shop\n  cairn dead-letters list shop.ts --stage Visitor --output jsonl'
    )
    .action(async (name: string, { output, stage, limit }: Flags, command: Command) => {
      const { job, means } = await found(name, command)
      const request = { kind: 'dead-letters', limit, ...(stage === undefined ? {} : { stage }) } as const
      const { letters, total } = await watched(job, () => askJob<'dead-letters'>(job, request, means))
      printRows(
        letters.map(({ event: _event, record: _record, ...rest }) => rest),
        output,
        `job "${job.name}" has no dead letters`
      )
      if (total > letters.length && output === 'table')
        process.stderr.write(`the newest ${letters.length} of ${total}; --limit shows more\n`)
    })
}

function show(): Command {
  return withOutput(withSettings(new Command('show'), letterSettings))
    .description('One dead letter with its event.')
    .argument('<job>', jobArgument)
    .argument('<id>', "the event's id, as `list` shows it: source/partition/position")
    .addHelpText('after', '\nExample:\n  cairn dead-letters show shop visits/0/1204')
    .action(async (name: string, id: string, { output }: Flags, command: Command) => {
      const { job, means } = await found(name, command)
      const request = { kind: 'dead-letters', id, limit: 1000 } as const
      const { letters } = await watched(job, () => askJob<'dead-letters'>(job, request, means))
      if (letters.length === 0) throw noLetter(job.name, id)
      if (letters.length === 1) printOne(letters[0] ?? {}, output)
      else printRows(letters, output, '')
    })
}

interface RedriveFlags extends Flags {
  readonly id?: string
  readonly error?: string
  readonly since?: number
  readonly until?: number
  readonly dryRun?: boolean
}

function redriveCommand(): Command {
  return withOutput(withSettings(new Command('redrive'), letterSettings))
    .description('Send the records that dead letters name to the job again.')
    .argument('<job>', `${jobArgument}; a file, where it does not run`)
    .option('--stage <name>', 'letters of this stage or source only')
    .option('--id <id>', 'of this event only: source/partition/position')
    .option('--error <text>', 'whose error holds this text')
    .option('--since <time>', 'of this event time and later: ISO 8601, or ms', timeArgument)
    .option('--until <time>', 'of event times before', timeArgument)
    .option('--limit <n>', 'how many records, the oldest first', wholeNumber(1, letterLimit), 1000)
    .option('--dry-run', 'say what would be sent, and send nothing')
    .addHelpText(
      'after',
      `
The record of the source, as it was (key, value, headers, timestamp), is appended to its topic again, with a header ${redrivenHeader}
that names where it came from. None is redriven twice, also after a crash in the middle. The job reads the copy as it reads any record: every
stage handles it, those that had handled it before, too, and its event time is what it was, so it may be late. Letters are read, and records sent,
in topics of the job's log and of Kafka; letters in folders, too. A job that runs here uses its own settings of Kafka.

Examples:
  cairn dead-letters redrive shop.ts --dry-run
  cairn dead-letters redrive shop --stage Visitor --error 'unknown currency'
  cairn dead-letters redrive orders.ts --kafka localhost:9092 --limit 10`
    )
    .action(async (name: string, { output, ...flags }: RedriveFlags, command: Command) => {
      const { job, means } = await found(name, command)
      const { id: event, stage, error, since, until, limit, dryRun = false } = flags
      const chosen = Object.entries({ event, stage, error, since, until }).filter(([, value]) => value !== undefined)
      const probe = killProbe(process.env['CAIRN_TEST_KILL_AT'])
      const request = { kind: 'redrive', dryRun, limit, ...Object.fromEntries(chosen) } as const
      const answer = await watched(job, () => askJob<'redrive'>(job, request, { ...means, probe }))
      if (answer.refused.length > 0) process.exitCode = 1
      if (output === 'table') printRedriven(answer, dryRun)
      else printOne({ ...answer }, output)
    })
}

function printRedriven(answer: Redriven, dryRun: boolean): void {
  const { read, redriven, refused, already, noRecord, elsewhere, gone } = answer
  for (const each of redriven) process.stdout.write(`${each}\n`)
  for (const { id, error } of refused) process.stderr.write(`refused: ${id}: ${error}\n`)
  const records = `${redriven.length} record${redriven.length === 1 ? '' : 's'}`
  const done = dryRun ? `${records} would be redriven` : `${records} redriven`
  process.stderr.write(
    `${read} letter${read === 1 ? '' : 's'}: ${done}, ${refused.length} refused; letters left: ${already} redriven before, ${noRecord} of timers, ${elsewhere} of other sources, ${gone} whose record is gone\n`
  )
}

async function found(name: string, command: Command): Promise<{ job: JobReference; means: OwnMeans }> {
  const settings = settingsOf(command, letterSettings, kafkaProblems)
  return { job: await findJob(name, settings.storage), means: { kafka: { settings } } }
}

/** Longer: somebody wonders whether it does anything. */
const watchMs = 2000

/** Says on standard error how far it is, where it takes longer than a moment. */
async function watched<T>(job: JobReference, ask: () => Promise<T>): Promise<T> {
  const since = performance.now()
  let over = false
  const tell = async (): Promise<void> => {
    const progress = await progressOf(job)
    if (over) return
    const text =
      progress === undefined
        ? `dead letters of job "${job.name}" are read`
        : `${progress.read} dead letters read, ${progress.redriven} records redriven, ${progress.refused} refused`
    process.stderr.write(`${text} (${Math.round((performance.now() - since) / 1000)} s)\n`)
  }
  const timer = setInterval(() => void tell(), watchMs)
  try {
    return await ask()
  } finally {
    over = true
    clearInterval(timer)
  }
}

function timeArgument(text: string): number {
  const time = /^-?[0-9]+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(time)) throw new InvalidArgumentError('It must be a time in ISO 8601, or milliseconds.')
  return time
}
