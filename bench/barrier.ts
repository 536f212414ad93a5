/**
 * What a checkpoint does to the events around it. Pause = the longest gap between two completed events within a second after a
 * barrier; how much of it was garbage collection is told apart.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { Actor, files, job, json, lines, type Context } from '../actors/index.ts'
import type { KeyedTask } from '../runtime/core/keyed-task.ts'
import { handled, startEngine } from './engine.ts'
import { EventBytes, EventReader, type Payment } from './events.ts'

export interface BarrierSpec {
  readonly kind: 'barrier'
  readonly keys: number
  readonly changed: number
  readonly barriers: number
}
export interface BarrierResult {
  /** `allDirty`: when (almost) every key had changed. */
  readonly sealMs: { readonly allDirty: number; readonly median: number; readonly worst: number }
  readonly pauseMs: { readonly p50: number; readonly p99: number; readonly worst: number }
  /** Of the pauses: garbage collection that lies within them. */
  readonly gcMs: { readonly p50: number; readonly p99: number; readonly worst: number }
  /** Pause without garbage collection: what the barrier's own work causes at most. */
  readonly workMs: { readonly p50: number; readonly p99: number; readonly worst: number }
  readonly checkpointMs: { readonly median: number }
  readonly deltaBytes: number
}

/** End of the newest handler, and the longest gap since it was asked for. */
let last = 0
let longest = 0
let gapEnd = 0

class Account extends Actor {
  count = 0
  total = 0
  receive(payment: Payment, _ctx: Context<never>): void {
    this.count++
    this.total += payment.amount
    const now = performance.now()
    if (now - last > longest) {
      longest = now - last
      gapEnd = now
    }
    last = now
  }
}

export async function measureBarrier(spec: BarrierSpec): Promise<BarrierResult> {
  const { keys, changed, barriers } = spec
  // Every key once, then rounds that change `changed` of them and go on while the checkpoint is taken.
  const perRound = 3 * changed
  const fill = new EventBytes(keys + barriers * perRound, keys, 'uniform', undefined, i =>
    i < keys ? i : (((i - keys) % changed) * Math.max(1, Math.floor(keys / changed))) % keys
  )
  const reader = new EventReader(fill, 1000)
  const engine = await startEngine(
    job(
      'barrier',
      j => {
        const stage = j
          .source('payments', lines('unused', json<Payment>()))
          .keyBy(p => p.account)
          .actor(Account)
        return { out: stage.to('out', files('unused', json<never>())) }
      },
      { interval: 3_600_000 }
    ),
    reader
  )
  const collections: { start: number; end: number }[] = []
  const observer = new PerformanceObserver(list => {
    for (const entry of list.getEntries())
      collections.push({ start: entry.startTime, end: entry.startTime + entry.duration })
  })
  observer.observe({ entryTypes: ['gc'] })
  const seals = timeSeals(engine.worker.keyedTasks(1))
  engine.shell.start()
  // Once, so that the first sealing measured is not the first ever.
  await handled(engine, 1000)
  await engine.shell.checkpoint()
  reader.release(keys)
  await handled(engine, keys)
  await engine.shell.checkpoint()
  const pauses: number[] = []
  const gcs: number[] = []
  const durations: number[] = []
  let deltaBytes = 0
  for (let round = 0; round < barriers; round++) {
    const base = keys + round * perRound
    reader.release(base + changed)
    await handled(engine, base + changed)
    // Events keep coming while the checkpoint of those is taken.
    const before = engine.storage.bytes
    reader.release(base + perRound)
    await handled(engine, base + changed + 1)
    longest = 0
    const start = performance.now()
    const decided = engine.shell.checkpoint()
    await decided
    durations.push(performance.now() - start)
    deltaBytes = engine.storage.bytes - before
    await handled(engine, base + perRound)
    await new Promise(resolve => setTimeout(resolve, 20))
    pauses.push(longest)
    const [from, to] = [gapEnd - longest, gapEnd]
    gcs.push(collections.reduce((sum, gc) => sum + Math.max(0, Math.min(to, gc.end) - Math.max(from, gc.start)), 0))
    collections.length = 0
  }
  observer.disconnect()
  reader.release(fill.count)
  await engine.close()
  const work = pauses.map((pause, i) => pause - (gcs[i] as number))
  return {
    sealMs: { allDirty: seals[1] ?? NaN, median: quantile(seals.slice(2), 0.5), worst: Math.max(...seals) },
    pauseMs: spread(pauses),
    gcMs: spread(gcs),
    workMs: spread(work),
    checkpointMs: { median: quantile(durations, 0.5) },
    deltaBytes
  }
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

function spread(values: readonly number[]) {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99), worst: Math.max(...values) }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}
