/** What the command and the processes that run seeds tell each other. */
import type { CrashPoint, RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { Scenario } from '../../simulations/cluster/scenario.ts'

export interface SeedTask {
  readonly scenario: Scenario
  readonly story?: boolean
  /** Print each event of the world on standard output. */
  readonly trace?: boolean
  readonly crashPoint?: CrashPoint
}

export type SeedAnswer =
  { readonly kind: 'result'; readonly result: RunResult } | { readonly kind: 'error'; readonly message: string }
