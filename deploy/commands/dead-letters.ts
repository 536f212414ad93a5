import { Command, InvalidArgumentError } from 'commander'
import { letterLimit } from '../control-protocol.ts'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { printOne, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'
import { redrivenHeader } from '../redrive.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'

interface Flags {
  readonly storage: string
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
  return withOutput(withStorage(new Command('list')))
    .description('The newest dead letters, oldest of them first.')
    .argument('<job>', jobArgument)
    .option('--stage <name>', 'of this stage or source only')
    .option('--limit <n>', 'how many', wholeNumber(1, letterLimit), 50)
    .addHelpText(
      'after',
      '\nExamples:\n  cairn dead-letters list shop\n  cairn dead-letters list shop.ts --stage Visitor --output jsonl'
    )
    .action(async (name: string, { storage, output, stage, limit }: Flags) => {
      const job = await findJob(name, storage)
      const { letters, total } = await askJob<'dead-letters'>(job, {
        kind: 'dead-letters',
        limit,
        ...(stage === undefined ? {} : { stage })
      })
      printRows(
        letters.map(({ event: _event, ...rest }) => rest),
        output,
        `job "${job.name}" has no dead letters`
      )
      if (total > letters.length && output === 'table')
        process.stderr.write(`the newest ${letters.length} of ${total}; --limit shows more\n`)
    })
}

function show(): Command {
  return withOutput(withStorage(new Command('show')))
    .description('One dead letter with its event.')
    .argument('<job>', jobArgument)
    .argument('<id>', "the event's id, as `list` shows it: source/partition/position")
    .addHelpText('after', '\nExample:\n  cairn dead-letters show shop visits/0/1204')
    .action(async (name: string, id: string, { storage, output }: Flags) => {
      const job = await findJob(name, storage)
      const { letters } = await askJob<'dead-letters'>(job, { kind: 'dead-letters', id, limit: 1000 })
      if (letters.length === 0)
        throw new CodedError('NOT_FOUND', `job "${job.name}" has no dead letter of event "${id}"`, {
          remedy: `\`cairn dead-letters list ${job.name}\` shows what there is.`
        })
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
  return withOutput(withStorage(new Command('redrive')))
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
The record of the source, as it stands in its topic (key, value, headers, timestamp), is appended to that topic again, with a header
${redrivenHeader} that names where it came from. What has such a copy already is not redriven again, also after a crash in the
middle. The job reads the copy as it reads any record: every stage handles it, those that had handled it before, too, and its event time is
what it was, so it may be late. Sources that are topics of the job's log can be redriven, and letters in that log or in folders.

Examples:
  cairn dead-letters redrive shop.ts --dry-run
  cairn dead-letters redrive shop --stage Visitor --error 'unknown currency'`
    )
    .action(async (name: string, flags: RedriveFlags) => {
      const { storage, output, id, dryRun = false, ...query } = flags
      const job = await findJob(name, storage)
      const { redriven, ...rest } = await askJob<'redrive'>(job, {
        kind: 'redrive',
        dryRun,
        ...query,
        ...(id === undefined ? {} : { event: id })
      })
      if (output !== 'table') return printOne({ redriven, ...rest }, output)
      for (const each of redriven) process.stdout.write(`${each}\n`)
      const { already, noRecord, elsewhere, gone } = rest
      const done = `${redriven.length} record${redriven.length === 1 ? '' : 's'} ${dryRun ? 'would be' : ''} redriven`
      process.stderr.write(
        `${done.replace('  ', ' ')}; letters left: ${already} redriven before, ${noRecord} of timers, ${elsewhere} of other sources, ${gone} whose record is gone\n`
      )
    })
}

function timeArgument(text: string): number {
  const time = /^-?[0-9]+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(time)) throw new InvalidArgumentError('It must be a time in ISO 8601, or milliseconds.')
  return time
}
