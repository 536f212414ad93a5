/**
 * Runs a scenario to its end, or until it is stuck, and has every checker look at what it left behind. A pure function of the code and
 * the scenario.
 */
import { countMarks } from '../../runtime/kernel/marks.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { intervalFor } from '../../actors/interval.ts'
import type { Plan, SourceNode } from '../../actors/plan.ts'
import type { Job } from '../../actors/stream.ts'
import type { LogReader } from '../../runtime/ports/log.ts'
import type { RunEvidence, Violation } from '../checkers/evidence.ts'
import { checkEvidence } from '../checkers/index.ts'
import { type Build } from '../workload/program-actor.ts'
import { makeWorkload } from '../workload/index.ts'
import { applyFaults, type ServiceTargets } from '../world/apply-faults.ts'
import type { FaultKind } from '../world/fault.ts'
import type { SimHostOptions, SimProcess } from '../world/process.ts'
import { WorldTime } from '../world/time.ts'
import { gatherEvidence } from './gather-evidence.ts'
import { PacedLog, type Pace } from './paced-log.ts'
import { hostsOf, joinersOf, type Scenario } from './scenario.ts'
import { SimCluster } from './sim-cluster.ts'
import { tellStory } from './story.ts'

export type Outcome =
  | 'passed'
  /** A checker found something. */
  | 'wrong'
  /** The faults are over, and the job does not finish. */
  | 'stuck'
  /** Something threw where nothing may throw. */
  | 'crashed'

export interface Finding {
  readonly checker: string
  readonly violation: Violation
}

export interface RunResult {
  readonly seed: string
  readonly outcome: Outcome
  readonly findings: readonly Finding[]
  /** Of a run that is stuck: what it waits for. */
  readonly waitingFor: readonly string[]
  readonly crashes: readonly string[]
  readonly description: string
  /** Handled by actors, those of abandoned generations too. */
  readonly events: number
  /** Generations begun after the first. */
  readonly recoveries: number
  readonly checkpoints: number
  /** Publications that had to begin anew. */
  readonly republished: number
  readonly simulatedMs: number
  readonly worldEvents: number
  /** What workers did to the world. */
  readonly effects: number
  /** How often each class of faults really struck. */
  readonly hits: Readonly<Partial<Record<FaultKind, number>>>
  readonly marks: Readonly<Record<string, number>>
  readonly traceHash: string
  /** What a user should know, though nothing failed. */
  readonly notes?: readonly string[]
  /** What happened, for people; when it was asked for. */
  readonly story?: readonly string[]
}

/** The worker that is about to have its n-th effect on the world, counted over all workers, dies just before it or just after. */
export interface CrashPoint {
  readonly effect: number
  readonly when: 'before' | 'after'
}

export interface RunOptions {
  readonly crashPoint?: CrashPoint
  /** Told each effect that a worker is about to have on the world. */
  readonly effect?: (label: string, process: string) => void
  readonly story?: boolean
  /** Told each event of the world, as one line. */
  readonly trace?: (line: string) => void
}

/** A job, its input, and what must hold of a run of it. */
export interface Subject {
  /** One line for people. */
  readonly description: string
  /** As one process has loaded it. */
  job(process: SimProcess, build: Build): Job<unknown>
  readonly plan: Plan
  reader(source: SourceNode, process: SimProcess, pace: Pace): LogReader
  /** What its handlers call; may be made to fail. */
  readonly services?: ServiceTargets
  /** Something happened after which the run means nothing. */
  broken?(): boolean
  check(evidence: RunEvidence): Finding[] | Promise<Finding[]>
  /** Worth telling, and no failure. */
  notes?(): readonly string[]
  /** What a story of the run should tell besides. */
  happened?(): readonly { readonly atMs: number; readonly text: string }[]
}

export const timing = {
  heartbeatMs: 500,
  lostAfterMs: 2_500,
  silentAfterMs: 3_000,
  gatherMs: 400,
  startTimeoutMs: 15_000,
  checkpointTimeoutMs: 4_000,
  leaseMs: 5_000,
  renewMs: 1_500
}
/** After the healing: a job that needs longer is stuck. */
const patienceMs = 180_000
/** Events of the world between two looks at a worker's queues. */
const sampledEvery = 32
/** A world that goes round in circles without time passing. */
const mostEvents = 3_000_000

export async function runScenario(
  scenario: Scenario,
  options: RunOptions = {},
  makeSubject: (scenario: Scenario, time: WorldTime) => Subject = workloadSubject
): Promise<RunResult> {
  const marks = new Map<string, number>()
  countMarks(marks)
  const time = new WorldTime()
  time.trace = options.trace
  const subject = makeSubject(scenario, time)
  const effects = { count: 0 }
  const cluster = clusterOf(scenario, subject, time, crashing(effects, options))
  if (options.crashPoint !== undefined) cluster.restartAfterMs = restartMs
  const applied = applyFaults(scenario, {
    time,
    network: cluster.network,
    bus: cluster.bus,
    storage: cluster.storage,
    broker: cluster.broker,
    hosts: cluster.hosts,
    ...(subject.services === undefined ? {} : { services: subject.services }),
    start: (host, why) => void cluster.start(host, why),
    leave: host => cluster.leave(host),
    rescale: tasks => cluster.tellLeader('told to rescale', worker => worker.rescale(tasks)),
    savepoint: name => cluster.tellLeader('asked for a savepoint', worker => worker.savepoint(name)),
    restore: (going, done) => cluster.takeBack(going, done)
  })
  time.schedule(scenario.healAtMs, () => cluster.broker.heal(), 'broker heals')
  const crashes = cluster.crashes
  try {
    await time.run({
      until: () => {
        if (time.events % sampledEvery === 0) cluster.sample()
        return cluster.ended !== undefined || crashes.length > 0 || subject.broken?.() === true
      },
      untilMs: scenario.healAtMs + patienceMs,
      events: mostEvents
    })
  } catch (error) {
    crashes.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
  } finally {
    countMarks(undefined)
  }
  const [simulatedMs, worldEvents, { traceHash }] = [Math.round(time.now()), time.events, time]
  const evidence = gatherEvidence(cluster, scenario)
  const findings = crashes.length > 0 ? [] : await subject.check(evidence)
  const decisions = [...(evidence.past ?? []), evidence].flatMap(each => each.decisions)
  const count = (kind: string): number => decisions.filter(({ decision }) => decision.kind === kind).length
  return {
    seed: scenario.seed,
    outcome: outcomeOf(crashes, findings),
    findings,
    waitingFor: evidence.waitingFor,
    crashes,
    description: subject.description,
    events: cluster.events,
    recoveries: Math.max(0, count('begins') - 1),
    checkpoints: count('completed'),
    republished: marks.get('slot: an unknown outcome') ?? 0,
    simulatedMs,
    worldEvents,
    effects: effects.count,
    hits: Object.fromEntries([...applied.hits()].filter(([, hits]) => hits > 0)),
    marks: Object.fromEntries(marks),
    traceHash,
    ...(subject.notes === undefined ? {} : { notes: subject.notes() }),
    ...(options.story === true
      ? { story: tellStory(scenario, evidence, [...cluster.notes, ...(subject.happened?.() ?? [])]) }
      : {})
  }
}

function outcomeOf(crashes: readonly string[], findings: readonly Finding[]): Outcome {
  if (crashes.length > 0) return 'crashed'
  if (findings.some(({ checker }) => checker !== 'liveness')) return 'wrong'
  return findings.length > 0 ? 'stuck' : 'passed'
}

function workloadSubject(
  { seed, records, events = 0, cycles, fleeting, lateness }: Scenario,
  time: WorldTime
): Subject {
  const sleep = (ms: number): Promise<void> =>
    new Promise(resolve => (time.running as SimProcess).after(ms, resolve, 'sleep'))
  const workload = makeWorkload(seed, {
    sleep,
    records,
    events,
    cycles,
    fleeting: fleeting === true,
    lateness: lateness === true
  })
  return {
    description: workload.description,
    job: (_, build) => (build === 1 ? workload.job : workload.upgraded),
    plan: workload.job.plan,
    reader: (node, process, pace) => {
      const source = workload.shape.sources.findIndex(({ name }) => name === node.name)
      return new PacedLog(workload.inputs[source] ?? [], pace, process)
    },
    check: evidence => checkEvidence({ ...evidence, workload })
  }
}

/** Of a worker that a crash point kills, until it is started again. */
const restartMs = 300

function crashing(
  effects: { count: number },
  { crashPoint, effect }: RunOptions
): NonNullable<SimHostOptions['crashAt']> {
  return (process, label) => {
    effect?.(label, process.name)
    return effects.count++ === crashPoint?.effect ? crashPoint.when : undefined
  }
}

function clusterOf(
  scenario: Scenario,
  subject: Subject,
  time: WorldTime,
  crashAt: NonNullable<SimHostOptions['crashAt']>
): SimCluster {
  const { intervalMs, latencyGoal, inputMs, batch, cacheBytes } = scenario
  const interval = latencyGoal === undefined ? { intervalMs, latencyGoal } : intervalFor(latencyGoal)
  const planOf = (plan: Plan): Plan => ({
    ...plan,
    ...interval,
    parallelism: Math.min(scenario.tasksPerWorker, plan.slots),
    ...(cacheBytes === undefined ? {} : { cacheBytes })
  })
  const random = new Prng(scenario.seed).fork('world')
  const clocks = random.fork('clocks')
  const pace = { fromMs: 0, spanMs: inputMs, batch, latencyMs: 2 }
  const cluster = new SimCluster({
    random,
    time,
    upgrades: scenario.upgrades === true,
    restores: scenario.faults.some(({ kind }) => kind === 'restore'),
    job: (process, build) => {
      const job = subject.job(process, build)
      return { ...job, plan: planOf(job.plan) }
    },
    plan: planOf(subject.plan),
    hosts: hostsOf(scenario.workers),
    timing,
    transactionVersion: scenario.transactionVersion,
    firstProducerEpoch: scenario.firstProducerEpoch,
    kafka: scenario.kafka ?? 'new',
    tells: scenario.tells === true,
    check: false,
    limits: {
      pendingLimitBytes: scenario.pendingLimitBytes,
      checkpointTimeoutMs: timing.checkpointTimeoutMs,
      ...(scenario.alignmentLimitMs === undefined ? {} : { alignmentLimitMs: scenario.alignmentLimitMs }),
      ...(scenario.loopLimit === undefined ? {} : { loopLimit: scenario.loopLimit }),
      ...(scenario.channels === undefined ? {} : { channels: scenario.channels }),
      ...(scenario.slice === undefined ? {} : { sliceEvents: scenario.slice, encodeSlice: scenario.slice })
    },
    reader: (node, process) => subject.reader(node, process, pace),
    // Clocks that agree with nobody: nothing may depend on them.
    host: () => ({
      clock: { offsetMs: clocks.int(7_200_000) - 3_600_000, rate: 0.95 + clocks.next() / 10 },
      crashAt
    })
  })
  for (const name of joinersOf(scenario.joiners)) cluster.machine(name)
  for (const name of hostsOf(scenario.workers)) cluster.start(name)
  return cluster
}
