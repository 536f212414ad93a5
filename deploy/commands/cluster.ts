/** `cairn cluster`: a job's workers together. */
import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { followLineages, type Lineages } from '../../checkpoint/lineages.ts'
import { savepointsOf, type NamedSavepoint } from '../../checkpoint/restore-point.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { askCluster } from '../cluster/ask.ts'
import type { Look } from '../cluster/look.ts'
import { usualTiming } from '../cluster/timing.ts'
import { savepointName } from '../control-protocol.ts'
import { jobArgument } from '../job-reference.ts'
import { printOne, printRows, withOutput, type OutputFormat, type Row } from '../output.ts'
import { withSettings } from '../settings/command-settings.ts'
import { connectionSettings } from '../settings/tables.ts'

/** Every worker is heard twice in that time. */
const listenMs = 3 * usualTiming.heartbeatMs

export function clusterCommand(): Command {
  return new Command('cluster')
    .description("A job's workers together.")
    .addCommand(statusCommand())
    .addCommand(drainCommand())
    .addCommand(savepointCommand())
}

function statusCommand(): Command {
  return withOutput(withSettings(new Command('status'), connectionSettings))
    .description('Who works on a job, who leads, and how far they are.')
    .argument('<job>', jobArgument)
    .addHelpText(
      'after',
      '\nExample:\n  cairn cluster status orders --nats nats://nats:4222 --storage /mnt/checkpoints'
    )
    .action((name: string, flags: { readonly output: OutputFormat }, command: Command) =>
      askCluster(name, command, async ({ job, look }) => {
        await look.until(() => undefined, listenMs)
        const { directive } = look.seen
        if (flags.output === 'table' && directive !== undefined)
          process.stdout.write(
            `job "${job}": ${directive.phase}, generation ${directive.generation}, checkpoint ${directive.decided?.epoch ?? '-'}, ${directive.perWorker} tasks in each worker\n`
          )
        printRows(rowsOf(look), flags.output, `job "${job}": no worker is heard`)
      })
    )
}

function rowsOf({ seen }: Look): Row[] {
  return [...seen.reports.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ worker, name, state, leaving, generation, address, report, error }) => ({
      worker: name,
      state: leaving ? `${state}, leaving` : state,
      leads: seen.directive?.leader === worker,
      generation,
      decided: report?.decided,
      pendingBytes: report?.pendingBytes,
      address,
      ...(error === undefined ? {} : { error })
    }))
}

function drainCommand(): Command {
  return withSettings(new Command('drain'), connectionSettings)
    .description('End a job on all workers behind a last checkpoint; workers started again go on from there.')
    .argument('<job>', jobArgument)
    .addHelpText('after', '\nExample:\n  cairn cluster drain orders --nats nats://nats:4222 --storage /mnt/checkpoints')
    .action((name: string, _flags: unknown, command: Command) =>
      askCluster(name, command, async ({ job, leader, insist }) => {
        await leader()
        const phase = await insist(
          ({ directive }) => directive && { kind: 'drain', term: directive.term },
          ({ directive }) => {
            const phase = directive?.phase
            return phase === 'drained' || phase === 'finished' ? phase : undefined
          }
        )
        process.stderr.write(`job "${job}" has ${phase}\n`)
      })
    )
}

function savepointCommand(): Command {
  return withOutput(withSettings(new Command('savepoint'), connectionSettings))
    .description('Ask whoever leads for a checkpoint that retention leaves alone, and wait for it.')
    .argument('<job>', jobArgument)
    .argument('<name>', 'of the savepoint; new')
    .addHelpText(
      'after',
      '\nExample:\n  cairn cluster savepoint orders before-upgrade --nats nats://nats:4222 --storage /mnt/checkpoints'
    )
    .action((of: string, name: string, flags: { readonly output: OutputFormat }, command: Command) => {
      const wrong = savepointName.safeParse(name).error?.issues[0]?.message
      if (wrong !== undefined) throw new CodedError('OPTION_INVALID', `"${name}": ${wrong}`)
      return askCluster(of, command, async ({ job, leader, lineages, insist }) => {
        if ((await savepointCalled(name, lineages, job)) !== undefined)
          throw new CodedError('OPTION_INVALID', `there is a savepoint "${name}" already; choose another name`)
        await leader()
        const { epoch } = await insist(
          ({ directive }) => directive && { kind: 'savepoint', term: directive.term, name },
          async ({ directive }) => {
            const phase = directive?.phase
            const made = await savepointCalled(name, lineages, job)
            if (made === undefined && (phase === 'finished' || phase === 'drained'))
              throw new CodedError('NOT_RUNNING', `job "${job}" has ${phase}; it takes no savepoint any more`)
            return made
          }
        )
        printOne({ name, epoch }, flags.output)
      })
    })
}

async function savepointCalled(name: string, lineages: Lineages, job: string): Promise<NamedSavepoint | undefined> {
  const chain = await followLineages(lineages, () => randomBytes(8).toString('hex'))
  return (await savepointsOf(chain, job)).find(each => each.name === name)
}
