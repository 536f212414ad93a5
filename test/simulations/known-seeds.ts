/** Seeds, or smaller scenarios made of them, that failed once, and what was wrong. */
import type { Scenario } from '../../simulations/cluster/scenario.ts'

export interface KnownSeed {
  readonly seed: string
  /** Where the seed alone would draw something else today. */
  readonly scenario?: Scenario
  readonly symptom: string
}

export const knownSeeds: readonly KnownSeed[] = [
  { seed: '55', symptom: 'files were deleted one by one, and checkpoints came faster than that' },
  { seed: '71', symptom: 'a jump of the wall clock made a partition idle, and its next events late' }
]
