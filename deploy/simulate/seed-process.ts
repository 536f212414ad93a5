/** One process of the pool: runs a scenario at a time and answers with its result. */
import { runScenario } from '../../simulations/cluster/run-scenario.ts'
import type { SeedAnswer, SeedTask } from './messages.ts'

const answer = (message: SeedAnswer): void => void process.send?.(message)

process.on('message', ({ scenario, story, trace }: SeedTask) => {
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  runScenario(scenario, { story: story === true, ...(trace === true ? { trace: print } : {}) }).then(
    result => answer({ kind: 'result', result }),
    (error: unknown) =>
      answer({ kind: 'error', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  )
})
// The parent is gone: nobody wants the result.
process.on('disconnect', () => process.exit(0))
