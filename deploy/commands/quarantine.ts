import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import type { QuarantineAnswer, QuarantineCommand } from '../../runtime/core/quarantine.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { keyText, type Key } from '../../runtime/kernel/keys.ts'
import { operateOf } from '../../runtime/shell/cluster-commands.ts'
import { letterLimit, type ControlRequest } from '../control-protocol.ts'
import { askCluster } from '../cluster/ask.ts'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { keyArgument } from '../key-argument.ts'
import { printOne, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'
import { valueOfPlain } from '../plain-value.ts'
import { settingsOf, withSettings } from '../settings/command-settings.ts'
import { connectionProblems, connectionSettings } from '../settings/tables.ts'
import { StoredJob } from '../stored-job.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
}
interface KeyFlags extends Flags {
  readonly keyJson?: boolean
}
interface DoFlags extends Omit<KeyFlags, 'storage'> {
  readonly id?: string
  readonly cluster?: boolean
}
type Action = Extract<ControlRequest, { kind: 'quarantine-do' }>['action']

/** Characters of an event: servers of NATS take a megabyte, and more than the event is sent. */
const longestOnBus = 512 * 1024

const whileRuns = `
The job must run; --cluster asks one that runs on a cluster, over NATS. The answer comes when a checkpoint holds what was done; asked again with the same --id, nothing is done twice and the
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

function ofKey(command: Command, description: string): Command {
  return withOutput(command)
    .description(description)
    .argument('<job>', jobArgument)
    .argument('<stage>', 'as `list` shows it')
    .argument('<key>', 'a JSON number or array is that key; everything else is a string as it stands')
    .option('--key-json', 'take the key as JSON, so that the string "42" can be named')
}

function show(): Command {
  return ofKey(
    withStorage(new Command('show')),
    'One key: its error with the stack, and what waits, the event that failed first.'
  )
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
  return ofKey(withSettings(new Command(name), connectionSettings), description)
    .option('--cluster', 'ask whoever has the key on a cluster')
    .option('--id <text>', 'of this command, so that it can be asked again; default: a new one')
    .addHelpText('after', `\nExample:\n  cairn quarantine ${name} ${example}\n${whileRuns}`)
}

function retry(): Command {
  return doing('retry', 'Run what waits, in order.', 'orders Account c7').action(
    (name: string, stage: string, key: string, flags: DoFlags, command: Command) =>
      carryOut('retry', { name, stage, key, flags, command })
  )
}

function edit(): Command {
  return doing(
    'edit',
    'The same, with another event in the place of the one that failed.',
    `orders Account c7 --event '{"account":"c7","amount":12}'`
  )
    .requiredOption('--event <json>', 'the event, as `show --output json` writes it')
    .action((name: string, stage: string, key: string, flags: DoFlags & { readonly event: string }, command: Command) =>
      carryOut('edit', { name, stage, key, flags, command }, jsonOf(flags.event))
    )
}

function drop(): Command {
  return doing('drop', 'The same, without the event that failed: it is given up.', 'orders Account c7')
    .option('--all', 'give up all that waits; the key begins to handle events again where it stood')
    .action((name: string, stage: string, key: string, flags: DoFlags & { readonly all?: boolean }, command: Command) =>
      carryOut(flags.all === true ? 'drop-all' : 'drop', { name, stage, key, flags, command })
    )
}

interface Asked {
  readonly name: string
  readonly stage: string
  readonly key: string
  readonly flags: DoFlags
  readonly command: Command
}

async function carryOut(
  action: Action,
  { name, stage, key: text, flags, command }: Asked,
  value?: unknown
): Promise<void> {
  const key = keyArgument(text, flags.keyJson === true)
  const id = flags.id ?? randomBytes(8).toString('hex')
  const again = `ask again with --id ${id}: what was done already is not done again.`
  const answer =
    flags.cluster === true
      ? await onCluster(name, command, { id, action, stage, key, value: valueOfPlain(value) }, again)
      : await here(
          name,
          command,
          { command: id, action, stage, key: key as never, ...(value === undefined ? {} : { value }) },
          again
        )
  const { outcome, error } = answer
  if (outcome === 'refused')
    throw new CodedError('NOT_FOUND', `stage "${stage}", key ${keyText(key)} was left as it is: ${error}`)
  printOne({ ...answer }, flags.output)
  if (outcome === 'quarantined') process.exitCode = 1
}

/** By the process that runs the job on this machine. */
async function here(
  name: string,
  command: Command,
  request: Omit<Extract<ControlRequest, { kind: 'quarantine-do' }>, 'kind'>,
  again: string
): Promise<QuarantineAnswer> {
  const job = await findJob(name, settingsOf(command, connectionSettings, connectionProblems).storage)
  try {
    return await askJob<'quarantine-do'>(job, { kind: 'quarantine-do', ...request })
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'NOT_RUNNING') throw error
    throw new CodedError('NOT_RUNNING', error.message, {
      cause: error,
      remedy: `Start it with \`cairn run\`, or say --cluster where it runs on one, and ${again}`
    })
  }
}

async function onCluster(
  name: string,
  command: Command,
  wanted: QuarantineCommand,
  again: string
): Promise<QuarantineAnswer> {
  const message = operateOf(wanted)
  if (message.value.length > longestOnBus)
    throw new CodedError(
      'OPTION_INVALID',
      `the event takes ${message.value.length} bytes; ${longestOnBus} go over NATS`
    )
  let answer: QuarantineAnswer | undefined
  await askCluster(name, command, async ({ job, lineages, leader, insist }) => {
    const stored = new StoredJob(job, lineages)
    const known = async (): Promise<QuarantineAnswer | undefined> => {
      const { answer, parked } = await stored.operated(wanted)
      if (answer === undefined && !parked) throw notParked(job, wanted.stage, wanted.key)
      return answer
    }
    answer = await known()
    if (answer !== undefined) return
    await leader()
    answer = await insist(
      () => message,
      async ({ directive }) => {
        const answer = await known()
        if (answer === undefined && (directive?.phase === 'finished' || directive?.phase === 'drained'))
          throw new CodedError('NOT_RUNNING', `job "${job}" has ${directive.phase}`, {
            remedy: `Start its workers, and ${again}`
          })
        return answer
      }
    )
  })
  return answer as QuarantineAnswer
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
