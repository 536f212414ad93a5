/** The options that `run` and `dev` share. Flags over environment over what the job says. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Plan } from '../actors/plan.ts'
import { parseDuration, parseSize, type Duration } from '../runtime/kernel/durations.ts'
import { withStorage } from './job-reference.ts'
import { wholeNumber } from './output.ts'
import type { StartOptions } from './running-job.ts'

export interface RunFlags {
  readonly storage: string
  readonly fresh?: boolean
  readonly parallelism?: number
  readonly interval?: number
  readonly store?: 'memory' | 'level'
  readonly cache?: number
  readonly check?: boolean
  readonly dropState?: readonly string[]
  readonly restore?: string
  readonly fork?: boolean
}

export function withRunFlags(command: Command): Command {
  return withStorage(command)
    .option('--fresh', 'start over: checkpoints and output folders are moved aside')
    .addOption(
      new Option('--store <kind>', 'where actors live that do not fit into the cache').choices(['memory', 'level'])
    )
    .option('--cache <size>', 'how much of the actors to keep ready, like 64MiB', text => {
      try {
        return parseSize(text, '--cache')
      } catch (error) {
        throw new InvalidArgumentError((error as Error).message)
      }
    })
    .option('--check', 'freeze events, and notice state that changes between handlers (slower; always on in dev)')
    .option('--drop-state <stage...>', 'give up the stored state of stages that the job no longer has')
    .option('--parallelism <n>', 'tasks per stage', wholeNumber(1))
    .option('--interval <duration>', 'time between checkpoints, like 100ms or 1s', text => {
      try {
        return parseDuration(text as Duration, '--interval')
      } catch (error) {
        throw new InvalidArgumentError((error as Error).message)
      }
    })
}

export function startOptions(flags: RunFlags): StartOptions {
  return {
    storage: flags.storage,
    fresh: flags.fresh === true,
    ...(flags.parallelism === undefined ? {} : { parallelism: flags.parallelism }),
    ...(flags.store === undefined ? {} : { store: flags.store }),
    ...(flags.cache === undefined ? {} : { cacheBytes: flags.cache }),
    ...(flags.check === undefined ? {} : { check: flags.check }),
    ...(flags.restore === undefined ? {} : { restore: flags.restore }),
    ...(flags.fork === undefined ? {} : { fork: flags.fork }),
    ...(flags.dropState === undefined ? {} : { dropState: flags.dropState }),
    ...(flags.interval === undefined ? {} : { intervalMs: flags.interval })
  }
}

export function writesToStdout(plan: Plan): boolean {
  return plan.nodes.some(node => node.kind === 'sink' && node.sink.connector === 'stdout')
}
