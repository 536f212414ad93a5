/**
 * Runs of a user's job in which nothing goes wrong: what they agree about is what the job means, since nobody wrote a model of it. No
 * faults; one worker, unless something else is asked for.
 */
import { Prng } from '../../runtime/kernel/prng.ts'
import type { Fetched, LogReader } from '../../runtime/ports/log.ts'
import type { Pace } from '../cluster/paced-log.ts'
import { gatherEvidence } from '../cluster/gather-evidence.ts'
import { timing } from '../cluster/run-scenario.ts'
import { hostsOf } from '../cluster/scenario.ts'
import { SimCluster } from '../cluster/sim-cluster.ts'
import { WorldTime } from '../world/time.ts'
import type { WrongClock } from './code-host.ts'
import type { Ambient } from './world-globals.ts'
import { outcomeOf, outputsOf, type RunOutcome } from './run-outcome.ts'
import type { Sandbox } from './sandbox.ts'
import type { ServiceFault } from './sim-services.ts'
import { stageStates, StatesWalk } from './stage-states.ts'
import { walkCheckpoints } from '../checkers/checkpoint-walk.ts'
import type { UserInputs } from './user-inputs.ts'
import { UserRun } from './user-run.ts'

/** What differs from the first calm run; any of it is legal. */
export interface Variation {
  /** Another draw of latencies; and workers of which some are slower than others. */
  readonly world?: string
  readonly workers?: number
  /** What goes from a worker to one with a smaller number takes so many times longer. */
  readonly slowLinks?: number
  /** Tasks of each stage on each worker. */
  readonly parallelism?: number
  /** Records in a fetch. */
  readonly batch?: number
  /** Sources, and partitions of each, begin one after the other, this way round. */
  readonly order?: 'first-first' | 'last-first'
  /** What is wrong with the clock that the code sees, and not with `ctx.now`. */
  readonly clock?: WrongClock
  /** Another stream for `Math.random` and its like. */
  readonly chance?: string
  readonly serviceFault?: ServiceFault
}

export interface CalmRun {
  /** Undefined: it did not get to its end, or began anew on its way, which is not calm. */
  readonly outcome: RunOutcome | undefined
  /** Why not, in sentences. */
  readonly failures: readonly string[]
  readonly asked: ReadonlyMap<Ambient, readonly string[]>
}

/** Much longer than any job takes that only computes; handlers that wait for services take their time. */
const patienceMs = 900_000
const mostEvents = 3_000_000
const betweenMs = 300
/** Whose turns differ. */
const mostPartitions = 4
/** Of a slice of work, ms. */
const slowness = [0.02, 0.02, 2, 20]

export async function runCalm(sandbox: Sandbox, inputs: UserInputs, variation: Variation = {}): Promise<CalmRun> {
  const {
    world,
    workers = 1,
    slowLinks,
    parallelism = 1,
    batch = 64,
    order,
    clock,
    chance = 'calm',
    serviceFault
  } = variation
  const time = new WorldTime()
  const random = new Prng(`calm ${world ?? ''}`)
  const speeds = random.fork('speeds')
  const run = new UserRun({
    sandbox,
    time,
    inputs,
    chance: new Prng(chance),
    outside: random.fork('outside'),
    ...(clock === undefined ? {} : { clock })
  })
  if (serviceFault !== undefined) run.services.disturb(serviceFault)
  const planOf = <P extends UserRun['plan']>(plan: P): P => ({
    ...plan,
    parallelism: Math.min(parallelism, plan.slots)
  })
  const sources = run.plan.nodes.filter(({ kind }) => kind === 'source').map(({ id }) => id)
  const turns = Math.max(sources.length, mostPartitions)
  const paceOf = (source: number, partition: number): Pace => {
    const at = sources.indexOf(source) + partition
    const turn = order === undefined ? 0 : order === 'first-first' ? at : turns - 1 - at
    return { fromMs: Math.max(0, turn) * betweenMs, spanMs: order === undefined ? 1 : 200, batch, latencyMs: 1 }
  }
  const cluster = new SimCluster({
    random,
    time,
    job: process => {
      const job = run.job(process)
      return { ...job, plan: planOf(job.plan) }
    },
    plan: planOf(run.plan),
    hosts: hostsOf(workers),
    host: () => ({
      clock: { yieldMs: world === undefined ? 0.02 : (slowness[speeds.int(slowness.length)] as number) }
    }),
    timing,
    transactionVersion: 2,
    firstProducerEpoch: 0,
    kafka: 'new',
    tells: false,
    limits: {},
    // The rest of the runs are for what can come out, not for mistakes in handlers.
    check: world === undefined,
    reader: (node, process) => new ByPartition(partition => run.reader(node, process, paceOf(node.id, partition)))
  })
  for (const name of hostsOf(workers)) cluster.start(name)
  if (slowLinks !== undefined)
    for (const [i, from] of hostsOf(workers).entries())
      for (const to of hostsOf(i)) cluster.network.slow(from, to, slowLinks)
  // With failing services handlers fail, and begin anew.
  const failed = (): boolean =>
    serviceFault === undefined && [...cluster.workers.values()].some(({ failure }) => failure !== undefined)
  await time.run({
    until: () => cluster.ended !== undefined || run.broken() || cluster.crashes.length > 0 || failed(),
    untilMs: patienceMs,
    events: mostEvents
  })
  const { asked, fatal } = run.watch
  if (cluster.ended !== 'finished') {
    const why = [...fatal, ...cluster.crashes]
    const failures = [...cluster.workers.values()].flatMap(({ failure }) => failure ?? [])
    return {
      outcome: undefined,
      failures: why.length > 0 ? why : failures.length > 0 ? failures : cluster.waitingFor,
      asked
    }
  }
  const evidence = gatherEvidence(cluster)
  const generations = evidence.decisions.filter(({ decision }) => decision.kind === 'begins').length
  if (generations > 1 && serviceFault === undefined) return { outcome: undefined, failures: ['it began anew'], asked }
  const stages = stageStates(run.plan)
  const unreadable = walkCheckpoints(evidence, [], [new StatesWalk(evidence, stages)])
  return { outcome: outcomeOf(outputsOf(run.plan, evidence), stages), failures: unreadable, asked }
}

/** Partitions at paces of their own: how they interleave decides what is late. */
class ByPartition implements LogReader {
  private readonly make: (partition: number) => LogReader
  private readonly readers = new Map<number, LogReader>()

  constructor(make: (partition: number) => LogReader) {
    this.make = make
  }

  private of(partition: number): LogReader {
    let reader = this.readers.get(partition)
    if (reader === undefined) this.readers.set(partition, (reader = this.make(partition)))
    return reader
  }
  partitions(): Promise<readonly { readonly name: string }[]> {
    return this.of(0).partitions()
  }
  start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    return this.of(partition).start(partition, from)
  }
  fetch(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    return this.of(partition).fetch(partition, position, maxBytes, waitMs)
  }
  async close(): Promise<void> {
    for (const reader of this.readers.values()) await reader.close()
  }
}
