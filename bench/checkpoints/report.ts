/** What the benchmark of checkpoints says: goals with their figures, tables, and charts against the size of the state and against what changed. */
import type { BarrierResult } from '../barrier.ts'
import type { IntervalsResult } from '../intervals.ts'
import { columns, escaped, htmlTable, lineChart, page, type Line } from '../page.ts'
import type { CheckpointResult } from '../state.ts'
import { measurements, type Measurement } from './cells.ts'
import type { RecoveryResult } from './recovery.ts'

/** A figure of a state of so many keys, so many bytes in all. */
export type Of<T> = T & { readonly keys: number; readonly stateBytes: number }

export interface Figures {
  readonly duration: Of<CheckpointResult>[]
  readonly pause: Of<BarrierResult>[]
  readonly throughput: Of<IntervalsResult>[]
  readonly recovery: Of<RecoveryResult>[]
}

export interface Goal {
  readonly name: string
  readonly goal: string
  readonly value: string
  /** Undefined: what was measured cannot tell. */
  readonly met: boolean | undefined
}

/** Of the goals. */
const [flat, flatFromKeys, flatToKeys] = [1.2, 100_000, 10_000_000]
const [enoughCheckpoints, workMs, pauseMs, worstPauseMs] = [1000, 5, 5, 50]
const [leastRatio, ratioIntervalMs] = [0.95, 1000]
const [recoveryMs, recoveryBytes, recoveryIntervalMs] = [1500, 1e9, 1000]

const count = (n: number): string => Math.round(n).toLocaleString('en-US')
const millis = (ms: number): string => `${ms.toFixed(ms < 10 ? 2 : 0)} ms`
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
const bytes = (n: number): string =>
  n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : n >= 1e6 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e3).toFixed(1)} kB`
const interval = (ms: number): string => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`)

const distinct = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b)

function flatness(rows: Figures['duration']): Goal[] {
  return distinct(rows.map(({ changed }) => changed)).flatMap(changed => {
    const own = rows.filter(row => row.changed === changed && row.keys >= flatFromKeys).sort((a, b) => a.keys - b.keys)
    const [least, most] = [own[0], own.at(-1)]
    if (least === undefined || most === undefined || least === most) return []
    const whole = least.keys === flatFromKeys && most.keys >= flatToKeys
    const goal = (what: string, ratio: number, values: string): Goal => ({
      name: `${what} of ${count(changed)} changed keys, ${count(most.keys)} keys by ${count(least.keys)}`,
      goal: `≤ ${flat} from ${count(flatFromKeys)} to ${count(flatToKeys)} keys`,
      value: `${ratio.toFixed(2)} (${values})`,
      met: ratio > flat ? false : whole ? true : undefined
    })
    return [
      goal('bytes', most.medianBytes / least.medianBytes, `${bytes(most.medianBytes)} by ${bytes(least.medianBytes)}`),
      goal('duration', most.medianMs / least.medianMs, `${millis(most.medianMs)} by ${millis(least.medianMs)}`)
    ]
  })
}

function pauses(rows: Figures['pause']): Goal[] {
  return rows.flatMap(({ stateBytes, changed, barriers, workMs: work, pauseMs: pause }) => {
    const goal = (what: string, value: number, limit: number, enough: number): Goal => ({
      name: `${what}, ${bytes(stateBytes)}, ${count(changed)} changed keys`,
      goal: `< ${limit} ms`,
      value: `${millis(value)} (${count(barriers)} checkpoints${barriers < enough ? `, too few` : ''})`,
      met: barriers < enough ? undefined : value < limit
    })
    return [
      goal("barrier's work p99.9", work.p999, workMs, enoughCheckpoints),
      goal('whole pause p99', pause.p99, pauseMs, 100),
      goal('whole pause p99.9', pause.p999, worstPauseMs, enoughCheckpoints)
    ]
  })
}

const lost = (rows: Figures['throughput']): Goal[] =>
  rows
    .filter(({ intervalMs }) => intervalMs === ratioIntervalMs)
    .map(({ stateBytes, changed, ratio, ratios }) => ({
      name: `throughput with a checkpoint every ${interval(ratioIntervalMs)} by none, ${bytes(stateBytes)}, ${count(changed)} changed keys`,
      goal: `≥ ${leastRatio}`,
      value: `${ratio.toFixed(2)} (${ratios.map(each => each.toFixed(2)).join(', ')})`,
      met: ratio >= leastRatio
    }))

const recoveries = (rows: Figures['recovery']): Goal[] =>
  rows
    .filter(({ intervalMs }) => intervalMs === recoveryIntervalMs)
    .map(({ stateBytes, medianMs, all }) => ({
      name: `SIGKILL to first new output, ${bytes(stateBytes)}, a checkpoint every ${interval(recoveryIntervalMs)}`,
      goal: `< ${seconds(recoveryMs)} with ${bytes(recoveryBytes)}`,
      value: `${seconds(medianMs)} (${all.map(seconds).join(', ')})`,
      met: stateBytes >= recoveryBytes || medianMs >= recoveryMs ? medianMs < recoveryMs : undefined
    }))

export const goalsOf = ({ duration, pause, throughput, recovery }: Figures): Goal[] => [
  ...flatness(duration),
  ...pauses(pause),
  ...lost(throughput),
  ...recoveries(recovery)
]

const verdict = (met: boolean | undefined): string => (met === undefined ? '' : met ? 'reached' : 'MISSED')

type Table = readonly (readonly string[])[]

/** The first line is the heading; nothing when nothing was measured. */
const tables: Readonly<Record<Measurement, (figures: Figures) => Table>> = {
  duration: ({ duration }) => [
    [
      'state',
      'keys',
      'changed',
      'duration p50',
      'worst',
      'CPU p50',
      'bytes p50',
      'of it manifest',
      'with merging, mean'
    ],
    ...duration.map(row => [
      bytes(row.stateBytes),
      count(row.keys),
      count(row.changed),
      millis(row.medianMs),
      millis(row.worstMs),
      millis(row.cpuMs),
      bytes(row.medianBytes),
      bytes(row.manifestBytes),
      bytes(row.bytesPerCheckpoint)
    ])
  ],
  pause: ({ pause }) => {
    const quantiles = (of: BarrierResult['pauseMs']): string[] => [of.p50, of.p99, of.p999].map(millis)
    return [
      [
        ...['state', 'keys', 'changed', 'checkpoints', 'pause p50', 'p99', 'p99.9'],
        ...[
          'without GC p50',
          'p99',
          'p99.9',
          'GC p50',
          'p99',
          'p99.9',
          'no checkpoint p50',
          'p99',
          'p99.9',
          'seal worst'
        ]
      ],
      ...pause.map(row => [
        bytes(row.stateBytes),
        count(row.keys),
        count(row.changed),
        count(row.barriers),
        ...[row.pauseMs, row.workMs, row.gcMs, row.withoutMs].flatMap(quantiles),
        millis(row.sealMs.worst)
      ])
    ]
  },
  throughput: ({ throughput }) => [
    ['state', 'keys', 'changed', 'interval', 'events/s', 'without', 'ratio', 'µs CPU', 'without', 'checkpoints'],
    ...throughput.map(row => [
      bytes(row.stateBytes),
      count(row.keys),
      count(row.changed),
      interval(row.intervalMs),
      count(row.perSecond),
      count(row.perSecondWithout),
      row.ratio.toFixed(2),
      row.cpuMicrosPerEvent.toFixed(2),
      row.cpuMicrosPerEventWithout.toFixed(2),
      count(row.checkpoints)
    ])
  ],
  recovery: ({ recovery }) => [
    ['state', 'keys', 'interval', 'first output p50', 'worst', 'restored p50', 'of the last'],
    ...recovery.map(row => [
      bytes(row.stateBytes),
      count(row.keys),
      interval(row.intervalMs),
      seconds(row.medianMs),
      seconds(row.worstMs),
      seconds(row.restoredMs),
      row.restored
    ])
  ]
}

const titles: Readonly<Record<Measurement, string>> = {
  duration: 'Duration and bytes of a checkpoint',
  pause: 'Pause of events, in ms, from the barrier to the decision',
  throughput: 'Events a second with checkpoints, and without',
  recovery: 'From SIGKILL to the first new output, the disk intact'
}

const goalTable = (goals: readonly Goal[]): Table => [
  ['goal', '', 'measured', ''],
  ...goals.map(({ name, goal, value, met }) => [name, goal, value, verdict(met)])
]

export function text(figures: Figures, setting: string): string {
  const parts = measurements
    .filter(each => figures[each].length > 0)
    .map(each => `${titles[each]}\n\n${columns(tables[each](figures), []).join('\n')}\n`)
  const goals = goalsOf(figures)
  const judged = goals.length === 0 ? [] : [columns(goalTable(goals), [0, 1, 2, 3]).join('\n'), '']
  return [setting, '', ...parts, ...judged].join('\n')
}

/** A line for each value of `by`. */
function linesOf<T>(rows: readonly T[], by: (row: T) => string, x: (row: T) => number, y: (row: T) => number): Line[] {
  const names = [...new Set(rows.map(by))]
  return names.map(name => ({
    name,
    points: rows
      .filter(row => by(row) === name)
      .map(row => ({ x: x(row), y: y(row) }))
      .sort((a, b) => a.x - b.x)
  }))
}

function charts({ duration, pause, throughput, recovery }: Figures): Record<Measurement, readonly string[]> {
  const [keysName, changedName, stateName] = ['keys in all', 'changed keys', 'bytes of state']
  const changedLine = ({ changed }: { readonly changed: number }): string => `${count(changed)} changed keys`
  const keysLine = ({ keys }: { readonly keys: number }): string => `${count(keys)} keys`
  const quantiles = ([0.5, 0.99, 0.999] as const).flatMap(q => {
    const field = { 0.5: 'p50', 0.99: 'p99', 0.999: 'p999' } as const
    return linesOf(
      pause,
      row => `p${q * 100}, ${changedLine(row)}`,
      row => row.stateBytes,
      row => row.pauseMs[field[q]]
    )
  })
  const lossPercent = (row: IntervalsResult): number => Math.max(0.1, (1 - row.ratio) * 100)
  return {
    duration: [
      lineChart(
        linesOf(
          duration,
          changedLine,
          row => row.keys,
          row => row.medianMs
        ),
        keysName,
        'duration',
        millis
      ),
      lineChart(
        linesOf(
          duration,
          changedLine,
          row => row.keys,
          row => row.medianBytes
        ),
        keysName,
        'bytes',
        bytes
      ),
      lineChart(
        linesOf(
          duration,
          keysLine,
          row => row.changed,
          row => row.medianMs
        ),
        changedName,
        'duration',
        millis
      ),
      lineChart(
        linesOf(
          duration,
          keysLine,
          row => row.changed,
          row => row.medianBytes
        ),
        changedName,
        'bytes',
        bytes
      )
    ],
    pause: [lineChart(quantiles, stateName, 'pause', millis)],
    throughput: [
      lineChart(
        linesOf(
          throughput,
          row => `${interval(row.intervalMs)}, ${changedLine(row)}`,
          row => row.stateBytes,
          lossPercent
        ),
        stateName,
        'throughput lost',
        y => `${y} %`
      )
    ],
    recovery: [
      lineChart(
        linesOf(
          recovery,
          row => `a checkpoint every ${interval(row.intervalMs)}`,
          row => row.stateBytes,
          row => row.medianMs
        ),
        stateName,
        'recovery',
        seconds
      )
    ]
  }
}

export function html(figures: Figures, setting: string): string {
  const drawn = charts(figures)
  const part = (each: Measurement): string => `<h2>${escaped(titles[each])}</h2>
${drawn[each].join('\n')}
${htmlTable(tables[each](figures))}`
  const parts = measurements.filter(each => figures[each].length > 0).map(part)
  return page(
    'Checkpoints and recovery of Cairn at scale',
    setting,
    `<h2>Goals</h2>
${htmlTable(goalTable(goalsOf(figures)))}
${parts.join('\n')}`
  )
}
