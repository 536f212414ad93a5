/**
 * The input of a chaos run: command n of partition p is a pure function of (seed, p, n), so that nothing need be kept to know the answer.
 *
 * Planted disorder: within a partition event times jump back by up to 1.5 s, less than the 2 s that the job allows for: nothing is late.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from './job.ts'

export const partitions = 6
export const accounts = 240
export const ledgers = 60
const disorderMs = 1_500
const firstAt = Date.UTC(2026, 0, 1)

export interface Commands {
  readonly seed: number
  readonly perPartition: number
  /** Event time from the first to the last; the job lets one second of it through per second. */
  readonly spanMs: number
}

/** Two rounds of the finaliser of MurmurHash3 (Austin Appleby). */
function mix(h: number): number {
  let x = h | 0
  for (let round = 0; round < 2; round++) {
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    x ^= x >>> 16
  }
  return x >>> 0
}

export function commandOf({ seed, perPartition, spanMs }: Commands, partition: number, n: number): Command {
  const chance = mix(Math.imul(seed, 0x9e3779b1) ^ Math.imul(n * partitions + partition, 0x85ebca77))
  const more = mix(chance ^ 0x27d4eb2f)
  // Those of an account are all in one partition, so that their order is the file's.
  const account = (chance % (accounts / partitions)) * partitions + partition
  return {
    kind: 'command',
    id: `p${partition}-${n}`,
    account: `a${account}`,
    to: `l${(chance >>> 8) % ledgers}`,
    amount: 1 + (more % 997),
    hops: (more >>> 10) % 64 === 0 ? 2 : (more >>> 10) % 8 === 0 ? 1 : 0,
    hold: (more >>> 16) % 10 === 0,
    at: firstAt + Math.floor((n / perPartition) * spanMs) - (n === 0 || (more >>> 20) % 8 > 0 ? 0 : chance % disorderMs)
  }
}

/** All of a partition, in the order of its file. */
export function* commandsOf(commands: Commands, partition: number): Generator<Command> {
  for (let n = 0; n < commands.perPartition; n++) yield commandOf(commands, partition, n)
}

const bufferBytes = 1 << 20

/** Writes `in/commands-<partition>.ndjson` below a folder. */
export function writeCommands(commands: Commands, folder: string): void {
  mkdirSync(join(folder, 'in'), { recursive: true })
  for (let partition = 0; partition < partitions; partition++) {
    const file = openSync(join(folder, 'in', `commands-${partition}.ndjson`), 'w')
    let text = ''
    for (const command of commandsOf(commands, partition)) {
      text += `${JSON.stringify(command)}\n`
      if (text.length < bufferBytes) continue
      writeSync(file, text)
      text = ''
    }
    writeSync(file, text)
    closeSync(file)
  }
}
