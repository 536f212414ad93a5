/** `npm run chaos`: a cluster of real processes under attack. Exit codes: 0 all is right, 1 it is not, 2 usage. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { chaosRun } from './chaos-run.ts'
import { service } from './installed.ts'
import { insideNamespace, namespacesAllowed } from './namespace-network.ts'
import { networkNames, type NetworkName } from './network.ts'
import { plantAll } from './planted.ts'
import { describe, passed } from './report.ts'
import { numberFrom } from './number-option.ts'
import { runProgram } from './run-program.ts'

interface Flags {
  readonly minutes: number
  readonly seed: number
  readonly workers: number
  readonly events?: number
  readonly network?: NetworkName
  readonly keep?: boolean
  readonly planted?: boolean | string
}

/** Of ten minutes. */
const eventsPerMinute = 102_000

const program = new Command('chaos')
  .description(
    'Starts a cluster of real processes, kills, pauses, cuts off, adds and drains workers while a job runs, then compares output and state with a model.'
  )
  .option(
    '--minutes <n>',
    'how long faults are injected; the job takes about half as long again',
    numberFrom(0.2, false),
    1
  )
  .option('--seed <n>', 'of the input and of the plan of faults', numberFrom(0, true), 1)
  .option('--workers <n>', 'workers in a calm moment', numberFrom(4, true), 4)
  .option('--events <n>', `events in all (default: ${eventsPerMinute} a minute)`, numberFrom(1, true))
  .addOption(
    new Option(
      '--network <kind>',
      'what is cut: packets between namespaces, or connections through proxies (default: namespaces where the machine allows them)'
    ).choices(networkNames)
  )
  .option('--keep', 'keep the folder of the run though all is right')
  .option(
    '--planted [name]',
    'plant mistakes (those with that in their name) into copies of the build; each must be noticed'
  )
  .addHelpText(
    'after',
    `
Examples:
  npm run chaos -- --minutes 10
  npm run chaos -- --minutes 2 --seed 7 --keep
  npm run chaos -- --planted

Needs nats-server (npm run services -- install). Exit codes: 0 all is right, 1 it is not or the run did not finish, 2 usage, 130 interrupted.`
  )
  .exitOverride()

async function main(flags: Flags): Promise<number> {
  const network = flags.network ?? (flags.planted === undefined && namespacesAllowed() ? 'namespaces' : 'proxies')
  if (network === 'namespaces') {
    const code = await insideNamespace()
    if (code !== undefined) return code
  }
  const folder = mkdtempSync(join(tmpdir(), 'cairn-chaos-'))
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const { seed, minutes, workers, keep } = flags
  const events = flags.events ?? Math.ceil(eventsPerMinute * minutes)
  const natsProgram = service('nats-server')
  if (flags.planted !== undefined) {
    const only = typeof flags.planted === 'string' ? flags.planted : ''
    const unnoticed = await plantAll(only, { folder, seed, workers, natsProgram, network, say })
    if (keep === true) process.stdout.write(`what the runs left: ${folder}\n`)
    else rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    return unnoticed === 0 ? 0 : 1
  }
  say(`seed ${seed}, ${minutes} minutes, ${workers} workers, ${events} events, ${network}; in ${folder}`)
  const durationMs = minutes * 60_000
  const report = await chaosRun({ folder, seed, durationMs, workers, events, natsProgram, network, say, progress: say })
  process.stdout.write(`${describe(report)}\n`)
  if (passed(report) && keep !== true) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  else process.stdout.write(`logs, output and checkpoints: ${folder}\n`)
  return passed(report) ? 0 : 1
}

await runProgram<Flags>(program, main)
