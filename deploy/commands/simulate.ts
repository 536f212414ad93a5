import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Outcome, RunResult } from '../../simulations/cluster/run-scenario.ts'
import { drawScenario, type Scenario, type ScenarioOptions } from '../../simulations/cluster/scenario.ts'
import { shrink } from '../../simulations/cluster/shrink.ts'
import { faultKinds } from '../../simulations/world/atlas.ts'
import type { FaultKind } from '../../simulations/world/fault.ts'
import { stderrScreen } from '../progress.ts'
import { wholeNumber } from '../output.ts'
import { allMarks, isMark, untaken } from '../simulate/all-marks.ts'
import { failureLines, resultLine, scenarioLines, Totals } from '../simulate/report.ts'
import { openUserJob } from '../simulate/open-user-job.ts'
import { SeedPool } from '../simulate/seed-pool.ts'

interface Flags {
  readonly seeds?: number
  readonly seed?: number
  readonly minutes?: number
  readonly faults?: readonly FaultKind[]
  readonly without?: readonly FaultKind[]
  readonly records?: number
  readonly processes: number
  readonly twice?: boolean
  readonly keepGoing?: boolean
  readonly trace?: boolean
  readonly replay?: string
  readonly shrinkRuns: number
  readonly marks?: boolean
  readonly folder: string
}

/** The worst one decides. */
const exitCodes = { passed: 0, wrong: 3, stuck: 4, crashed: 5 } as const satisfies Record<Outcome, number>
const defaultSeeds = 100
const showEveryMs = 2_000

export function simulateCommand(): Command {
  return new Command('simulate')
    .description(
      'Run random jobs on a simulated cluster under crashes, partitions, zombies, slow disks and broker failures, and check everything.'
    )
    .argument('[job]', 'a job file: your actors and your events; default: random jobs whose right answer is known')
    .option('--seeds <n>', `how many worlds (default ${defaultSeeds}; one with --seed)`, wholeNumber(1))
    .option('--seed <s>', 'the first seed; the others follow it (default 1)', wholeNumber(0))
    .option('--minutes <m>', 'stop after so many minutes, however many seeds were run', wholeNumber(1))
    .option('--faults <kinds>', 'only these classes of faults, separated by commas; or "none"', faultList)
    .option('--without <kinds>', 'all classes but these', faultList)
    .option('--records <n>', 'source records in each world', wholeNumber(1))
    .option('--processes <n>', 'runs at once', wholeNumber(1), availableParallelism())
    .option('--twice', 'run each seed twice, in different processes, and compare the traces')
    .option('--keep-going', 'go on after a seed that fails')
    .option('--shrink-runs <n>', 'runs spent on making a failing seed smaller; 0 = none', wholeNumber(0), 200)
    .option('--replay <file>', 'run a scenario that was written down')
    .option('--folder <path>', 'where failing scenarios are written down', '.cairn/simulations')
    .option('--trace', 'print each event of the world, one a line, on standard output')
    .option('--marks', 'print how often each branch that exists for a fault was taken')
    .addHelpText(
      'after',
      `
A run is a function of the code and its seed: the same seed gives the same run, event for event.
Classes of faults: ${faultKinds.join(', ')}.

Examples:
  cairn simulate --seeds 1000
  cairn simulate --seed 4711
  cairn simulate --seed 4711 --trace | less
  cairn simulate --seeds 200 --faults crash,pause,cut
  cairn simulate job.ts --seeds 200

Exit codes: 0 every seed passed, 2 usage, 3 a wrong result, 4 a run got stuck, 5 something crashed.`
    )
    .action(simulate)
}

async function simulate(job: string | undefined, flags: Flags): Promise<void> {
  // What is wrong with the file is told once, and before anything runs.
  if (job !== undefined) await openUserJob(job)
  const screen = stderrScreen(false)
  const say = (text: string): void => screen.write(screen.isTTY ? `\r\u001b[K${text}\n` : `${text}\n`)
  const single =
    flags.replay !== undefined ||
    flags.trace === true ||
    (flags.seed !== undefined && flags.seeds === undefined && flags.minutes === undefined)
  const again = job === undefined ? 'cairn simulate' : `cairn simulate ${job}`
  const pool = new SeedPool(single ? 1 : Math.max(flags.twice === true ? 2 : 1, flags.processes), job)
  const interrupted = new Promise<'interrupted'>(resolve => process.once('SIGINT', () => resolve('interrupted')))
  try {
    const session: Session = { flags, pool, say, again, services: job !== undefined }
    const ran = single ? one(session) : many(session, screen.isTTY)
    const outcome = await Promise.race([ran, interrupted])
    if (outcome === 'interrupted') {
      say('interrupted')
      process.exitCode = 130
    } else process.exitCode = exitCodes[outcome]
  } finally {
    pool.close()
  }
}

/** What the parts of one invocation share. */
interface Session {
  readonly flags: Flags
  readonly pool: SeedPool
  readonly say: (text: string) => void
  /** The command line that begins every advice. */
  readonly again: string
  /** The job may call services, which may fail. */
  readonly services: boolean
}

async function one(session: Session): Promise<Outcome> {
  const { flags, pool, say } = session
  const scenario =
    flags.replay === undefined
      ? drawScenario(String(flags.seed ?? 1), optionsOf(session))
      : await readScenario(flags.replay)
  const result = await pool.run({ scenario, trace: flags.trace === true })
  if (result.outcome !== 'passed' && flags.trace !== true) await tell(scenario, result, session)
  const totals = new Totals()
  totals.add(result)
  const struck = [...totals.hits].map(([kind, hits]) => `${kind} ${hits}`).join(', ')
  say(resultLine(result))
  say(`faults that struck: ${struck || 'none'}`)
  if (flags.marks === true) sayMarks(totals, say)
  return result.outcome
}

async function many(session: Session, isTTY: boolean): Promise<Outcome> {
  const { flags, pool, say } = session
  const started = performance.now()
  const totals = new Totals()
  const first = flags.seed ?? 1
  const count = flags.seeds ?? (flags.minutes === undefined ? defaultSeeds : Infinity)
  const until = flags.minutes === undefined ? Infinity : started + flags.minutes * 60_000
  let next = first
  let worst: Outcome = 'passed'
  let shown = started
  const failed: { readonly scenario: Scenario; readonly result: RunResult }[] = []
  const progress = (): void => {
    const now = performance.now()
    if (now - shown < (isTTY ? 200 : showEveryMs)) return
    shown = now
    const of = count === Infinity ? '' : ` of ${count}`
    const text = `${totals.seeds}${of} seeds, ${totals.seeds - totals.passed} failed, ${totals.events} events, ${totals.recoveries} recoveries`
    if (isTTY) process.stderr.write(`\r\u001b[K${text}`)
    else say(text)
  }
  const lane = async (): Promise<void> => {
    while (next < first + count && performance.now() < until && (failed.length === 0 || flags.keepGoing === true)) {
      const scenario = drawScenario(String(next++), optionsOf(session))
      const result = await (flags.twice === true ? twice(scenario, pool) : pool.run({ scenario }))
      totals.add(result)
      progress()
      if (result.outcome === 'passed') continue
      failed.push({ scenario, result })
      if (exitCodes[result.outcome] > exitCodes[worst]) worst = result.outcome
      say(resultLine(result))
      for (const line of failureLines(result)) say(line)
    }
  }
  await Promise.all(Array.from({ length: flags.processes }, lane))
  const [smallest] = failed.sort((a, b) => a.result.simulatedMs - b.result.simulatedMs)
  if (smallest !== undefined) await tell(smallest.scenario, smallest.result, session)
  for (const line of totals.lines(performance.now() - started, flags.processes)) say(line)
  if (flags.marks === true) sayMarks(totals, say)
  if (failed.length > 0) say(`failing seeds: ${failed.map(({ scenario }) => scenario.seed).join(' ')}`)
  return worst
}

/** Both at once, so in two processes. */
async function twice(scenario: Scenario, pool: SeedPool): Promise<RunResult> {
  const [a, b] = await Promise.all([pool.run({ scenario }), pool.run({ scenario })])
  if (a.outcome !== 'passed' || JSON.stringify(a) === JSON.stringify(b)) return a
  const violation = `two runs differ: trace ${a.traceHash} after ${a.worldEvents} events of the world, trace ${b.traceHash} after ${b.worldEvents}`
  return { ...a, outcome: 'wrong', findings: [{ checker: 'determinism', violation }] }
}

/** Makes a failing scenario smaller, tells it as a story, and writes it down. */
async function tell(scenario: Scenario, result: RunResult, { flags, pool, say, again }: Session): Promise<void> {
  let smallest = { scenario, result }
  if (flags.shrinkRuns > 0) {
    say(`seed ${scenario.seed} failed; making it smaller …`)
    smallest = await shrink(scenario, result, {
      runs: flags.shrinkRuns,
      run: smaller => pool.run({ scenario: smaller }),
      progress: text => say(`  still fails with ${text}`)
    })
  }
  const told = await pool.run({ scenario: smallest.scenario, story: true })
  say(`\nseed ${scenario.seed}, ${told.outcome}:`)
  for (const line of scenarioLines(smallest.scenario)) say(line)
  for (const line of told.story ?? []) say(line)
  for (const line of failureLines(told)) say(line)
  const path = join(flags.folder, `seed-${scenario.seed}.json`)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `${JSON.stringify(smallest.scenario, null, 2)}\n`)
  say(`\nrun it again: ${again} --seed ${scenario.seed}\nthe smaller one: ${again} --replay ${path}`)
}

function sayMarks({ marks }: Totals, say: Session['say']): void {
  for (const [mark, count] of [...marks].sort(([a], [b]) => (a < b ? -1 : 1)))
    say(`${String(count).padStart(9)}  ${mark}`)
  const counted = [...marks.keys()]
  const never = allMarks().filter(mark => !counted.some(each => isMark(mark, each)))
  const line = (mark: string): string =>
    `  ${mark}: ${untaken.get(mark) ?? 'no reason is known; more seeds may take it'}`
  say(never.length === 0 ? 'every branch was taken' : `never taken:\n${never.map(line).join('\n')}`)
}

function optionsOf({ flags, services }: Session): ScenarioOptions {
  const { faults, without, records } = flags
  return {
    services,
    ...(faults === undefined ? {} : { only: faults }),
    ...(without === undefined ? {} : { without }),
    ...(records === undefined ? {} : { records })
  }
}

async function readScenario(path: string): Promise<Scenario> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new CodedError('NOT_FOUND', `scenario "${path}": ${(error as NodeJS.ErrnoException).code ?? String(error)}`)
  }
  try {
    const scenario = JSON.parse(text) as Scenario
    if (typeof scenario.seed === 'string' && Array.isArray(scenario.faults)) return scenario
  } catch {
    // told below
  }
  throw new CodedError('OPTION_INVALID', `"${path}" is no scenario that cairn simulate wrote`)
}

function faultList(text: string): FaultKind[] {
  if (text === 'none') return []
  return text.split(',').map(name => {
    const kind = faultKinds.find(each => each === name.trim())
    if (kind === undefined) throw new InvalidArgumentError(`there is no class of faults "${name.trim()}".`)
    return kind
  })
}
