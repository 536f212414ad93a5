/** Random lives of window stages: run by the product through `drive`, and by the oracle; both give rows per key. */
import fc from 'fast-check'
import type { Actor, ActorClass, Job, Window, Windowed, WindowOptions } from '../../actors/index.ts'
import {
  count,
  distinctCount,
  files,
  first,
  generator,
  global,
  job,
  json,
  last,
  max,
  mean,
  min,
  session,
  sliding,
  sum,
  tumbling
} from '../../actors/index.ts'
import { drive } from '../../simulations/driver/index.ts'
import { OracleWatermark, WindowOracle, type OracleWindow } from './window-oracle.ts'

export interface Reading {
  readonly key: string
  readonly time: number
  readonly id: number
}
export type Step =
  /** `tick` moves the watermark as an event does, and reaches no window. */
  | { readonly kind: 'event' | 'tick'; readonly key: string; readonly time: number }
  | { readonly kind: 'settle' | 'crash' }
  | { readonly kind: 'clock'; readonly ms: number }
export interface Life {
  readonly window: OracleWindow
  readonly processing: boolean
  readonly bound: number
  readonly parallelism: number
  /** Small: actors leave memory between two events. */
  readonly cacheBytes: number
  readonly steps: readonly Step[]
}
/** By key: rows in order. `late`: ids in order. */
export interface Outcome {
  readonly rows: Readonly<Record<string, readonly string[]>>
  readonly late: Readonly<Record<string, readonly number[]>>
}

const kind = fc.constantFrom('tumbling' as const, 'sliding' as const, 'session' as const, 'global' as const)
/** Around 1970, today, and both ends of what a Date can hold. */
const bases = [0, -1000, 1_700_000_000_000, 8.64e15 - 9e9, -8.64e15 + 1e9]

const shape = fc.record({
  kind,
  size: fc.integer({ min: 1, max: 20 }),
  every: fc.integer({ min: 1, max: 25 }),
  gap: fc.integer({ min: 1, max: 12 }),
  offset: fc.integer({ min: -9, max: 9 }),
  lateness: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 })),
  everyNth: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  earlyAfter: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined })
})
const rawStep = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('event' as const), key: fc.constantFrom('a', 'b', 'c'), at: fc.nat(90) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const), key: fc.constant(''), at: fc.nat(90) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'crash' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('clock' as const), ms: fc.nat(15) }) }
)
const raw = fc.record({
  shape,
  base: fc.constantFrom(...bases),
  /** Milliseconds, or hours: whatever is out of order is so by hours then. */
  scale: fc.constantFrom(1, 3_600_000),
  bound: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100 })),
  drift: fc.nat(4),
  parallelism: fc.constantFrom(1, 3),
  cacheBytes: fc.constantFrom(1, 2 ** 28),
  steps: fc.array(rawStep, { maxLength: 60, size: 'max' })
})

export const eventTimeLife: fc.Arbitrary<Life> = raw.map(
  ({ shape, base, scale, bound, drift, parallelism, cacheBytes, steps }) => {
    const global = shape.kind === 'global'
    return {
      window: {
        ...shape,
        size: shape.size * scale,
        every: shape.every * scale,
        gap: shape.gap * scale,
        offset: shape.offset * scale,
        lateness: global ? 0 : shape.lateness * scale,
        everyNth: global && shape.earlyAfter === undefined ? (shape.everyNth ?? 2) : shape.everyNth,
        earlyAfter: shape.everyNth === undefined ? shape.earlyAfter : undefined
      },
      processing: false,
      bound: bound * scale,
      parallelism,
      cacheBytes,
      steps: steps.map((step, i) =>
        'at' in step ? { kind: step.kind, key: step.key, time: base + (i * drift + step.at) * scale } : step
      )
    }
  }
)

/** Times are those of the wall clock, which begins at 0. */
export const processingTimeLife: fc.Arbitrary<Life> = raw.map(({ shape, parallelism, cacheBytes, steps }) => ({
  window: {
    ...shape,
    kind: shape.kind === 'global' ? 'session' : shape.kind,
    lateness: 0,
    earlyAfter: shape.everyNth === undefined ? shape.earlyAfter : undefined
  },
  processing: true,
  bound: 0,
  parallelism,
  cacheBytes,
  steps: steps.map(step => ('at' in step ? { kind: step.kind, key: step.key, time: 0 } : step))
}))

function windowOf({ window, processing }: Life): Window {
  const time = processing ? 'processing' : 'event'
  switch (window.kind) {
    case 'tumbling':
      return tumbling(window.size, { offset: window.offset, time })
    case 'sliding':
      return sliding(window.size, window.every, { offset: window.offset, time })
    case 'session':
      return session(window.gap, { time })
    case 'global':
      return global()
  }
}

type Collected = Windowed<string> & { readonly ids: readonly number[] }
interface Aggregated extends Windowed<string> {
  readonly n: number
  readonly sum: number
  readonly mean: number
  readonly min: number
  readonly max: number
  readonly first: Reading
  readonly last: Reading
  readonly keys: number
}

export function windowJob(life: Life) {
  const { lateness, everyNth, earlyAfter } = life.window
  const early = everyNth === undefined ? earlyAfter : { every: everyNth }
  const options: WindowOptions = { lateness, trigger: early === undefined ? {} : { early } }
  return job(
    'windows',
    j => {
      const readings = j.source(
        'readings',
        generator<Reading>({ count: 0 }, () => ({ key: '', time: 0, id: 0 })),
        { time: reading => reading.time, outOfOrder: life.bound }
      )
      const keyed = readings.filter(reading => reading.key !== '').keyBy(reading => reading.key)
      const id = (reading: Reading): number => reading.id
      const collected = keyed
        .window(windowOf(life), { ...options, name: 'collected' })
        .collect((events, window): Collected => ({ ...window, ids: events.map(id) }))
      const aggregated = keyed.window(windowOf(life), { ...options, name: 'aggregated' }).aggregate({
        n: count(),
        sum: sum(id),
        mean: mean(id),
        min: min(id),
        max: max(id),
        first: first((reading: Reading) => reading),
        last: last((reading: Reading) => reading),
        keys: distinctCount((reading: Reading) => reading.key)
      })
      return {
        readings,
        collected: collected.to('collected-rows', files('collected', json<Collected>())),
        aggregated: aggregated.to('aggregated-rows', files('aggregated', json<Aggregated>())),
        late: collected.late.to('late', files('late', json<Reading>()))
      }
    },
    { parallelism: life.parallelism }
  )
}

type WindowJob = ReturnType<typeof windowJob>

/** The same job with another class in its window stages. */
export function planted(made: WindowJob, plant: (actor: ActorClass<Actor>) => ActorClass<Actor>): WindowJob {
  const nodes = made.plan.nodes.map(node => (node.kind === 'actor' ? { ...node, actor: plant(node.actor) } : node))
  return { ...made, plan: { ...made.plan, nodes } } satisfies Job<unknown>
}

const text = (window: Windowed<string>, rest: string): string =>
  `${window.start}..${window.end} ${window.firing} ${rest}`

/** What aggregates must say about the events that `collect` gave. */
function aggregatesOf(ids: readonly number[], life: readonly Reading[]): string {
  const readings = ids.map(id => life[id] as Reading)
  const total = ids.reduce((a, b) => a + b, 0)
  const [opening, closing] = [readings[0]?.id, readings.at(-1)?.id]
  return [ids.length, total, total / ids.length, Math.min(...ids), Math.max(...ids), opening, closing, 1].join()
}

export async function runProduct(life: Life, made: WindowJob = windowJob(life)): Promise<Outcome> {
  const d = await drive(made, { cacheBytes: life.cacheBytes })
  const readings: Reading[] = []
  for (const step of life.steps) {
    if (step.kind === 'settle') await d.settle()
    if (step.kind === 'crash') await d.crash()
    if (step.kind === 'clock') await d.advance(step.ms)
    if (step.kind === 'event' || step.kind === 'tick') {
      const reading = { key: step.key, time: step.time, id: readings.length }
      readings.push(reading)
      d.readings.push(reading)
    }
  }
  d.readings.end()
  await d.settle()
  const rows: Record<string, string[]> = {}
  const late: Record<string, number[]> = {}
  for (const row of d.collected.take())
    (rows[row.key] ??= []).push(text(row, `${row.ids.join()} ${aggregatesOf(row.ids, readings)}`))
  const aggregated: Record<string, string[]> = {}
  for (const row of d.aggregated.take()) {
    const { n, sum, mean, min, max, first, last, keys } = row
    ;(aggregated[row.key] ??= []).push(text(row, [n, sum, mean, min, max, first.id, last.id, keys].join()))
  }
  // A row of one stage stands for the row of the other: they differ by the ids alone.
  for (const key of new Set([...Object.keys(rows), ...Object.keys(aggregated)])) {
    const withoutIds = rows[key]?.map(row => row.split(' ').toSpliced(2, 1).join(' ')) ?? []
    if (withoutIds.join('\n') !== (aggregated[key] ?? []).join('\n'))
      throw new Error(`aggregates of ${key}: ${aggregated[key]?.join(' | ')}; by the events: ${withoutIds.join(' | ')}`)
    rows[key] = rows[key]?.map(row => row.split(' ').slice(0, 3).join(' ')) ?? []
  }
  for (const { key, id } of d.late.take()) (late[key] ??= []).push(id)
  return { rows, late }
}

export function runOracle(life: Life): Outcome {
  const oracles = new Map<string, WindowOracle>()
  const watermark = new OracleWatermark(life.bound)
  let now = 0
  let ids = 0
  const each = (act: (oracle: WindowOracle) => void): void => oracles.forEach(act)
  const moveClock = (to: number): void => {
    for (now++; now <= to; now++)
      each(oracle => {
        if (life.processing) oracle.advanceWatermark(now)
        oracle.advanceClock(now)
      })
    now = to
  }
  for (const step of life.steps) {
    if (step.kind === 'clock') moveClock(now + step.ms)
    if (step.kind !== 'event' && step.kind !== 'tick') continue
    const id = ids++
    if (step.kind === 'event') {
      let oracle = oracles.get(step.key)
      if (oracle === undefined) {
        oracles.set(step.key, (oracle = new WindowOracle(life.window)))
        oracle.advanceClock(now)
        if (life.processing) oracle.advanceWatermark(now)
        else if (watermark.value > -Infinity) oracle.advanceWatermark(watermark.value)
      }
      oracle.event(life.processing ? now : step.time, id)
    }
    if (!life.processing && watermark.observe(step.time)) each(oracle => oracle.advanceWatermark(watermark.value))
  }
  each(oracle => oracle.advanceWatermark(Infinity))
  const of = <T>(what: (oracle: WindowOracle) => readonly T[]): Record<string, readonly T[]> =>
    Object.fromEntries(
      [...oracles].map(([key, oracle]) => [key, what(oracle)] as const).filter(([, all]) => all.length > 0)
    )
  return { rows: of(oracle => oracle.rows), late: of(oracle => oracle.late) }
}

/** One line per difference; rows of processing time in any order, since what is due at one instant has none. */
export function compare(life: Life, product: Outcome, oracle: Outcome): string[] {
  const order = (rows: readonly string[]): string => (life.processing ? [...rows].sort() : rows).join('\n')
  const differences: string[] = []
  for (const what of ['rows', 'late'] as const)
    for (const key of new Set([...Object.keys(product[what]), ...Object.keys(oracle[what])])) {
      const [got, expected] = [product[what][key] ?? [], oracle[what][key] ?? []].map(all => order(all.map(String)))
      if (got !== expected) differences.push(`${what} of ${key}:\n${got}\nexpected:\n${expected}`)
    }
  return differences
}
