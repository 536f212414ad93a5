/** Runs a job file, written in a test, under simulation. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { openUserJob } from '../../deploy/simulate/open-user-job.ts'
import { runScenario, type RunResult } from '../../simulations/cluster/run-scenario.ts'
import { drawScenario, type ScenarioOptions } from '../../simulations/cluster/scenario.ts'
import type { UserJob } from '../../simulations/user/user-job.ts'

export function runSeed(job: UserJob, seed: number, options: ScenarioOptions = {}): Promise<RunResult> {
  const scenario = drawScenario(String(seed), { services: true, ...options })
  return runScenario(scenario, {}, (drawn, time) => job.subject(drawn, time))
}

/** The first seed that does not pass; undefined: all pass. */
export async function firstFailure(
  job: UserJob,
  seeds: number,
  options: ScenarioOptions = {}
): Promise<RunResult | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    const result = await runSeed(job, seed, options)
    if (result.outcome !== 'passed') return result
  }
  return undefined
}

export function openText(t: Test, job: string, files: Record<string, string> = {}): Promise<UserJob> {
  const folder = t.testdir({ 'package.json': '{ "type": "module" }', 'job.ts': job, ...files })
  return openUserJob(join(folder, 'job.ts'))
}
