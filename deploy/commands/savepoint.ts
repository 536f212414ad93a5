import { Command } from 'commander'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { printOne, printRows, withOutput, type OutputFormat } from '../output.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
}

export function savepointCommand(): Command {
  const create = withOutput(withStorage(new Command('create')))
    .description('Ask the running job for a checkpoint that retention leaves alone, and wait for it.')
    .argument('<job>', jobArgument)
    .argument('<name>', 'of the savepoint; new')
    .addHelpText('after', '\nExample:\n  cairn savepoint create orders before-upgrade')
    .action(async (job: string, name: string, flags: Flags) => {
      const found = await findJob(job, flags.storage)
      printOne({ ...(await askJob<'savepoint-create'>(found, { kind: 'savepoint-create', name })) }, flags.output)
    })
  const list = withOutput(withStorage(new Command('list')))
    .description('Savepoints, newest first.')
    .argument('<job>', jobArgument)
    .addHelpText('after', '\nExample:\n  cairn savepoint list orders')
    .action(async (job: string, flags: Flags) => {
      const found = await findJob(job, flags.storage)
      const savepoints = await askJob<'savepoint-list'>(found, { kind: 'savepoint-list' })
      printRows(
        savepoints.map(savepoint => ({ ...savepoint })),
        flags.output,
        `job "${found.name}" has no savepoints`
      )
    })
  return new Command('savepoint')
    .description('Checkpoints that are kept until they are dropped.')
    .addCommand(create)
    .addCommand(list)
}
