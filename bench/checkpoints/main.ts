/** `npm run bench:checkpoints`: checkpoints and recovery against the size of the state and against what changed. */
import { writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { StoreKind } from '../../actors/plan.ts'
import { apart } from '../apart.ts'
import type { BarrierResult } from '../barrier.ts'
import type { IntervalsResult } from '../intervals.ts'
import type { CheckpointResult } from '../state.ts'
import { lackOf, measurements, needsOf, roomHere, sizeOf, type Measurement, type Size } from './cells.ts'
import { measureRecovery } from './recovery.ts'
import { goalsOf, html, text, type Figures } from './report.ts'

interface Amounts {
  readonly only: readonly Measurement[]
  readonly state: readonly number[]
  readonly bytes: number
  readonly changed: readonly number[]
  readonly intervals: readonly number[]
  readonly checkpoints: number
  readonly rounds: number
  readonly turn: number
}
interface Options extends Partial<Amounts> {
  readonly keys?: readonly number[]
  readonly store: StoreKind
  readonly quick?: boolean
  readonly json?: boolean
  readonly html?: string
}

const usual: Amounts = {
  only: measurements,
  state: [10, 100, 1000],
  bytes: 100,
  changed: [1_000, 10_000, 100_000],
  intervals: [100, 1_000, 10_000],
  checkpoints: 1000,
  rounds: 5,
  turn: 6_000
}
const quick: Amounts = {
  ...usual,
  state: [0.5, 1],
  changed: [100, 1_000],
  intervals: [100],
  checkpoints: 5,
  rounds: 1,
  turn: 200
}
/** More tell no more of a median. */
const mostDurations = 60
const progress = (said: string): void => void process.stderr.write(`bench:checkpoints: ${said}\n`)

function whole(said: string): number {
  const n = Number(said)
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return n
}

function megabytes(said: string): number {
  const n = Number(said)
  if (!(n > 0 && n < 1e6)) throw new InvalidArgumentError('It must be numbers of MB above 0.')
  return n
}

function milliseconds(said: string): number {
  const [, n, unit] = /^(\d+)(ms|s)$/.exec(said) ?? []
  if (n === undefined || Number(n) === 0) throw new InvalidArgumentError('It must be like 100ms or 10s.')
  return Number(n) * (unit === 's' ? 1000 : 1)
}

function measurement(said: string): Measurement {
  const found = measurements.find(each => each === said)
  if (found === undefined) throw new InvalidArgumentError(`There are ${measurements.join(', ')}.`)
  return found
}

const list =
  <T>(each: (said: string) => T) =>
  (said: string): T[] =>
    said.split(',').map(each)

const options = new Command('bench:checkpoints')
  .description(
    'Measures checkpoints and recovery on this machine: against all state, which must not matter, and against what changed.'
  )
  .option('--only <list>', `some of ${measurements.join(', ')} (default: all)`, list(measurement))
  .option('--state <list>', `MB of state (default: ${usual.state.join()})`, list(megabytes))
  .addOption(new Option('--keys <list>', 'how many keys, instead').argParser(list(whole)).conflicts('state'))
  .option('--bytes <n>', `of state per key, from 40 (default: ${usual.bytes})`, whole)
  .option(
    '--changed <list>',
    `keys that change between two checkpoints (default: ${usual.changed.join()})`,
    list(whole)
  )
  .option(
    '--intervals <list>',
    'between two checkpoints, for throughput and recovery (default: 100ms,1s,10s)',
    list(milliseconds)
  )
  .option('--checkpoints <n>', `of each pause; the goals want 1,000 (default: ${usual.checkpoints})`, whole)
  .option('--rounds <n>', `turns of each throughput, kills of each recovery (default: ${usual.rounds})`, whole)
  .option('--turn <ms>', `of a turn with or without checkpoints at least (default: ${usual.turn})`, whole)
  .addOption(
    new Option('--store <store>', 'where the state is').choices(['memory', 'level', 'rocksdb']).default('level')
  )
  .option('--quick', 'small and short, to see that it runs')
  .option('--html <file>', 'write a page with tables and charts')
  .option('--json', 'print the figures as JSON')
  .addHelpText(
    'after',
    `
duration    time and bytes of a checkpoint, nothing else going on; merging is counted apart
pause       longest gap between two handled events while a checkpoint is taken, at full load
throughput  events a second and CPU with a checkpoint every so often, in turns with none
recovery    a real process is killed (SIGKILL) and started again: until its first new output

The state is made once for each measurement and size; a size for which memory or disk do not suffice is skipped, loudly, and the exit
code is 1. Files are in the system's temporary folder: TMPDIR chooses another disk.

Examples:
  npm run bench:checkpoints -- --quick
  npm run bench:checkpoints -- --only duration --keys 100000,1000000 --changed 1000,10000
  npm run bench:checkpoints -- --only recovery --state 1000 --intervals 1s --html recovery.html`
  )
  .parse()
  .opts<Options>()

const { keys, store } = options
const amounts: Amounts = { ...(options.quick === true ? quick : usual), ...options }
const { bytes, intervals: intervalsMs, checkpoints, rounds } = amounts
const sizes = keys?.map(n => sizeOf(n, bytes)) ?? amounts.state.map(mb => sizeOf(Math.ceil((mb * 1e6) / bytes), bytes))
const none = { duration: [], pause: [], throughput: [], recovery: [] }
const figures: Figures = { duration: [], pause: [], throughput: [], recovery: [] }
const skipped: { readonly measurement: Measurement; readonly keys: number; readonly why: string }[] = []

async function measure(what: Measurement, size: Size): Promise<void> {
  const { keys, stateBytes, textBytes } = size
  const changed = amounts.changed.filter(n => n <= keys)
  const state = { keys, textBytes, store }
  const heapMiB = Math.max(2048, (1.3 * needsOf(size, store, changed).memoryBytes) / 1024 ** 2)
  const named = <T>(results: readonly T[]) => results.map(each => ({ keys, stateBytes, ...each }))
  switch (what) {
    case 'duration': {
      const spec = { kind: 'checkpoint', ...state, changed, rounds: Math.min(mostDurations, checkpoints) } as const
      figures.duration.push(...named(await apart<CheckpointResult[]>(spec, heapMiB)))
      break
    }
    case 'pause': {
      const spec = { kind: 'barrier', ...state, changed, barriers: checkpoints } as const
      figures.pause.push(...named(await apart<BarrierResult[]>(spec, heapMiB)))
      break
    }
    case 'throughput': {
      const spec = { kind: 'intervals', ...state, changed, intervalsMs, rounds, turnMs: amounts.turn } as const
      figures.throughput.push(...named(await apart<IntervalsResult[]>(spec, heapMiB)))
      break
    }
    case 'recovery':
      figures.recovery.push(...named(await measureRecovery({ ...state, intervalsMs, rounds, say: progress })))
  }
}

const load = (): string => (loadavg()[0] as number).toFixed(1)
const loadBefore = load()
const setting = (): string =>
  `${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.version}; load ${loadBefore} before, ${load()} after. ` +
  `State in ${store}, ${bytes} bytes a key.${skipped.map(({ measurement, keys, why }) => ` SKIPPED: ${measurement} of ${keys} keys: ${why}.`).join('')}`
const writePage = (): void => {
  if (options.html !== undefined) writeFileSync(options.html, html(figures, setting()))
}
for (const size of sizes)
  for (const what of amounts.only) {
    const where = `${what}, ${size.keys} keys, ${size.stateBytes / 1e6} MB`
    const why = lackOf(size, store, what === 'recovery' ? [] : amounts.changed, roomHere())
    progress(why === undefined ? where : `${where}: SKIPPED: ${why}`)
    if (why !== undefined) {
      skipped.push({ measurement: what, keys: size.keys, why })
      continue
    }
    await measure(what, size)
    // Who interrupts a run of hours keeps what it has told.
    const own = { ...none, [what]: figures[what].filter(({ keys }) => keys === size.keys) }
    process.stderr.write(text(own, `${where}:`))
    writePage()
  }
writePage()
process.stdout.write(
  options.json === true
    ? `${JSON.stringify({ setting: setting(), ...figures, goals: goalsOf(figures), skipped }, null, 2)}\n`
    : text(figures, setting())
)
process.exit(skipped.length === 0 ? 0 : 1)
