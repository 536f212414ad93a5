/** The options that `run` and `dev` share. Flags over environment over file over what the job says. */
import type { Plan } from '../actors/plan.ts'
import type { StartOptions } from './running-job.ts'
import type { RunAloneValues, RunValues } from './settings/tables.ts'

export function startOptions(flags: RunValues & Partial<RunAloneValues>): StartOptions {
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
