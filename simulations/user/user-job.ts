/**
 * A user's job under simulation: what is run for a seed, and what must hold of it. Nobody wrote a model of the job; the same job and input
 * without faults stands in for one, as far as calm runs agree with each other.
 *
 *   the run with faults ──differs from──► a calm run ──differs from──► another calm run
 *                           │                            ├ with a faster clock for the code: depends on Date
 *                           │                            ├ with other chance: depends on Math.random
 *                           │                            └ with another order, pace, parallelism: the job is not determined there
 *                           └ and calm runs agree: a crash changed the result
 */
import { Prng } from '../../runtime/kernel/prng.ts'
import { few, type RunEvidence, type Violation } from '../checkers/evidence.ts'
import { checkRun } from '../checkers/index.ts'
import type { Finding, Subject } from '../cluster/run-scenario.ts'
import type { Scenario } from '../cluster/scenario.ts'
import type { WorldTime } from '../world/time.ts'
import { runCalm, type CalmRun, type Variation } from './calm-run.ts'
import { Invariants } from './invariants.ts'
import { compareOutcomes, outcomeOf, outputsOf, type Difference, type RunOutcome } from './run-outcome.ts'
import { RunWatch } from './run-watch.ts'
import type { Evaluated, Sandbox } from './sandbox.ts'
import { stageStates, StatesWalk } from './stage-states.ts'
import { filesToRecord, makeInputs, sourcesOf, type RecordedFiles, type UserInputs } from './user-inputs.ts'
import { evaluateInWorld, UserRun } from './user-run.ts'
import type { Ambient } from './world-globals.ts'

/** Ways to run calmly that a job must not be able to tell apart, if its result is to be one. */
const interleavings: readonly Variation[] = [
  { world: 'a', workers: 3, parallelism: 2, batch: 3, order: 'first-first' },
  { world: 'b', workers: 2, parallelism: 3, batch: 1, order: 'last-first' },
  { world: 'c', workers: 4, batch: 7, slowLinks: 150 },
  { world: 'd', workers: 3, batch: 1, order: 'last-first' },
  { world: 'e', workers: 2, parallelism: 2, batch: 5, order: 'first-first' },
  { world: 'f', workers: 5, parallelism: 2, batch: 2, slowLinks: 60 }
]
/** Another day, and a day passes in a second: whatever is asked of the clock, another answer is likely. */
const probes = {
  clock: { clock: { aheadMs: 98_000_000, factor: 100_000 } },
  chance: { chance: 'other' }
} as const satisfies Record<Ambient, Variation>
/** The same failures that a run with faults may meet. */
const failingServices: Variation = { serviceFault: { refuse: 0.2, lose: 0.2, lateMs: 200 } }

const advice = {
  clock:
    'depends on the wall clock (Date, performance or process.hrtime): a replay after a crash sees another time. Use ctx.time, which is the same on every replay, or ctx.now',
  chance:
    'depends on Math.random or crypto randomness: a replay after a crash draws other numbers. Use ctx.random() or ctx.id, which are the same on every replay'
} as const satisfies Record<Ambient, string>

export class UserJob {
  readonly description: string
  private readonly sandbox: Sandbox
  private readonly evaluated: Evaluated
  private readonly files: RecordedFiles
  private readonly calm = new Map<string, Promise<CalmRun>>()

  private constructor(sandbox: Sandbox, evaluated: Evaluated, files: RecordedFiles) {
    this.sandbox = sandbox
    this.evaluated = evaluated
    this.files = files
    const { plan } = evaluated.job
    const sources = sourcesOf(plan).map(({ name }) => name)
    const stages = stageStates(plan).map(({ node }) => node.name)
    const sinks = plan.nodes.flatMap(node => (node.kind === 'sink' ? [node.name] : []))
    this.description = `${plan.job}: ${sources.join(' ')} → ${stages.join(' ')} → ${sinks.join(' ')}`
  }

  /**
   * @param record reads what lies in files, once, by source name
   * Throws JOB_FILE_INVALID or SIMULATION_OUTSIDE.
   */
  static async open(
    sandbox: Sandbox,
    record: (sources: ReturnType<typeof filesToRecord>) => Promise<RecordedFiles>
  ): Promise<UserJob> {
    const watch = new RunWatch(stack => sandbox.place(stack))
    const evaluated = evaluateInWorld(sandbox, new Prng('open'), watch)
    return new UserJob(sandbox, evaluated, await record(filesToRecord(evaluated)))
  }

  inputs({ seed, records }: Pick<Scenario, 'seed' | 'records'>): UserInputs {
    return makeInputs(this.evaluated, { seed, random: new Prng(seed).fork('events'), records, files: this.files })
  }

  /** What `runScenario` runs. */
  subject(scenario: Scenario, time: WorldTime): Subject {
    const { sandbox } = this
    const inputs = this.inputs(scenario)
    const random = new Prng(scenario.seed).fork('user')
    const run = new UserRun({ sandbox, time, inputs, chance: random.fork('chance'), outside: random.fork('outside') })
    const notes: string[] = []
    return {
      description: `${this.description}; ${inputs.count} events`,
      job: process => run.job(process),
      plan: run.plan,
      reader: (node, process, pace) => run.reader(node, process, pace),
      broken: () => run.broken(),
      services: run.services,
      check: evidence => this.check(run, inputs, evidence, notes),
      notes: () => notes,
      happened: () => run.services.story
    }
  }

  private async check(run: UserRun, inputs: UserInputs, evidence: RunEvidence, notes: string[]): Promise<Finding[]> {
    if (run.broken()) return run.watch.fatal.map(finding('outside'))
    const stages = stageStates(run.plan)
    const invariants = new Invariants(run.invariants)
    const walk = new StatesWalk(evidence, stages, (stage, epoch) => invariants.state(stage, epoch))
    const general = checkRun(evidence, [walk])
    const outputs = outputsOf(run.plan, evidence)
    const broken = invariants.end(evidence.finished ? outputs : [], run.services.calls).map(finding('invariant'))
    const calm = await this.runCalm(inputs, {})
    if (calm.outcome === undefined)
      return [
        ...few([...calm.failures])
          .map(each => `the job fails without any fault: ${each}`)
          .map(finding('calm run')),
        ...broken
      ]
    if (!evidence.finished) return [...general, ...broken]
    const differing = await this.compare(run, inputs, calm.outcome, outcomeOf(outputs, stages), notes)
    return [...general, ...broken, ...differing]
  }

  /** What differs from the calm run, by cause. */
  private async compare(
    run: UserRun,
    inputs: UserInputs,
    calm: RunOutcome,
    found: RunOutcome,
    notes: string[]
  ): Promise<Finding[]> {
    const findings: Finding[] = []
    const explained = new Set<string>()
    for (const what of ['clock', 'chance'] as const) {
      const places = run.watch.asked.get(what)
      if (places === undefined) continue
      const differences = await this.between(inputs, calm, probes[what])
      const first = differences.find(({ place }) => !explained.has(place))
      for (const { place } of differences) explained.add(place)
      if (first === undefined) continue
      const where = places.length === 0 ? '' : ` (${places.join(', ')})`
      findings.push(finding(what)(`the result ${advice[what]}${where}. With nothing else changed, ${first.sentence}`))
    }
    const differing = compareOutcomes(calm, found).filter(({ place }) => !explained.has(place))
    if (differing.length === 0) return findings
    const places = new Set(differing.map(({ place }) => place))
    const undetermined = await this.undetermined(run, inputs, calm, places)
    const [unstable, wrong] = split(differing, ({ place }) => undetermined.has(place))
    for (const place of new Set(unstable.map(({ place }) => place)))
      notes.push(`${place} is not compared: runs without faults differ there too. ${undetermined.get(place) as string}`)
    const sentences = wrong.map(({ sentence }) => sentence)
    // First what needs a fault to come up: it is what a failing run is made smaller for.
    return [...few(sentences, 3).map(finding('same as without faults')), ...findings]
  }

  /** Which of the places differ between calm runs too, with an example. */
  private async undetermined(
    run: UserRun,
    inputs: UserInputs,
    calm: RunOutcome,
    places: ReadonlySet<string>
  ): Promise<Map<string, Violation>> {
    const found = new Map<string, Violation>()
    const variations = run.services.failures > 0 ? [failingServices, ...interleavings] : interleavings
    for (const variation of variations) {
      if ([...places].every(place => found.has(place))) break
      for (const { place, sentence } of await this.between(inputs, calm, variation))
        if (!found.has(place)) found.set(place, sentence)
    }
    return found
  }

  private async between(inputs: UserInputs, calm: RunOutcome, variation: Variation): Promise<Difference[]> {
    const { outcome } = await this.runCalm(inputs, variation)
    return outcome === undefined ? [] : compareOutcomes(calm, outcome)
  }

  /** Equal inputs are run once. */
  private runCalm(inputs: UserInputs, variation: Variation): Promise<CalmRun> {
    const name = `${inputs.name} ${JSON.stringify(variation)}`
    let run = this.calm.get(name)
    if (run === undefined) {
      // Inputs of one seed come in a row.
      if (this.calm.size > 32) this.calm.clear()
      this.calm.set(name, (run = runCalm(this.sandbox, inputs, variation)))
    }
    return run
  }
}

const finding =
  (checker: string) =>
  (violation: Violation): Finding => ({ checker, violation })

function split<T>(all: readonly T[], first: (each: T) => boolean): [T[], T[]] {
  return [all.filter(first), all.filter(each => !first(each))]
}
