/**
 * Makes a failing scenario smaller while it goes on failing in the same way: fewer faults (delta debugging: Zeller and Hildebrandt, 2002),
 * fewer workers, a shorter run. Each fault and each subsystem draws from a stream of its own, so what is left stays as it was.
 */
import type { RunResult } from './run-scenario.ts'
import type { Scenario } from './scenario.ts'

export interface Shrunk {
  readonly scenario: Scenario
  readonly result: RunResult
  readonly runs: number
}

export interface ShrinkOptions {
  readonly run: (scenario: Scenario) => Promise<RunResult>
  /** Runs at most. */
  readonly runs: number
  readonly progress?: (text: string) => void
}

export async function shrink(scenario: Scenario, failed: RunResult, options: ShrinkOptions): Promise<Shrunk> {
  let best: Shrunk = { scenario, result: failed, runs: 0 }
  let runs = 0
  const attempt = async (smaller: Scenario): Promise<boolean> => {
    if (runs >= options.runs) return false
    runs++
    const result = await options.run(smaller)
    if (!sameFailure(failed, result)) return false
    best = { scenario: smaller, result, runs }
    options.progress?.(`${smaller.faults.length} faults, ${smaller.workers} workers, ${smaller.records} records`)
    return true
  }
  for (let again = true; again && runs < options.runs;) {
    again = false
    if (await fewerFaults(() => best.scenario, attempt)) again = true
    for (const smaller of simpler(best.scenario)) if (await attempt(smaller)) again = true
  }
  return { ...best, runs }
}

/** The first checker that found something does so again, or it is stuck again, or threw again. */
function sameFailure(a: RunResult, b: RunResult): boolean {
  if (a.outcome !== b.outcome) return false
  const [first] = a.findings
  return first === undefined || b.findings.some(({ checker }) => checker === first.checker)
}

/** Takes away halves, quarters, … and single faults. */
async function fewerFaults(
  current: () => Scenario,
  attempt: (scenario: Scenario) => Promise<boolean>
): Promise<boolean> {
  let any = false
  for (let size = Math.ceil(current().faults.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let from = current().faults.length - size; from > -size; from -= size) {
      const { faults } = current()
      if (faults.length === 0) return any
      const at = Math.max(0, from)
      const left = faults.toSpliced(at, Math.min(size, from + size - at))
      if (await attempt({ ...current(), faults: left })) any = true
    }
  return any
}

/** One thing simpler each. */
function* simpler(scenario: Scenario): Generator<Scenario> {
  const { workers, joiners, records, events, tasksPerWorker } = scenario
  const all = { ...scenario }
  if (workers > 1) yield { ...all, workers: workers - 1 }
  if (joiners > 0) yield { ...all, joiners: 0 }
  if (tasksPerWorker > 1) yield { ...all, tasksPerWorker: 1 }
  if (events !== undefined) yield { ...all, events: events >> 1 }
  if (records > 20) yield { ...all, records: records >> 1 }
  if (records > 20) yield { ...all, records: Math.floor(records * 0.8) }
  for (const limit of [
    'events',
    'cacheBytes',
    'alignmentLimitMs',
    'loopLimit',
    'channels',
    'latencyGoal',
    'slice',
    'fleeting',
    'lateness',
    'upgrades'
  ] as const) {
    const { [limit]: value, ...rest } = all
    if (value !== undefined) yield rest
  }
  const last = Math.max(0, ...scenario.faults.map(({ atMs, forMs }) => atMs + forMs))
  if (last + 1_000 < scenario.healAtMs) yield { ...all, healAtMs: last + 1_000 }
}
