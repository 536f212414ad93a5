/**
 * What a checkpoint does to the events around it, while they come as fast as they are handled. Pause = the longest gap between two
 * completed events from the barrier until the checkpoint is decided; garbage collection within the gaps is told apart.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../actors/index.ts'
import type { KeyedTask } from '../runtime/core/keyed-task.ts'
import { Document } from './document.ts'
import type { Payment } from './events.ts'
import { Filled, type SizedState } from './sized-state.ts'

export interface BarrierSpec extends SizedState {
  readonly kind: 'barrier'
  /** How many keys change between two checkpoints; one after the other. */
  readonly changed: readonly number[]
  /** Checkpoints of each. */
  readonly barriers: number
}
/** In ms. */
export interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly worst: number
}
export interface BarrierResult {
  readonly changed: number
  readonly barriers: number
  /** `allDirty`: when (almost) every key had changed, or as many as change in a step of filling. */
  readonly sealMs: { readonly allDirty: number; readonly median: number; readonly worst: number }
  readonly pauseMs: Quantiles
  /** Garbage collection within the longest gap. */
  readonly gcMs: Quantiles
  /** The longest of all gaps, each without the garbage collection in it: what the barrier's own work causes at most. */
  readonly workMs: Quantiles
  /** The longest gap while no checkpoint is taken, in as much time before the barrier as the checkpoint before took. */
  readonly withoutMs: Quantiles
  readonly checkpointMs: { readonly median: number }
}

/** Shorter gaps between two handlers are not looked at. */
const leastGapMs = 0.2

/** Of performance.now(). */
interface Span {
  readonly start: number
  readonly end: number
}

/** End of the newest handler, and the gaps since they were asked for. */
let last = 0
let gaps: Span[] = []

class Account extends Document {
  receive(payment: Payment, _ctx: Context<never>): void {
    this.add(payment)
    const now = performance.now()
    if (now - last > leastGapMs) gaps.push({ start: last, end: now })
    last = now
  }
}

function taken(): Span[] {
  const all = gaps
  gaps = []
  return all
}

const lengthOf = ({ start, end }: Span): number => end - start
const longestOf = (spans: readonly Span[]): Span =>
  spans.reduce((longest, span) => (lengthOf(span) > lengthOf(longest) ? span : longest), { start: 0, end: 0 })
const within = (gap: Span, collections: readonly Span[]): number =>
  collections.reduce((sum, { start, end }) => sum + Math.max(0, Math.min(gap.end, end) - Math.max(gap.start, start)), 0)

export async function measureBarrier(spec: BarrierSpec): Promise<BarrierResult[]> {
  let collections: Span[] = []
  const observer = new PerformanceObserver(list => {
    for (const { startTime, duration } of list.getEntries())
      collections.push({ start: startTime, end: startTime + duration })
  })
  let seals: number[] = []
  const filled = await Filled.start(spec, Account, ({ worker }) => (seals = timeSeals(worker.keyedTasks(1))))
  const { shell } = filled.engine
  // The first is of a few keys.
  const allDirty = Math.max(...seals.slice(1))
  observer.observe({ entryTypes: ['gc'] })
  const results: BarrierResult[] = []
  for (const changed of spec.changed) {
    const [pauses, gcs, works]: [number[], number[], number[]] = [[], [], []]
    const [withouts, durations]: [number[], number[]] = [[], []]
    seals.length = 0
    // Who reads keys from disk does so before, and everything has been compiled.
    await filled.change(changed, 0)
    for (let round = 0; round < spec.barriers; round++) {
      await filled.change(changed, 0)
      taken()
      last = performance.now()
      filled.release()
      await sleep(durations.at(-1) ?? 0)
      withouts.push(lengthOf(longestOf(taken())))
      const start = performance.now()
      await shell.checkpoint()
      durations.push(performance.now() - start)
      const all = taken()
      await filled.hold()
      // Collections are told of in a later turn.
      await sleep(5)
      const longest = longestOf(all)
      pauses.push(lengthOf(longest))
      gcs.push(within(longest, collections))
      works.push(all.reduce((most, gap) => Math.max(most, lengthOf(gap) - within(gap, collections)), 0))
      collections = []
    }
    results.push({
      changed,
      barriers: spec.barriers,
      sealMs: { allDirty, median: quantile(seals, 0.5), worst: Math.max(...seals) },
      pauseMs: spread(pauses),
      gcMs: spread(gcs),
      workMs: spread(works),
      withoutMs: spread(withouts),
      checkpointMs: { median: quantile(durations, 0.5) }
    })
  }
  observer.disconnect()
  await filled.engine.close()
  return results
}

/** How long each sealing takes, measured around the very call. */
function timeSeals(tasks: readonly KeyedTask[]): number[] {
  const seals: number[] = []
  for (const { state } of tasks) {
    const seal = state.seal.bind(state)
    state.seal = epoch => {
      const start = performance.now()
      seal(epoch)
      seals.push(performance.now() - start)
    }
  }
  return seals
}

function spread(values: readonly number[]): Quantiles {
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map(q => quantile(values, q)) as [number, number, number]
  return { p50, p99, p999, worst: Math.max(...values) }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}
