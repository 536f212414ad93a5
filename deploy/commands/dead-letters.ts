import { Command } from 'commander'
import { letterLimit } from '../control-protocol.ts'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { printOne, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'
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
