import { createInterface } from 'node:readline'
import { Command, Option } from 'commander'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { ControlClient } from '../control-client.ts'
import { pageLimit } from '../control-protocol.ts'
import { askJob, notRunning } from '../job-answers.ts'
import { findJob, jobArgument, withStorage, type JobReference } from '../job-reference.ts'
import { cell, printRows, wholeNumber, withOutput, type OutputFormat } from '../output.ts'
import type { AppendRequest, NewRecord, ReadAnswer, ReadRecord } from '../topic-desk.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
}

export function logCommand(): Command {
  return new Command('log')
    .description("Topics of a job's embedded log: list, append, tail.")
    .addCommand(topics())
    .addCommand(append())
    .addCommand(tail())
}

function topics(): Command {
  return withOutput(withStorage(new Command('topics')))
    .description('Topics, and where each partition ends.')
    .argument('<job>', jobArgument)
    .addHelpText('after', '\nExample:\n  cairn log topics airports')
    .action(async (name: string, flags: Flags) => {
      const job = await findJob(name, flags.storage)
      const lines = await askJob<'topics'>(job, { kind: 'topics' })
      printRows(
        lines.map(line => ({ ...line })),
        flags.output,
        `job "${job.name}" has no topics`
      )
    })
}

interface AppendFlags extends Omit<AppendRequest, 'topic' | 'records'> {
  readonly storage: string
  readonly key?: string
}

/** Characters of one request's values. */
const batchCharacters = 256 * 1024

function append(): Command {
  return withStorage(new Command('append'))
    .description('Append values to a topic, durably; a topic that is not there is made.')
    .argument('<job>', jobArgument)
    .argument('<topic>')
    .argument('[values...]', 'each one a record; without any, the lines of standard input')
    .option('--key <text>', 'key of every record')
    .option('--partition <n>', 'default: by the key, and 0 without one', wholeNumber(0))
    .option('--partitions <n>', 'of a topic that is not there yet', wholeNumber(1))
    .option('--unchecked', "append also what the job's source could not read")
    .addHelpText(
      'after',
      `
Examples:
  cairn log append airports.ts flights '{"origin":"SFO","delay":12}'
  cairn log append airports flights --partition 1 < flights.ndjson`
    )
    .action(async (name: string, topic: string, values: string[], { storage, key, ...flags }: AppendFlags) => {
      const job = await findJob(name, storage)
      const keyed = (value: string): NewRecord => (key === undefined ? { value } : { key, value })
      let appended = 0
      const send = async (records: NewRecord[]): Promise<void> => {
        await askJob<'log-append'>(job, { kind: 'log-append', topic, ...flags, records })
        appended += records.length
      }
      if (values.length > 0) await send(values.map(keyed))
      else for await (const records of batches(process.stdin, keyed)) await send(records)
      process.stderr.write(`appended ${appended} ${appended === 1 ? 'record' : 'records'} to topic "${topic}"\n`)
    })
}

async function* batches(
  input: NodeJS.ReadableStream,
  keyed: (value: string) => NewRecord
): AsyncGenerator<NewRecord[]> {
  let batch: NewRecord[] = []
  let characters = 0
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line === '') continue
    batch.push(keyed(line))
    characters += line.length
    if (batch.length < pageLimit && characters < batchCharacters) continue
    yield batch
    batch = []
    characters = 0
  }
  if (batch.length > 0) yield batch
}

interface TailFlags extends Flags {
  readonly last: number
  readonly all?: boolean
  readonly partition?: number
  readonly follow?: boolean
}

function tail(): Command {
  return withStorage(new Command('tail'))
    .description('The newest records of a topic; with --follow those to come, too.')
    .argument('<job>', jobArgument)
    .argument('<topic>')
    .option('--last <n>', 'so many offsets before the end of each partition', wholeNumber(0), 10)
    .option('--all', 'from the beginning')
    .option('--partition <n>', 'only this one', wholeNumber(0))
    .option('-f, --follow', 'go on until interrupted; the job must run')
    .addOption(
      new Option('--output <format>', 'how to print it')
        .choices(['table', 'jsonl'])
        .env('CAIRN_OUTPUT')
        .default('table')
    )
    .addHelpText(
      'after',
      `
Examples:
  cairn log tail airports reports
  cairn log tail airports reports --follow --output jsonl
  cairn log tail airports airports-dead-letters --all`
    )
    .action(async (name: string, topic: string, flags: TailFlags) => {
      const job = await findJob(name, flags.storage)
      if (flags.follow === true) await follow(job, topic, flags)
      else await show(topic, flags, request => askJob<'log-read'>(job, { ...request, waitMs: 0 }))
    })
}

type Ask = (request: {
  readonly kind: 'log-read'
  readonly topic: string
  readonly partition?: number
  readonly positions?: number[]
  readonly last?: number
  readonly limit: number
}) => Promise<ReadAnswer>

/** Prints until nothing more is there; returns where it stands. */
async function show(topic: string, flags: TailFlags, ask: Ask, from?: readonly number[]): Promise<readonly number[]> {
  let positions = from
  for (;;) {
    const answer = await ask({
      kind: 'log-read',
      topic,
      limit: pageLimit,
      ...(flags.partition === undefined ? {} : { partition: flags.partition }),
      ...(positions !== undefined ? { positions: [...positions] } : flags.all === true ? {} : { last: flags.last })
    })
    for (const record of answer.records) print(record, flags.output)
    positions = answer.positions
    if (answer.records.length === 0) return positions
  }
}

/** How long the job waits for a record before it answers that there is none. */
const followWaitMs = 5000

async function follow(job: JobReference, topic: string, flags: TailFlags): Promise<void> {
  const client = job.folder === undefined ? undefined : await ControlClient.open(job.folder)
  if (client === undefined) throw notRunning(job, ', so nothing can be followed')
  const interrupted = (): void => client.close()
  process.once('SIGINT', interrupted)
  process.stdout.once('error', interrupted)
  let positions: readonly number[] | undefined
  try {
    for (;;)
      positions = await show(
        topic,
        flags,
        request => client.ask<'log-read'>({ ...request, waitMs: positions === undefined ? 0 : followWaitMs }),
        positions
      )
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'NOT_RUNNING') throw error
  } finally {
    client.close()
    process.off('SIGINT', interrupted)
  }
}

function print(record: ReadRecord, output: OutputFormat): void {
  if (output !== 'table') return printRows([{ ...record }], 'jsonl', '')
  const key = record.key === null ? '' : `${cell(record.key)}  `
  process.stdout.write(`${record.partition}/${record.offset}  ${key}${cell(record.value)}\n`)
}
