/** `npm run chaos:kafka`: workers, NATS and three Kafka brokers under attack. Exit codes: 0 all is right, 1 it is not, 2 usage. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { service } from '../installed.ts'
import { faultKinds, kafkaRun, type KafkaFault } from './kafka-run.ts'
import { numberFrom } from '../number-option.ts'
import { runProgram } from '../run-program.ts'

interface Flags {
  readonly minutes: number
  readonly seed: number
  readonly workers: number
  readonly events?: number
  readonly keep?: boolean
}

/** Of ten minutes: 60 kills of workers, 20 pauses, 20 restarts of brokers, a million transfers. */
const perMinute: Readonly<Record<KafkaFault, number>> = {
  'kill-worker': 6,
  'pause-worker': 2,
  'stop-broker': 1,
  'kill-broker': 1
}
const eventsPerMinute = 100_000

const program = new Command('chaos:kafka')
  .description(
    'Transfers from Kafka to Kafka, exactly once, while workers and brokers are killed, paused and restarted.'
  )
  .option('--minutes <n>', 'how long faults are injected', numberFrom(0.2, false), 1)
  .option('--seed <n>', 'of the input and of the faults', numberFrom(0, true), 1)
  .option('--workers <n>', 'workers in a calm moment', numberFrom(2, true), 4)
  .option('--events <n>', `transfers in all (default: ${eventsPerMinute} a minute)`, numberFrom(1, true))
  .option('--keep', 'keep the folder of the run though all is right')
  .addHelpText(
    'after',
    `
Needs Kafka, its client and nats-server (npm run services -- install). Exit codes: 0 all is right, 1 it is not, 2 usage, 130 interrupted.`
  )
  .exitOverride()

async function main({ minutes, seed, workers, events, keep }: Flags): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-kafka-chaos-'))
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  const counts = Object.fromEntries(faultKinds.map(kind => [kind, Math.ceil(perMinute[kind] * minutes)])) as Record<
    KafkaFault,
    number
  >
  const all = events ?? Math.ceil(eventsPerMinute * minutes)
  say(`seed ${seed}, ${minutes} minutes, ${workers} workers, ${all} transfers; in ${folder}`)
  const report = await kafkaRun({
    folder,
    seed,
    durationMs: minutes * 60_000,
    workers,
    events: all,
    counts,
    natsProgram: service('nats-server'),
    kafkaProgram: service('kafka'),
    say
  })
  const { struck, unasked, totalMs, transactions } = report
  const wrong = [...report.wrong, ...(transactions?.tooLong ?? [])]
  const faults = faultKinds.map(kind => `${struck[kind]} ${kind}`).join(', ')
  process.stdout.write(`${all} transfers, ${faults}; ${unasked.length} ends unasked; ${Math.round(totalMs / 1000)} s\n`)
  if (transactions !== undefined) {
    const { ended, longestMs, longestAwayMs, left, longestLeftMs } = transactions
    process.stdout.write(
      `${ended} transactions, open for ${longestMs} ms at most with all brokers up, ${longestAwayMs} ms with one away; ${left} left by workers, and ended by successors after ${longestLeftMs} ms at most\n`
    )
  }
  for (const sentence of wrong) process.stdout.write(`WRONG: ${sentence}\n`)
  if (wrong.length === 0)
    process.stdout.write(
      'every transfer is booked once on both sides, in order; no transaction is open, and the group has read everything\n'
    )
  if (wrong.length === 0 && keep !== true) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  else process.stdout.write(`logs, brokers and checkpoints: ${folder}\n`)
  return wrong.length === 0 ? 0 : 1
}

await runProgram<Flags>(program, main)
