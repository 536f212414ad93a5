/** `npm run bench:nexmark`: every system over the same bytes, in turns, each measurement in a process of its own. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { flinkVersion, hasFlinkQuery, prepareFlink, type Flink } from '../peers/flink.ts'
import { queries, queryOf } from './catalogue.ts'
import { writeEvents } from './generator.ts'
import { loopOf } from './loops.ts'
import type { Measured, MeasureSpec, System } from './measure.ts'
import type { Profiled, ProfileSpec } from './profile.ts'
import { html, profileTable, summarise, systems, table, type Rounds, type Setting } from './report.ts'

interface Options {
  readonly queries: readonly number[]
  readonly peers: readonly string[]
  readonly events: number
  readonly rate: number
  readonly rounds: number
  readonly html?: string
  readonly json?: boolean
  readonly profile?: boolean
}

const progress = (text: string): void => void process.stderr.write(`nexmark: ${text}\n`)

function whole(text: string): number {
  const n = Number(text)
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return n
}

function numbers(text: string): number[] {
  return text.split(',').map(part => {
    const n = Number(part)
    if (part === '' || queries[n] === undefined)
      throw new InvalidArgumentError(`There are queries ${Object.keys(queries).join(', ')}.`)
    return n
  })
}

const peerNames = ['flink', 'loops']

function peers(text: string): string[] {
  const named = text.split(',').filter(name => name !== '')
  for (const name of named)
    if (!peerNames.includes(name)) throw new InvalidArgumentError(`There are the peers ${peerNames.join(', ')}.`)
  return named
}

function inProcess<T>(file: 'measure.js' | 'profile.js', spec: MeasureSpec | ProfileSpec): T {
  const script = fileURLToPath(new URL(`./${file}`, import.meta.url))
  const child = spawnSync(process.execPath, [script, JSON.stringify(spec)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit']
  })
  if (child.status !== 0)
    throw new Error(`${file} of query ${spec.query} ended with ${child.status}: ${JSON.stringify(spec)}`)
  return JSON.parse(child.stdout) as T
}

/** Whether a query is measured there. */
function takesPart(system: System, query: number, peers: readonly string[], flink: Flink | undefined): boolean {
  switch (system) {
    case 'cairn':
      return true
    case 'loop':
    case 'scan':
      return peers.includes('loops') && loopOf(query, system) !== undefined
    case 'flink-heap':
    case 'flink-rocksdb':
      return flink !== undefined && hasFlinkQuery(query)
  }
}

/** The order turns round with every round: whoever goes first in one goes last in the next. */
function run({ queries, peers, events, rounds }: Options, path: string, flink: Flink | undefined): Rounds[] {
  const results = queries.map(query => ({ query, systems: {} as Partial<Record<System, Measured[]>> }))
  for (let round = 0; round < rounds; round++)
    for (const { query, systems: measured } of results) {
      progress(`round ${round + 1} of ${rounds}, query ${query}, ${queryOf(query).title}`)
      const present = systems.filter(system => takesPart(system, query, peers, flink))
      for (const system of round % 2 === 0 ? present : present.reverse()) {
        const spec = { system, query, path, events, ...(flink === undefined ? {} : { flink, last: true }) }
        ;(measured[system] ??= []).push(inProcess<Measured>('measure.js', spec))
      }
    }
  return results
}

const options = new Command('bench:nexmark')
  .description('Measures the queries of Nexmark on this machine, beside loops written by hand and Flink.')
  .option('--queries <list>', 'which, by their numbers', numbers, Object.keys(queries).map(Number))
  .option('--peers <list>', `what to compare with: ${peerNames.join(', ')}; empty: nothing`, peers, ['loops'])
  .option('--events <n>', 'how many', whole, 1_000_000)
  .option('--rate <n>', 'of them in a second of event time', whole, 10_000)
  .option('--rounds <n>', 'how often each is measured', whole, 3)
  .option('--html <file>', 'write a page with table and chart')
  .option('--json', 'print the figures as JSON')
  .option('--profile', 'measure nothing; tell where the time of Cairn goes, and what it allocates, a query at a time')
  .parse()
  .opts<Options>()

const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
const { events, rate, rounds } = options
const loadOf = (): number => loadavg()[0] as number
const loadBefore = loadOf()
const path = join(folder, 'events')
progress(`writing ${events} events`)
writeEvents(path, events, { rate })
if (options.profile === true) {
  for (const of of ['time', 'memory'] as const) {
    const profiles = options.queries.map(query => {
      progress(`profiling the ${of} of query ${query}, ${queryOf(query).title}`)
      return { query, ...inProcess<Profiled>('profile.js', { query, path, events, of }) }
    })
    process.stdout.write(profileTable(of, profiles))
  }
  process.exit(0)
}
const flink = options.peers.includes('flink') ? prepareFlink(join(folder, 'classes')) : undefined
const missing = options.peers.includes('flink') && flink === undefined
const withoutFlink =
  'FLINK IS LEFT OUT: it is not on this machine and could not be fetched (npm run services -- install flink says why)'
if (missing) progress(withoutFlink)
const results = run(options, path, flink)
const summaries = results.map(summarise)
const setting: Setting = {
  machine: `${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 1024 ** 3)} GiB`,
  node: process.version,
  flink: flink === undefined ? (missing ? withoutFlink : undefined) : `Flink ${flinkVersion}`,
  events,
  rate,
  rounds,
  load: [loadBefore, loadOf()]
}
if (options.html !== undefined) writeFileSync(options.html, html(summaries, setting))
process.stdout.write(
  options.json === true ? `${JSON.stringify({ setting, summaries, results }, null, 2)}\n` : table(summaries, setting)
)
process.exitCode = summaries.some(({ verdict }) => verdict.startsWith('VOID')) ? 1 : 0
