/** The options that `run` and `dev` share. Flags over environment over file over what the job says. */
import type { Plan } from '../actors/plan.ts'
import type { CodedError } from '../runtime/kernel/errors.ts'
import type { StartOptions } from './running-job.ts'
import type { RunAloneValues, RunValues } from './settings/tables.ts'

/** @param troubled told of what goes wrong outside and is tried again */
export function startOptions(
  flags: RunValues & Partial<RunAloneValues>,
  troubled?: (error: CodedError) => void
): StartOptions {
  return {
    storage: flags.storage,
    fresh: flags.fresh === true,
    kafka: { settings: flags, ...(troubled === undefined ? {} : { troubled }) },
    ...(flags.parallelism === undefined ? {} : { parallelism: flags.parallelism }),
    ...(flags.store === undefined ? {} : { store: flags.store }),
    ...(flags.cache === undefined ? {} : { cacheBytes: flags.cache }),
    ...(flags.check === undefined ? {} : { check: flags.check }),
    ...(flags.restore === undefined ? {} : { restore: flags.restore }),
    ...(flags.fork === undefined ? {} : { fork: flags.fork }),
    ...(flags.tracing === undefined ? {} : { tracing: flags.tracing }),
    ...(flags.dropState === undefined ? {} : { dropState: flags.dropState }),
    ...(flags.interval === undefined ? {} : { intervalMs: flags.interval }),
    ...(flags.latency === undefined ? {} : { latencyMs: flags.latency })
  }
}

export function writesToStdout(plan: Plan): boolean {
  return plan.nodes.some(node => node.kind === 'sink' && node.sink.connector === 'stdout')
}
