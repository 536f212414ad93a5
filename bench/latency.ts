/** A latency goal with events that come at a rate: the interval it comes to, how late output is, and what checkpoints take of the time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Actor, files, job, json, lines, type Context } from '../actors/index.ts'
import { quantile } from './barrier.ts'
import { startEngine } from './engine.ts'
import { EventReader, type Events } from './events.ts'

interface Visit {
  readonly account: string
  readonly n: number
}

export interface LatencySpec {
  readonly kind: 'latency'
  readonly goalMs: number
  readonly share: number
  readonly perSecond: number
  /** Events come to one after the other: so many change in an interval, as long as there are events for them. */
  readonly keys: number
  readonly seconds: number
  /** Before it is looked at. */
  readonly warmSeconds: number
}
export interface LatencyResult {
  readonly intervalMs: { readonly p50: number; readonly least: number; readonly most: number }
  /** From when an event can be read to when its output is published. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly most: number }
  readonly checkpoints: number
  /** From the barrier to the decision. */
  readonly checkpointMs: number
  /** Of the time, in which one was under way, up to its decision. */
  readonly underWay: number
  /** Of the time, which encoding for them took of the worker. */
  readonly work: number
  readonly kept: boolean
  readonly cores: number
}

class Counter extends Actor {
  count = 0
  receive({ n }: Visit, ctx: Context<number>): void {
    this.count++
    ctx.emit(n)
  }
}

const tickMs = 5

export async function measureLatency(spec: LatencySpec): Promise<LatencyResult> {
  const { goalMs, share, perSecond, keys, seconds, warmSeconds } = spec
  const perTick = Math.ceil((perSecond * tickMs) / 1000)
  const count = perTick * Math.ceil(((seconds + warmSeconds + 60) * 1000) / tickMs)
  const events: Events = { count, value: n => Buffer.from(`{"account":"acc-${n % keys}","n":${n}}`) }
  const reader = new EventReader(events, 0)
  const releasedAt: number[] = []
  const latencies: number[] = []
  let measures = false
  const engine = await startEngine(
    job(
      'latency',
      j => {
        const stage = j
          .source('visits', lines('unused', json<Visit>()))
          .keyBy(visit => visit.account)
          .actor(Counter)
        return { out: stage.to('out', files('unused', json<number>())) }
      },
      { interval: { latency: goalMs, share } }
    ),
    reader,
    {
      take(records) {
        if (!measures) return
        const now = performance.now()
        for (const { value } of records)
          latencies.push(now - (releasedAt[Math.floor(Number(Buffer.from(value ?? [])) / perTick)] as number))
      }
    }
  )
  const began = performance.now()
  const feed = setInterval(() => {
    while (releasedAt.length < (performance.now() - began) / tickMs) releasedAt.push(performance.now())
    reader.release(Math.min(count, releasedAt.length * perTick))
  }, tickMs)
  engine.shell.start()
  await sleep(warmSeconds * 1000)
  measures = true
  const from = performance.now()
  const cpu = process.cpuUsage()
  const { encodeMs = 0 } = engine.worker
  const intervals: number[] = []
  const durations: number[] = []
  for (let epoch = engine.shell.lastCheckpoint?.epoch; performance.now() - from < seconds * 1000; await sleep(2)) {
    const last = engine.shell.lastCheckpoint
    if (last === undefined || last.epoch === epoch) continue
    epoch = last.epoch
    durations.push(last.durationMs)
    intervals.push(engine.shell.pace.intervalMs)
  }
  measures = false
  const { user, system } = process.cpuUsage(cpu)
  const elapsed = performance.now() - from
  clearInterval(feed)
  const work = ((engine.worker.encodeMs ?? 0) - encodeMs) / elapsed
  const kept = engine.shell.pace.goal?.kept === true
  await engine.close()
  return {
    intervalMs: { p50: quantile(intervals, 0.5), least: Math.min(...intervals), most: Math.max(...intervals) },
    latencyMs: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), most: quantile(latencies, 1) },
    checkpoints: durations.length,
    checkpointMs: quantile(durations, 0.5),
    underWay: durations.reduce((sum, each) => sum + each, 0) / elapsed,
    work,
    kept,
    cores: (user + system) / 1000 / elapsed
  }
}
