/** `npm run peers:kafka-streams`: the same programs here and in Kafka Streams. Exit codes: 0 every difference is explained, 1 one is not, 2 usage. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { service } from '../../simulations/chaos/installed.ts'
import { KafkaProcess } from '../../simulations/chaos/kafka-process.ts'
import { numberFrom } from '../../simulations/chaos/number-option.ts'
import { runProgram } from '../../simulations/chaos/run-program.ts'
import { peerRun } from './peer-run.ts'

interface Flags {
  readonly events: number
  readonly seed: number
}

async function main({ events, seed }: Flags): Promise<number> {
  // Before anything is started.
  service('kafka-streams')
  const folder = mkdtempSync(join(tmpdir(), 'cairn-peers-'))
  const kafka = await KafkaProcess.launch({ program: service('kafka'), folder: join(folder, 'kafka') })
  let unexplained = 0
  try {
    for (const partitions of [1, 3]) {
      const found = await peerRun({
        brokers: kafka.addresses(),
        folder: join(folder, String(partitions)),
        name: `peers${partitions}`,
        seed,
        events,
        partitions
      })
      process.stdout.write(`${partitions === 1 ? 'one partition' : `${partitions} partitions`}, ${events} events\n`)
      for (const [program, { equal, explained, unexplained: sentences }] of found) {
        process.stdout.write(`  ${program}: ${equal} equal\n`)
        for (const [reason, count] of explained) process.stdout.write(`    ${count} by ${reason}\n`)
        for (const sentence of sentences.slice(0, 10)) process.stdout.write(`    UNEXPLAINED: ${sentence}\n`)
        unexplained += sentences.length
      }
    }
  } finally {
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.stdout.write(
    unexplained === 0 ? 'every difference is explained\n' : `${unexplained} differences are not explained\n`
  )
  return unexplained === 0 ? 0 : 1
}

const program = new Command('peers:kafka-streams')
  .description('The same small programs in Cairn and in Kafka Streams, on one topic; their outputs are compared.')
  .option('--events <n>', 'of the input', numberFrom(1, true), 20_000)
  .option('--seed <n>', 'of the input', numberFrom(0, true), 1)
  .exitOverride()
await runProgram<Flags>(program, main)
