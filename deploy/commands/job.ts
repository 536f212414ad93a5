/** `cairn job`: what is asked of a job while it runs in a cluster. */
import { Command } from 'commander'
import { askCluster } from '../cluster/ask.ts'
import { jobArgument } from '../job-reference.ts'
import { wholeNumber } from '../output.ts'
import { withSettings } from '../settings/command-settings.ts'
import { connectionSettings } from '../settings/tables.ts'

export function jobCommand(): Command {
  return new Command('job')
    .description('What is asked of a job while it runs in a cluster.')
    .addCommand(rescaleCommand())
}

function rescaleCommand(): Command {
  return withSettings(new Command('rescale'), connectionSettings)
    .description('Run more or fewer tasks of each stage in every worker, from the next checkpoint on.')
    .argument('<job>', jobArgument)
    .requiredOption('--tasks <n>', 'tasks of each stage in a worker', wholeNumber(1, 1024))
    .addHelpText(
      'after',
      `
Example:
  cairn job rescale orders --tasks 4 --nats nats://nats:4222 --storage /mnt/checkpoints

It lasts, whoever leads and whoever is started again, until another number is asked for. More workers: start them. Fewer: drain them.
The slots of the job bound how many tasks have something to do.`
    )
    .action((name: string, { tasks }: { readonly tasks: number }, command: Command) =>
      askCluster(name, command, async ({ job, leader, insist }) => {
        await leader()
        const phase = await insist(
          ({ directive }) => directive && { kind: 'rescale', term: directive.term, tasks },
          ({ directive }) => {
            if (directive === undefined) return undefined
            if (directive.phase === 'finished' || directive.phase === 'drained') return directive.phase
            return directive.phase === 'running' && directive.perWorker === tasks ? directive.phase : undefined
          }
        )
        process.stderr.write(
          phase === 'running' ? `job "${job}" runs ${tasks} tasks in each worker\n` : `job "${job}" has ${phase}\n`
        )
      })
    )
}
