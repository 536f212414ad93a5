import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import type { QuarantineAnswer } from '../../runtime/core/quarantine.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { keyText, type Key } from '../../runtime/kernel/keys.ts'
import { letterLimit, type ControlRequest } from '../control-protocol.ts'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { keyArgument } from '../key-argument.ts'
import { printOne, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
}
interface KeyFlags extends Flags {
  readonly keyJson?: boolean
}
interface DoFlags extends KeyFlags {
  readonly id?: string
}
type Action = Extract<ControlRequest, { kind: 'quarantine-do' }>['action']

const whileRuns = `
The job must run. The answer comes when a checkpoint holds what was done; asked again with the same --id, nothing is done twice and the
answer is the same, after a crash too. Exit code 1 when a handler failed again: then the key waits on, with that error.`

export function quarantineCommand(): Command {
  return new Command('quarantine')
    .description(
      'Keys whose handler failed, where `onError` says quarantine: they wait until they are retried, edited or dropped.'
    )
    .addHelpText(
      'after',
      `
When a handler throws, it leaves no trace: the event waits, and so does everything that comes for its key later, timers too, in order and
in every checkpoint. All other keys go on. Correct the job file, start the job again, and have the key retried: it ends as if
nothing had failed.

Examples:
  cairn quarantine list orders
  cairn quarantine show orders Account c7
  cairn quarantine retry orders Account c7`
    )
    .addCommand(list())
    .addCommand(show())
    .addCommand(retry())
    .addCommand(edit())
    .addCommand(drop())
}

function list(): Command {
  return withOutput(withStorage(new Command('list')))
    .description(
      'Keys in quarantine, those that have waited longest first: live while the job runs, else as of its last checkpoint.'
    )
    .argument('<job>', jobArgument)
    .option('--stage <name>', 'of this stage only')
    .option('--limit <n>', 'how many', wholeNumber(1, letterLimit), 50)
    .addHelpText(
      'after',
      '\nExamples:\n  cairn quarantine list orders\n  cairn quarantine list orders.ts --stage Account --output jsonl'
    )
    .action(async (name: string, flags: Flags & { readonly stage?: string; readonly limit: number }) => {
      const { output, stage, limit } = flags
      const job = await findJob(name, flags.storage)
      const { keys, total, epoch } = await askJob<'quarantine-list'>(job, {
        kind: 'quarantine-list',
        limit,
        ...(stage === undefined ? {} : { stage })
      })
      printRows(
        keys.map(line => ({ ...line })),
        output,
        `job "${job.name}" has no keys in quarantine`
      )
      if (output !== 'table') return
      if (total > keys.length) process.stderr.write(`${keys.length} of ${total}; --limit shows more\n`)
      sayEpoch(epoch)
    })
}

function ofKey(name: string, description: string): Command {
  return withOutput(withStorage(new Command(name)))
    .description(description)
    .argument('<job>', jobArgument)
    .argument('<stage>', 'as `list` shows it')
    .argument('<key>', 'a JSON number or array is that key; everything else is a string as it stands')
    .option('--key-json', 'take the key as JSON, so that the string "42" can be named')
}

function show(): Command {
  return ofKey('show', 'One key: its error with the stack, and what waits, the event that failed first.')
    .option('--limit <n>', 'how many of those that wait', wholeNumber(1, letterLimit), 50)
    .addHelpText('after', '\nExample:\n  cairn quarantine show orders Account c7 --output json')
    .action(async (name: string, stage: string, text: string, flags: KeyFlags & { readonly limit: number }) => {
      const key = keyArgument(text, flags.keyJson === true)
      const job = await findJob(name, flags.storage)
      const { limit } = flags
      const shown = await askJob<'quarantine-show'>(job, { kind: 'quarantine-show', stage, key: key as never, limit })
      if (shown === null) throw notParked(job.name, stage, key)
      if (flags.output !== 'table') return printOne({ ...shown }, flags.output)
      const { events, stack, epoch, ...line } = shown
      printOne(line, 'table')
      for (const each of stack.split('\n').slice(1)) process.stdout.write(`  ${each.trim()}\n`)
      process.stdout.write('\nwaiting\n')
      printRows(
        events.map(each => ({ ...each })),
        'table',
        ''
      )
      sayEpoch(epoch)
    })
}

function doing(name: string, description: string, example: string): Command {
  return ofKey(name, description)
    .option('--id <text>', 'of this command, so that it can be asked again; default: a new one')
    .addHelpText('after', `\nExample:\n  cairn quarantine ${name} ${example}\n${whileRuns}`)
}

function retry(): Command {
  return doing('retry', 'Run what waits, in order.', 'orders Account c7').action(
    (name: string, stage: string, key: string, flags: DoFlags) => carryOut('retry', { name, stage, key, flags })
  )
}

function edit(): Command {
  return doing(
    'edit',
    'The same, with another event in the place of the one that failed.',
    `orders Account c7 --event '{"account":"c7","amount":12}'`
  )
    .requiredOption('--event <json>', 'the event, as `show --output json` writes it')
    .action((name: string, stage: string, key: string, flags: DoFlags & { readonly event: string }) =>
      carryOut('edit', { name, stage, key, flags }, jsonOf(flags.event))
    )
}

function drop(): Command {
  return doing('drop', 'The same, without the event that failed: it is given up.', 'orders Account c7')
    .option('--all', 'give up all that waits; the key begins to handle events again where it stood')
    .action((name: string, stage: string, key: string, flags: DoFlags & { readonly all?: boolean }) =>
      carryOut(flags.all === true ? 'drop-all' : 'drop', { name, stage, key, flags })
    )
}

async function carryOut(
  action: Action,
  asked: { readonly name: string; readonly stage: string; readonly key: string; readonly flags: DoFlags },
  value?: unknown
): Promise<void> {
  const { name, stage, flags } = asked
  const key = keyArgument(asked.key, flags.keyJson === true)
  const job = await findJob(name, flags.storage)
  const id = flags.id ?? randomBytes(8).toString('hex')
  let answer: QuarantineAnswer
  try {
    answer = await askJob<'quarantine-do'>(job, {
      kind: 'quarantine-do',
      command: id,
      action,
      stage,
      key: key as never,
      ...(value === undefined ? {} : { value })
    })
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'NOT_RUNNING') throw error
    throw new CodedError('NOT_RUNNING', error.message, {
      cause: error,
      remedy: `Start it with \`cairn run\`, and ask again with --id ${id}: what was done already is not done again. Clusters cannot be asked yet.`
    })
  }
  const { outcome, error } = answer
  if (outcome === 'refused')
    throw new CodedError('NOT_FOUND', `stage "${stage}", key ${keyText(key)} was left as it is: ${error}`)
  printOne({ ...answer }, flags.output)
  if (outcome === 'quarantined') process.exitCode = 1
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CodedError('USAGE', `--event is no JSON: ${(cause as Error).message}`, { cause })
  }
}

function notParked(job: string, stage: string, key: Key): CodedError {
  return new CodedError('NOT_FOUND', `stage "${stage}" has no key ${keyText(key)} in quarantine`, {
    remedy: `\`cairn quarantine list ${job}\` shows what there is.`
  })
}

function sayEpoch(epoch: number | null): void {
  if (epoch !== null) process.stderr.write(`as of checkpoint ${epoch}; the job is not running\n`)
}
