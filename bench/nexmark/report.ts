/** What a run of the benchmark says: figures of each query, as a table for a terminal and as a page of its own. */
import { columns, escaped, htmlTable, legend, page } from '../page.ts'
import { queryOf, type Query } from './catalogue.ts'
import type { Measured, System } from './measure.ts'
import type { Profiled, ProfileSpec } from './profile.ts'
import { stageNames } from '../stages.ts'

export interface Setting {
  readonly machine: string
  readonly node: string
  /** Its version, or why it is left out; undefined: nobody asked for it. */
  readonly flink?: string | undefined
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
  /** Of a peer: events per CPU second since its process began, its start included. */
  readonly wholePerCpuSecond?: Spread
}

export interface Summary {
  readonly query: number
  readonly title: string
  readonly systems: Readonly<Partial<Record<System, SystemSummary>>>
  readonly rows: number
  readonly checkpoints: number
  /** Events per CPU second of Cairn by those of another system in the same round; none where the results are not equal, see `verdict`. */
  readonly ratios: Readonly<Partial<Record<System, Spread>>>
  /** Whether all systems gave the same results in all rounds, or why there is no ratio. */
  readonly verdict: string
}

export const systems = ['cairn', 'loop', 'scan', 'flink-heap', 'flink-rocksdb'] as const satisfies readonly System[]

/** Those whose rows of updates may be others, and which take part with what is left of them in the end. */
const isPeer = (system: System): boolean => system === 'flink-heap' || system === 'flink-rocksdb'

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = ((sorted[Math.floor(middle)] as number) + (sorted[Math.ceil(middle)] as number)) / 2
  return { median, least: sorted[0] as number, greatest: sorted.at(-1) as number }
}

export function summarise({ query, systems: measured }: Rounds): Summary {
  const present = systems.filter(system => measured[system] !== undefined)
  const all = present.flatMap(system => measured[system] ?? [])
  const { title, result } = queryOf(query)
  const equal = areEqual(measured, result)
  const ratioTo = (other: System): Spread | undefined => {
    const [own, others] = [measured.cairn, measured[other]]
    if (!equal || result === 'total' || own === undefined || others === undefined) return undefined
    return spread(own.map((each, round) => each.perCpuSecond / (others[round] as Measured).perCpuSecond))
  }
  const ratios = present.flatMap(system => {
    const ratio = system === 'cairn' ? undefined : ratioTo(system)
    return ratio === undefined ? [] : [[system, ratio]]
  })
  const verdict = !equal
    ? 'VOID: results differ'
    : result === 'total'
      ? 'equal total; no ratio, it follows the wall clock'
      : present.length === 1
        ? 'nothing to compare with'
        : 'equal'
  const summaries = present.map(system => [system, summariseSystem(measured[system] ?? [])])
  const newest = (measured.cairn ?? all).at(-1)
  return {
    query,
    title,
    systems: Object.fromEntries(summaries) as Summary['systems'],
    rows: newest?.rows ?? 0,
    checkpoints: newest?.checkpoints ?? 0,
    ratios: Object.fromEntries(ratios) as Summary['ratios'],
    verdict
  }
}

function summariseSystem(rounds: readonly Measured[]): SystemSummary {
  const whole = rounds.flatMap(({ wholePerCpuSecond }) => (wholePerCpuSecond === undefined ? [] : [wholePerCpuSecond]))
  return {
    perCpuSecond: spread(rounds.map(each => each.perCpuSecond)),
    perSecond: spread(rounds.map(each => each.perSecond)),
    peakMiB: Math.max(...rounds.map(each => each.peakMiB)),
    ...(whole.length === 0 ? {} : { wholePerCpuSecond: spread(whole) })
  }
}

/** Rows as a multiset, in all rounds; of updates those of our own systems, and of all systems the last of each key. */
function areEqual(measured: Rounds['systems'], result: Query['result']): boolean {
  const same = (texts: readonly (string | undefined)[]): boolean => new Set(texts).size <= 1
  const of = (chosen: (system: System) => boolean): Measured[] =>
    systems.filter(chosen).flatMap(system => measured[system] ?? [])
  const everywhere = of(() => true)
  switch (result) {
    case 'total':
      return same(everywhere.map(({ hash }) => hash))
    case 'rows':
      return same(everywhere.map(({ rows, hash }) => `${rows} ${hash}`))
    case 'updates': {
      const own = of(system => !isPeer(system)).map(({ rows, hash }) => `${rows} ${hash}`)
      return same(own) && same(everywhere.map(({ last }) => last))
    }
  }
}

/** NaN of none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

const thousands = (n: number): string => (n / 1000).toLocaleString('en-US', { maximumFractionDigits: 0 })
export const range = ({ median, least, greatest }: Spread): string =>
  `${thousands(median)} (${thousands(least)}–${thousands(greatest)})`
export const ratioText = ({ median, least, greatest }: Spread): string =>
  `${median.toFixed(2)} (${least.toFixed(2)}–${greatest.toFixed(2)})`

const shortNames: Readonly<Record<System, string>> = {
  cairn: 'Cairn',
  loop: 'loop',
  scan: 'scan',
  'flink-heap': 'Flink heap',
  'flink-rocksdb': 'Flink RocksDB'
}

/** What each column is called, and what it says of a query. Only systems that were measured have some. */
function columnsOf(summaries: readonly Summary[]): readonly (readonly [string, (summary: Summary) => string])[] {
  const present = systems.filter(system => summaries.some(each => each.systems[system] !== undefined))
  const others = present.filter(system => system !== 'cairn')
  // Scans hold what loops hold.
  const inMemory = present.filter(system => system !== 'scan')
  const speed = (of: SystemSummary | undefined): string => (of === undefined ? '' : range(of.perCpuSecond))
  const ratio = (of: Spread | undefined): string => (of === undefined ? '' : ratioText(of))
  return [
    ['query', ({ query, title }) => `${query} ${title}`],
    ['Cairn, k/CPU s', each => speed(each.systems.cairn)],
    ['k/s', ({ systems: { cairn } }) => (cairn === undefined ? '' : thousands(cairn.perSecond.median))],
    ...others.map(
      system => [`${shortNames[system]}, k/CPU s`, (each: Summary) => speed(each.systems[system])] as const
    ),
    ...others.map(system => [`Cairn/${shortNames[system]}`, (each: Summary) => ratio(each.ratios[system])] as const),
    [
      `MiB: ${inMemory.map(system => shortNames[system]).join(', ')}`,
      each => inMemory.map(system => each.systems[system]?.peakMiB.toFixed(0) ?? '-').join(', ')
    ],
    ['rows', ({ rows }) => rows.toLocaleString('en-US')],
    ['checkpoints', ({ checkpoints }) => String(checkpoints)],
    ['results', ({ verdict }) => verdict]
  ]
}

const comparedWith: readonly (readonly [System, string])[] = [
  ['loop', 'the hand-written loop with the same decoder'],
  ['flink-heap', 'Flink on heap'],
  ['flink-rocksdb', 'Flink with RocksDB']
]

function closing(summaries: readonly Summary[]): string {
  const sentences = comparedWith.flatMap(([system, name]) => {
    const ratios = summaries.flatMap(each => each.ratios[system]?.median ?? [])
    if (ratios.length === 0) return []
    return `Cairn by ${name}, events per CPU second: geometric mean ${geometricMean(ratios).toFixed(2)} of ${ratios.length} queries, least ${Math.min(...ratios).toFixed(2)}.`
  })
  if (summaries.some(each => each.systems['flink-heap'] !== undefined)) sentences.push(flinkCpu)
  return sentences.length === 0 ? 'No ratio.' : sentences.join(' ')
}

const flinkCpu =
  'CPU of Flink is that from its first event on, without the start of Java, of its cluster and of its planner, which Flink alone is spared.'

export function describeSetting({ machine, node, flink, events, rate, rounds, load }: Setting): string {
  return (
    `${[machine, `Node ${node}`, flink].filter(Boolean).join(', ')}; load ${load.map(each => each.toFixed(1)).join(' before, ')} after. ` +
    `${thousands(events)} k events, ${thousands(rate)} k a second of event time; median of ${rounds} rounds (least–greatest); k = 1000 events.`
  )
}

export function table(summaries: readonly Summary[], setting: Setting): string {
  const all = columnsOf(summaries)
  const lines = [all.map(([heading]) => heading), ...summaries.map(each => all.map(([, cell]) => cell(each)))]
  const text = columns(lines, [0, all.length - 1])
  return [describeSetting(setting), '', ...text, '', closing(summaries), ''].join('\n')
}

/** Of an event, a column for each query. */
export function profileTable(
  of: ProfileSpec['of'],
  profiles: readonly (Profiled & { readonly query: number })[]
): string {
  const row = (name: string, each: (profile: Profiled) => number): string[] => [
    name,
    ...profiles.map(profile => each(profile).toFixed(0))
  ]
  const names = stageNames.filter(name => of === 'time' || name !== 'garbage collection')
  const lines = [
    [of === 'time' ? 'ns per event' : 'bytes per event', ...profiles.map(({ query }) => `q${query}`)],
    ...names.map(stage => row(stage, ({ stages }) => stages[stage] ?? 0)),
    row('all', ({ perEvent }) => perEvent)
  ]
  return `${columns(lines, [0]).join('\n')}\n\n`
}

const colours: Readonly<Record<System, string>> = {
  cairn: '#b4552d',
  loop: '#4d7298',
  scan: '#a9b8c6',
  'flink-heap': '#5b8c5a',
  'flink-rocksdb': '#a8c69f'
}
const names: Readonly<Record<System, string>> = {
  cairn: 'Cairn, exactly once, a checkpoint every second',
  loop: 'hand-written loop, the same decoder',
  scan: 'hand-written loop that scans only the fields it needs',
  'flink-heap': 'Flink, state on heap, a checkpoint every second',
  'flink-rocksdb': 'Flink, state in RocksDB, a checkpoint every second'
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

function inMemoryHtml(summaries: readonly Summary[]): string {
  const all = columnsOf(summaries)
  const present = systems.filter(system => summaries.some(each => each.systems[system] !== undefined))
  return `<h2>Events per CPU second (logarithmic)</h2>
${legend(present.map(system => ({ name: names[system], colour: colours[system] })))}
${chart(summaries)}
<h2>Figures</h2>
${htmlTable([all.map(([heading]) => heading), ...summaries.map(summary => all.map(([, cell]) => cell(summary)))])}
<p>${escaped(closing(summaries))}</p>
`
}

/** A page that needs nothing else. @param more behind the rest */
export function html(summaries: readonly Summary[], setting: Setting, more: string): string {
  return page(
    'Nexmark on Cairn',
    describeSetting(setting),
    (summaries.length === 0 ? '' : inMemoryHtml(summaries)) + more
  )
}
