/** What a chaos run tells people. */
import type { ChaosReport } from './chaos-run.ts'
import { inTenMinutes, type FaultKind } from './plan.ts'
import { phases } from './watch.ts'

export const passed = ({ stuck, findings }: ChaosReport): boolean => stuck === undefined && findings.length === 0

export function describe(report: ChaosReport): string {
  const { struck, recoveries, unasked } = report
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
  const rows = (Object.keys(inTenMinutes) as FaultKind[]).map(kind => {
    const own = struck.filter(each => each.kind === kind)
    const times = recoveries.filter(each => each.kind === kind).map(({ ms }) => ms)
    const counts = phases.map(phase => own.filter(each => each.phase === phase).length)
    return [kind, own.length, ...counts, times.length, median(times), largest(times)]
  })
  const all = recoveries.map(({ ms }) => ms)
  const total = phases.map(phase => struck.filter(each => each.phase === phase).length)
  const header = ['fault', 'times', 'before a', 'within a', 'during', 'recovered', 'median', 'longest']
  const second = ['', '', 'checkpoint', 'checkpoint', 'recovery', '', '', '']
  const lines = table([
    header,
    second,
    ...rows,
    ['all', struck.length, ...total, all.length, median(all), largest(all)]
  ])
  const kills = killsOf(report)
  const alone = recoveries.filter(each => each.alone).map(({ ms }) => ms)
  lines.push(
    '',
    `of ${alone.length} faults that met no other one the median recovery is ${median(alone)}, the longest ${largest(alone)}`,
    `${kills} processes killed; ${report.lives} worker processes in all; ${report.missed} faults met nobody`,
    `${report.generations} generations seen, ${report.checkpoints} checkpoints seen decided`,
    `${report.events} events, ${report.lines} lines of output, ${report.keys} actors; ${seconds(report.chaosMs)} of chaos, ${seconds(report.totalMs)} in all`
  )
  if (unasked.length > 0) lines.push(`${unasked.length} workers ended by themselves and were started again:`)
  for (const { worker, code, why } of unasked.slice(0, 10)) lines.push(`  ${worker} (${code}): ${why.slice(0, 200)}`)
  lines.push('')
  if (report.stuck !== undefined) lines.push(`STUCK: ${report.stuck}`)
  for (const finding of report.findings) lines.push(`WRONG: ${finding}`)
  if (passed(report)) lines.push("output and state are the model's: nothing lost, nothing twice")
  return lines.join('\n')
}

/** SIGKILLs that met a worker. */
export function killsOf({ struck }: Pick<ChaosReport, 'struck'>): number {
  return struck.reduce((sum, { kind, what }) => {
    if (kind === 'kill-all') return sum + what.split(' ').length
    return sum + (kind === 'kill' || kind === 'kill-leader' || kind === 'wipe-disk' ? 1 : 0)
  }, 0)
}

const inSeconds = (ms: number | undefined): string => (ms === undefined ? '-' : `${(ms / 1000).toFixed(1)} s`)
const largest = (list: readonly number[]): string => inSeconds(list.length === 0 ? undefined : Math.max(...list))

function median(list: readonly number[]): string {
  const sorted = [...list].sort((a, b) => a - b)
  return inSeconds(sorted[Math.floor(sorted.length / 2)])
}

function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, String(cell).length)),
    []
  )
  return rows.map(row =>
    row
      .map((cell, i) =>
        i === 0 ? String(cell).padEnd(widths[i] as number) : String(cell).padStart(widths[i] as number)
      )
      .join('  ')
      .trimEnd()
  )
}
