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
  { seed: '71', symptom: 'a jump of the wall clock made a partition idle, and its next events late' },
  {
    seed: '23',
    scenario: {
      seed: '23',
      workers: 1,
      joiners: 0,
      records: 45,
      inputMs: 7200,
      batch: 1,
      tasksPerWorker: 1,
      intervalMs: 1000,
      pendingLimitBytes: 4000,
      cacheBytes: 4000,
      cycles: false,
      transactionVersion: 2,
      firstProducerEpoch: 0,
      faults: [{ kind: 'slow-disk', atMs: 1251, forMs: 6749, host: 'w1', diskMs: 38.8 }],
      healAtMs: 8000
    },
    symptom:
      'an epoch decided while the local store was busy counted as applied: older records came back from the store'
  }
]
