/** `cairn cluster`: a job's workers together. */
import { Command } from 'commander'
import { encodeMessage, subjects } from '../../runtime/core/cluster-messages.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { connectCluster } from '../cluster/connection.ts'
import { listen, type Look } from '../cluster/look.ts'
import { usualTiming } from '../cluster/timing.ts'
import { findJob, jobArgument } from '../job-reference.ts'
import { printRows, withOutput, type OutputFormat, type Row } from '../output.ts'
import { settingsOf, withSettings } from '../settings/command-settings.ts'
import { connectionProblems, connectionSettings } from '../settings/tables.ts'

/** Every worker is heard twice in that time. */
const listenMs = 3 * usualTiming.heartbeatMs

export function clusterCommand(): Command {
  return new Command('cluster')
    .description("A job's workers together.")
    .addCommand(statusCommand())
    .addCommand(drainCommand())
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
      withLook(name, command, async (job, look) => {
        await look.until(() => undefined, listenMs)
        const { directive } = look.seen
        if (flags.output === 'table' && directive !== undefined)
          process.stdout.write(
            `job "${job}": ${directive.phase}, generation ${directive.generation}, checkpoint ${directive.decided?.epoch ?? '-'}\n`
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
      withLook(name, command, async (job, look, publish) => {
        const directive = await look.until(({ directive }) => directive, 3 * usualTiming.lostAfterMs)
        if (directive === undefined) throw new CodedError('NOT_RUNNING', `job "${job}": no leader is heard`)
        const again = setInterval(() => {
          const term = look.seen.directive?.term
          if (term !== undefined) publish(encodeMessage({ kind: 'drain', term }))
        }, 250)
        try {
          const isOver = (phase: string): boolean => phase === 'drained' || phase === 'finished'
          const phase = await look.until(({ directive }) => {
            const now = directive?.phase ?? ''
            return isOver(now) ? now : undefined
          }, Infinity)
          process.stderr.write(`job "${job}" has ${phase}\n`)
        } finally {
          clearInterval(again)
        }
      })
    )
}

async function withLook(
  name: string,
  command: Command,
  work: (job: string, look: Look, publish: (command: Uint8Array) => void) => Promise<void>
): Promise<void> {
  const settings = settingsOf(command, connectionSettings, connectionProblems)
  const job = await findJob(name, settings.storage)
  const { bus } = await connectCluster(job.name, settings, usualTiming.leaseMs, false)
  const look = listen(job.name, bus)
  try {
    await work(job.name, look, command => bus.publish(`${job.name}.${subjects.commands}`, command))
  } finally {
    look.close()
    await bus.close()
  }
}
