import { Command } from 'commander'
import { ControlClient } from '../control-client.ts'
import { askJob, notRunning } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { printOne, withOutput, type OutputFormat } from '../output.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
}

export function statusCommand(): Command {
  return withOutput(withStorage(new Command('status')))
    .description('What a running job is doing.')
    .argument('<job>', jobArgument)
    .addHelpText('after', '\nExample:\n  cairn status orders --output json')
    .action(async (name: string, flags: Flags) => {
      const job = await findJob(name, flags.storage)
      const { sinks, ...status } = await askJob<'status'>(job, { kind: 'status' })
      if (flags.output !== 'table') printOne({ ...status, sinks }, flags.output)
      else
        printOne(
          { ...status, ...Object.fromEntries(sinks.map(sink => [`published ${sink.name}`, sink.published])) },
          'table'
        )
    })
}

export function stopCommand(): Command {
  return withStorage(new Command('stop'))
    .description('Stop a running job: it finishes what was read, takes a last checkpoint and publishes it.')
    .argument('<job>', jobArgument)
    .option('--now', 'at once, as if killed; the next start goes on from the last checkpoint')
    .addHelpText('after', '\nExamples:\n  cairn stop orders\n  cairn stop orders --now')
    .action(async (name: string, flags: { readonly storage: string; readonly now?: boolean }) => {
      const job = await findJob(name, flags.storage)
      const client = job.folder === undefined ? undefined : await ControlClient.open(job.folder)
      if (client === undefined) throw notRunning(job)
      await client.ask<'stop' | 'drain'>({ kind: flags.now === true ? 'stop' : 'drain' })
      await client.closed
      process.stderr.write(`job "${job.name}" has ended\n`)
    })
}
