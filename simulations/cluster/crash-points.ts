/**
 * Every crash point: one scenario of a few checkpoints with a worker that joins in the middle (so that slots move), run once for each
 * effect that any worker has on the world, dying just before it and just after it.
 */
import type { CrashPoint, RunResult } from './run-scenario.ts'
import type { Scenario } from './scenario.ts'

export const crashPointScenario: Scenario = {
  seed: 'crash points',
  workers: 2,
  joiners: 1,
  records: 60,
  inputMs: 2_500,
  batch: 8,
  tasksPerWorker: 1,
  intervalMs: 300,
  pendingLimitBytes: 1_000_000,
  cycles: false,
  transactionVersion: 2,
  firstProducerEpoch: 0,
  faults: [{ kind: 'join', host: 'j1', atMs: 1_300, forMs: 0 }],
  healAtMs: 1_400
}

export interface CrashPointRuns {
  readonly effects: number
  readonly runs: number
  readonly failed: readonly (readonly [CrashPoint, RunResult])[]
}

/**
 * @param every 1 = each effect; larger ones leave out those between
 * @param lanes runs under way at once
 */
export async function runCrashPoints(
  run: (crashPoint: CrashPoint | undefined) => Promise<RunResult>,
  every: number,
  progress: (done: number, all: number, failed: number) => void = () => undefined,
  lanes = 1
): Promise<CrashPointRuns> {
  const { effects } = await run(undefined)
  const points = Array.from({ length: Math.ceil(effects / every) }, (_, i) => i * every).flatMap(
    (effect): CrashPoint[] => [
      { effect, when: 'before' },
      { effect, when: 'after' }
    ]
  )
  const failed: [CrashPoint, RunResult][] = []
  let [next, done] = [0, 0]
  const lane = async (): Promise<void> => {
    for (let point = points[next++]; point !== undefined; point = points[next++]) {
      const result = await run(point)
      if (result.outcome !== 'passed') failed.push([point, result])
      progress(++done, points.length, failed.length)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  failed.sort(([a], [b]) => a.effect - b.effect || (a.when < b.when ? 1 : -1))
  return { effects, runs: points.length, failed }
}
