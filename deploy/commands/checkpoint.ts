import { Command } from 'commander'
import type { Manifest } from '../../checkpoint/manifest.ts'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { printOne, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
}

const epochArgument = 'number of the checkpoint; default: the newest'

export function checkpointCommand(): Command {
  return new Command('checkpoint')
    .description('List, inspect, verify and take checkpoints.')
    .addCommand(list())
    .addCommand(inspect())
    .addCommand(verify())
    .addCommand(create())
}

function subcommand(name: string, description: string, example: string): Command {
  return withOutput(withStorage(new Command(name)))
    .description(description)
    .argument('<job>', jobArgument)
    .addHelpText('after', `\nExample:\n  cairn checkpoint ${name} ${example}`)
}

function list(): Command {
  return subcommand('list', 'Completed checkpoints, newest first.', 'orders').action(
    async (name: string, flags: Flags) => {
      const job = await findJob(name, flags.storage)
      const lines = await askJob<'checkpoint-list'>(job, { kind: 'checkpoint-list' })
      printRows(
        lines.map(line => ({ ...line })),
        flags.output,
        `job "${job.name}" has no completed checkpoint`
      )
    }
  )
}

function inspect(): Command {
  return subcommand('inspect', 'What a checkpoint holds: positions, files, ledgers.', 'orders 42 --output json')
    .argument('[epoch]', epochArgument, wholeNumber(0))
    .action(async (name: string, epoch: number | undefined, flags: Flags) => {
      const job = await findJob(name, flags.storage)
      const manifest = await askJob<'checkpoint-inspect'>(job, {
        kind: 'checkpoint-inspect',
        ...(epoch === undefined ? {} : { epoch })
      })
      if (flags.output === 'table') printManifest(manifest)
      else printOne({ ...manifest }, flags.output)
    })
}

function printManifest(manifest: Manifest): void {
  const { stages, sources, outboxes, ledgers, ...rest } = manifest
  printOne(rest, 'table')
  const section = (title: string, rows: readonly Record<string, unknown>[]): void => {
    if (rows.length === 0) return
    process.stdout.write(`\n${title}\n`)
    printRows(rows, 'table', '')
  }
  section(
    'sources',
    sources.flatMap(source => source.partitions.map(partition => ({ source: source.name, ...partition })))
  )
  section(
    'stages',
    stages.map(({ name, files, watermarks }) => ({
      stage: name,
      files: files.length,
      bytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
      watermarks
    }))
  )
  section(
    'output not known to be published',
    outboxes.map(({ stage, task, epoch, file }) => ({ stage, task, epoch, bytes: file.sizeBytes, file: file.name }))
  )
  section(
    'ledgers',
    ledgers.map(ledger => ({ ...ledger }))
  )
}

function verify(): Command {
  return subcommand(
    'verify',
    'Read every file of a checkpoint and check every record. Exit code 1 on damage.',
    'orders'
  )
    .argument('[epoch]', epochArgument, wholeNumber(0))
    .action(async (name: string, epoch: number | undefined, flags: Flags) => {
      const job = await findJob(name, flags.storage)
      const verified = await askJob<'checkpoint-verify'>(job, {
        kind: 'checkpoint-verify',
        ...(epoch === undefined ? {} : { epoch })
      })
      const { problems } = verified
      if (flags.output === 'table') {
        printOne({ ...verified, problems: problems.length }, 'table')
        for (const problem of problems) process.stdout.write(`${problem}\n`)
      } else printOne({ ...verified }, flags.output)
      if (problems.length > 0) process.exitCode = 1
    })
}

function create(): Command {
  return subcommand('create', 'Ask the running job for a checkpoint now, and wait for it.', 'orders').action(
    async (name: string, flags: Flags) => {
      const job = await findJob(name, flags.storage)
      printOne((await askJob<'checkpoint-create'>(job, { kind: 'checkpoint-create' })) as never, flags.output)
    }
  )
}
