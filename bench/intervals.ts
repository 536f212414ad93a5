/** What checkpoints at an interval cost a job that is busy all the time: in turns with none, in one process, over one state. */
import { quantile } from './barrier.ts'
import { Filled, type SizedState } from './sized-state.ts'

export interface IntervalsSpec extends SizedState {
  readonly kind: 'intervals'
  /** How many keys the events change, over and over; one after the other. */
  readonly changed: readonly number[]
  readonly intervalsMs: readonly number[]
  readonly rounds: number
  /** Of each turn at least; it holds three intervals in any case. */
  readonly turnMs: number
}
/** Ratios are taken within a round, by the mean of the turns without checkpoints before and after; medians of all rounds. */
export interface IntervalsResult {
  readonly changed: number
  readonly intervalMs: number
  /** Of all rounds. */
  readonly checkpoints: number
  readonly perSecond: number
  readonly perSecondWithout: number
  /** By that without checkpoints, median and all of them. */
  readonly ratio: number
  readonly ratios: readonly number[]
  readonly cpuMicrosPerEvent: number
  readonly cpuMicrosPerEventWithout: number
}

interface Turn {
  readonly perSecond: number
  readonly cpuMicrosPerEvent: number
  readonly checkpoints: number
}

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
const mean = (a: number, b: number): number => (a + b) / 2
const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Half an interval before the first checkpoint and behind the last: what each leaves to be done falls into the turn. */
async function turn({ engine }: Filled, forMs: number, intervalMs?: number): Promise<Turn> {
  const { shell, worker } = engine
  const cpu = process.cpuUsage()
  const [start, events] = [performance.now(), worker.counts.events]
  const since = (): number => performance.now() - start
  let checkpoints = 0
  if (intervalMs !== undefined)
    for (let at = intervalMs / 2; at < forMs; at += intervalMs) {
      // What takes longer than its interval is followed by the next at once, as the engine does it.
      await sleep(Math.max(0, at - since()))
      await shell.checkpoint()
      checkpoints++
    }
  await sleep(Math.max(0, forMs - since()))
  await engine.applied()
  const handled = worker.counts.events - events
  const seconds = since() / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: handled / seconds, cpuMicrosPerEvent: (user + system) / handled, checkpoints }
}

export async function measureIntervals(spec: IntervalsSpec): Promise<IntervalsResult[]> {
  const filled = await Filled.start(spec)
  const results: IntervalsResult[] = []
  for (const changed of spec.changed) {
    await filled.change(changed, 0)
    filled.release()
    const turns = new Map<number, { with: Turn; without: readonly [Turn, Turn] }[]>(
      spec.intervalsMs.map(each => [each, []])
    )
    // Compiles.
    await turn(filled, spec.turnMs, spec.turnMs / 2)
    for (let round = 0; round < spec.rounds; round++)
      for (const [intervalMs, all] of turns) {
        const forMs = Math.max(spec.turnMs, 3 * intervalMs)
        const before = await turn(filled, forMs / 2)
        const own = await turn(filled, forMs, intervalMs)
        all.push({ with: own, without: [before, await turn(filled, forMs / 2)] })
      }
    await filled.hold()
    for (const [intervalMs, all] of turns) {
      const without = (of: (turn: Turn) => number): number[] => all.map(({ without: [a, b] }) => mean(of(a), of(b)))
      const plain = without(({ perSecond }) => perSecond)
      const ratios = all.map((each, round) => each.with.perSecond / (plain[round] as number))
      results.push({
        changed,
        intervalMs,
        checkpoints: all.reduce((sum, each) => sum + each.with.checkpoints, 0),
        perSecond: median(all.map(each => each.with.perSecond)),
        perSecondWithout: median(plain),
        ratio: median(ratios),
        ratios,
        cpuMicrosPerEvent: median(all.map(each => each.with.cpuMicrosPerEvent)),
        cpuMicrosPerEventWithout: median(without(({ cpuMicrosPerEvent }) => cpuMicrosPerEvent))
      })
    }
  }
  await filled.engine.close()
  return results
}
