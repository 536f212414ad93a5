/** One process of the pool: runs a scenario at a time and answers with its result. */
import { runScenario, type RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { UserJob } from '../../simulations/user/user-job.ts'
import type { SeedAnswer, SeedTask } from './messages.ts'
import { openUserJob } from './open-user-job.ts'

const answer = (message: SeedAnswer): void => void process.send?.(message)

/** Compiled and recorded once: this process runs many seeds of it. */
let opened: { readonly path: string; readonly job: Promise<UserJob> } | undefined

async function run({ scenario, job, story, trace }: SeedTask): Promise<RunResult> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const options = { story: story === true, ...(trace === true ? { trace: print } : {}) }
  if (job === undefined) return runScenario(scenario, options)
  if (opened?.path !== job) opened = { path: job, job: openUserJob(job) }
  const user = await opened.job
  return runScenario(scenario, options, (drawn, time) => user.subject(drawn, time))
}

process.on('message', (task: SeedTask) => {
  run(task).then(
    result => answer({ kind: 'result', result }),
    (error: unknown) =>
      answer({ kind: 'error', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  )
})
// The parent is gone: nobody wants the result.
process.on('disconnect', () => process.exit(0))
