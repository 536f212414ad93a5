/** One process of the pool: runs a scenario at a time and answers with its result. Its argument, if there is one, is a job file. */
import { runScenario, type RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { SeedAnswer, SeedTask } from './messages.ts'
import { openUserJob } from './open-user-job.ts'

const [path] = process.argv.slice(2)
/** Compiled once; evaluated anew for each process of each world. */
const opened = path === undefined ? undefined : openUserJob(path)
opened?.catch(() => undefined)

async function run({ scenario, story, trace, crashPoint }: SeedTask): Promise<RunResult> {
  const job = await opened
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const options = {
    story: story === true,
    ...(trace === true ? { trace: print } : {}),
    ...(crashPoint === undefined ? {} : { crashPoint })
  }
  return job === undefined
    ? runScenario(scenario, options)
    : runScenario(scenario, options, (drawn, time) => job.subject(drawn, time))
}

const answer = (message: SeedAnswer): void => void process.send?.(message)

process.on('message', (task: SeedTask) => {
  run(task).then(
    result => answer({ kind: 'result', result }),
    (error: unknown) =>
      answer({ kind: 'error', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  )
})
// The parent is gone: nobody wants the result.
process.on('disconnect', () => process.exit(0))
