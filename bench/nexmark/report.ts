/** What a run of the benchmark says: figures of each query, as a table for a terminal and as a page of its own. */
import { queryOf } from './catalogue.ts'
import type { Measured, System } from './measure.ts'
import type { Profiled } from './profile.ts'
import { stageNames } from './stages.ts'

export interface Setting {
  readonly machine: string
  readonly node: string
  readonly events: number
  readonly rate: number
  readonly rounds: number
  /** Average number of processes that wanted to run, of the last minute, before and after. */
  readonly load: readonly [number, number]
}

/** Of one query: what each system measured in each round. */
export interface Rounds {
  readonly query: number
  readonly systems: Readonly<Partial<Record<System, readonly Measured[]>>>
}

export interface Spread {
  readonly median: number
  readonly least: number
  readonly greatest: number
}

export interface SystemSummary {
  readonly perCpuSecond: Spread
  readonly perSecond: Spread
  readonly peakMiB: number
}

export interface Summary {
  readonly query: number
  readonly title: string
  readonly systems: Readonly<Partial<Record<System, SystemSummary>>>
  readonly rows: number
  readonly checkpoints: number
  /** Events per CPU second of Cairn by those of another system in the same round; undefined: there is none, see `verdict`. */
  readonly ofLoop: Spread | undefined
  readonly ofScan: Spread | undefined
  /** Whether all systems gave the same results in all rounds, or why there is no ratio. */
  readonly verdict: string
}

export const systems = ['cairn', 'loop', 'scan'] as const satisfies readonly System[]

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = ((sorted[Math.floor(middle)] as number) + (sorted[Math.ceil(middle)] as number)) / 2
  return { median, least: sorted[0] as number, greatest: sorted.at(-1) as number }
}

export function summarise({ query, systems: measured }: Rounds): Summary {
  const all = Object.values(measured).flat()
  const outputs = new Set(all.map(({ rows, hash }) => `${rows} ${hash}`))
  const { title, result } = queryOf(query)
  const equal = result === 'total' ? new Set(all.map(({ hash }) => hash)).size === 1 : outputs.size === 1
  const ratio = (other: System): Spread | undefined => {
    const [own, others] = [measured.cairn, measured[other]]
    if (!equal || result === 'total' || own === undefined || others === undefined) return undefined
    return spread(own.map((each, round) => each.perCpuSecond / (others[round] as Measured).perCpuSecond))
  }
  const verdict = !equal
    ? 'VOID: results differ'
    : result === 'total'
      ? 'equal total; no ratio, it follows the wall clock'
      : Object.keys(measured).length === 1
        ? 'nothing to compare with'
        : 'equal'
  const summaries = Object.entries(measured).map(([system, rounds]) => [
    system,
    {
      perCpuSecond: spread(rounds.map(each => each.perCpuSecond)),
      perSecond: spread(rounds.map(each => each.perSecond)),
      peakMiB: Math.max(...rounds.map(each => each.peakMiB))
    }
  ])
  const newest = (measured.cairn ?? all).at(-1)
  return {
    query,
    title,
    systems: Object.fromEntries(summaries) as Summary['systems'],
    rows: newest?.rows ?? 0,
    checkpoints: newest?.checkpoints ?? 0,
    ofLoop: ratio('loop'),
    ofScan: ratio('scan'),
    verdict
  }
}

/** NaN of none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

const thousands = (n: number): string => (n / 1000).toLocaleString('en-US', { maximumFractionDigits: 0 })
const range = ({ median, least, greatest }: Spread): string =>
  `${thousands(median)} (${thousands(least)}–${thousands(greatest)})`
const ratioText = ({ median, least, greatest }: Spread): string =>
  `${median.toFixed(2)} (${least.toFixed(2)}–${greatest.toFixed(2)})`

const headings = [
  'query',
  'Cairn, k/CPU s',
  'k/s',
  'loop, k/CPU s',
  'scan, k/CPU s',
  'Cairn/loop',
  'Cairn/scan',
  'MiB: Cairn, loop',
  'rows',
  'checkpoints',
  'results'
]

function cells({ query, title, systems, rows, checkpoints, ofLoop, ofScan, verdict }: Summary): string[] {
  const { cairn, loop, scan } = systems
  const speed = (of: SystemSummary | undefined): string => (of === undefined ? '' : range(of.perCpuSecond))
  return [
    `${query} ${title}`,
    speed(cairn),
    cairn === undefined ? '' : thousands(cairn.perSecond.median),
    speed(loop),
    speed(scan),
    ofLoop === undefined ? '' : ratioText(ofLoop),
    ofScan === undefined ? '' : ratioText(ofScan),
    [cairn, loop].flatMap(of => (of === undefined ? [] : [of.peakMiB.toFixed(0)])).join(', '),
    rows.toLocaleString('en-US'),
    String(checkpoints),
    verdict
  ]
}

function closing(summaries: readonly Summary[]): string {
  const ratios = summaries.flatMap(({ ofLoop }) => (ofLoop === undefined ? [] : [ofLoop.median]))
  if (ratios.length === 0) return 'No ratio.'
  return `Cairn by the hand-written loop with the same decoder, events per CPU second: geometric mean ${geometricMean(ratios).toFixed(2)} of ${ratios.length} queries, least ${Math.min(...ratios).toFixed(2)}.`
}

export function describeSetting({ machine, node, events, rate, rounds, load }: Setting): string {
  return (
    `${machine}, Node ${node}; load ${load.map(each => each.toFixed(1)).join(' before, ')} after. ` +
    `${thousands(events)} k events, ${thousands(rate)} k a second of event time; median of ${rounds} rounds (least–greatest); k = 1000 events.`
  )
}

export function table(summaries: readonly Summary[], setting: Setting): string {
  const text = columns([headings, ...summaries.map(cells)], [0, headings.length - 1])
  return [describeSetting(setting), '', ...text, '', closing(summaries), ''].join('\n')
}

/** ns of CPU per event, a column for each query. */
export function profileTable(profiles: readonly (Profiled & { readonly query: number })[]): string {
  const row = (name: string, of: (profile: Profiled) => number): string[] => [
    name,
    ...profiles.map(profile => of(profile).toFixed(0))
  ]
  const lines = [
    ['ns per event', ...profiles.map(({ query }) => `q${query}`)],
    ...stageNames.map(stage => row(stage, ({ stages }) => stages[stage] ?? 0)),
    row('all', ({ nsPerEvent }) => nsPerEvent)
  ]
  return `${columns(lines, [0]).join('\n')}\n`
}

/** @param left columns whose cells begin at one line; the others end at one */
function columns(lines: readonly (readonly string[])[], left: readonly number[]): string[] {
  const [first = []] = lines
  const widths = first.map((_, column) => Math.max(...lines.map(line => (line[column] as string).length)))
  return lines.map(line =>
    line
      .map((cell, column) => {
        const width = widths[column] as number
        return left.includes(column) ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd()
  )
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`)
const colours: Readonly<Record<System, string>> = { cairn: '#b4552d', loop: '#4d7298', scan: '#a9b8c6' }
const names: Readonly<Record<System, string>> = {
  cairn: 'Cairn, exactly once, a checkpoint every second',
  loop: 'hand-written loop, the same decoder',
  scan: 'hand-written loop that scans only the fields it needs'
}

/** Bars on a logarithmic scale, from 10 k to 10 M events per CPU second. */
function chart(summaries: readonly Summary[]): string {
  const [left, width, bar] = [230, 640, 9]
  const x = (value: number): number => left + (Math.log10(Math.max(value, 1e4)) - 4) * (width / 3)
  const parts: string[] = []
  let y = 24
  for (const summary of summaries) {
    parts.push(
      `<text x="${left - 8}" y="${y + 18}" text-anchor="end">${escaped(`${summary.query} ${summary.title}`)}</text>`
    )
    for (const system of systems) {
      const { perCpuSecond } = summary.systems[system] ?? {}
      if (perCpuSecond === undefined) continue
      const title = escaped(`${names[system]}: ${range(perCpuSecond)} k events per CPU second`)
      parts.push(
        `<rect x="${left}" y="${y}" width="${(x(perCpuSecond.median) - left).toFixed(1)}" height="${bar - 1}" fill="${colours[system]}"><title>${title}</title></rect>`
      )
      y += bar
    }
    y += 10
  }
  const grid = [1e4, 1e5, 1e6, 1e7].map(
    value =>
      `<line x1="${x(value)}" x2="${x(value)}" y1="18" y2="${y}" stroke="#ddd"/><text x="${x(value)}" y="12" text-anchor="middle">${thousands(value)} k</text>`
  )
  return `<svg viewBox="0 0 ${left + width + 40} ${y + 6}" role="img" aria-label="events per CPU second">${[...grid, ...parts].join('')}</svg>`
}

/** A page that needs nothing else. */
export function html(summaries: readonly Summary[], setting: Setting): string {
  const row = (tag: string, texts: readonly string[]): string =>
    `<tr>${texts.map(text => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`
  const legend = systems.map(
    system => `<span><i style="background:${colours[system]}"></i>${escaped(names[system])}</span>`
  )
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Nexmark on Cairn</title>
<style>
body{font:14px/1.5 system-ui,sans-serif;max-width:1280px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:12px}
th,td{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}
svg{max-width:920px;width:100%;font-size:11px}
span{margin-right:1.5em}i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
</style>
<h1>Nexmark on Cairn</h1>
<p>${escaped(describeSetting(setting))}</p>
<h2>Events per CPU second (logarithmic)</h2>
<p>${legend.join('')}</p>
${chart(summaries)}
<h2>Figures</h2>
<table><thead>${row('th', headings)}</thead><tbody>
${summaries.map(summary => row('td', cells(summary))).join('\n')}
</tbody></table>
<p>${escaped(closing(summaries))}</p>
</html>
`
}
