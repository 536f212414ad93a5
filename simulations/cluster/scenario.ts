/**
 * All that a run depends on, as plain data: drawn from a seed, made smaller by the shrinker, written to a file, run again. Swarm: each
 * world draws which faults exist in it, and its limits, shapes and paces.
 */
import type { ResolvedLatencyGoal } from '../../actors/interval.ts'
import type { ChannelLimits } from '../../runtime/core/channel.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import type { Fault, FaultKind } from '../world/fault.ts'
import { makeFaultPlan } from '../world/fault-plan.ts'

export interface Scenario {
  readonly seed: string
  /** Machines with a worker from the start: w1, w2, … */
  readonly workers: number
  /** Machines whose worker may join later: j1, j2, … */
  readonly joiners: number
  /** Source records. */
  readonly records: number
  /** Of a random job: more records are made until actors have so many events to handle. */
  readonly events?: number
  /** The input comes in over so long. */
  readonly inputMs: number
  /** Records in one fetch. */
  readonly batch: number
  readonly tasksPerWorker: number
  readonly intervalMs: number
  /** Instead of it: the interval follows from what checkpoints take. */
  readonly latencyGoal?: ResolvedLatencyGoal
  readonly pendingLimitBytes: number
  /** Of actors as objects; small ones leave memory all the time. Undefined: all stay. */
  readonly cacheBytes?: number
  /** A barrier that takes longer to align is not waited for. */
  readonly alignmentLimitMs?: number
  readonly loopLimit?: number
  readonly channels?: ChannelLimits
  /** Events of a task, and actors encoded for a checkpoint, between two turns of the event loop. */
  readonly slice?: number
  readonly cycles: boolean
  /** Of a random job: an actor with a time to live. */
  readonly fleeting?: true
  /** Of a random job: windows that take late events for a while. */
  readonly lateness?: true
  /** Of a random job: what an upgrade brings stores other fields, and migrates what it finds. */
  readonly upgrades?: true
  readonly transactionVersion: 1 | 2
  readonly firstProducerEpoch: number
  /** Brokers from before compact lengths; absent: those of today. */
  readonly kafka?: 'old'
  /** The positions of the sources are told to a consumer group. */
  readonly tells?: true
  readonly faults: readonly Fault[]
  /** Nothing is wrong from then on. */
  readonly healAtMs: number
}

export interface ScenarioOptions {
  /** These classes exist for certain, and no others. */
  readonly only?: readonly FaultKind[]
  readonly without?: readonly FaultKind[]
  /** Source records of a run; default: drawn. */
  readonly records?: number
  readonly cycles?: boolean
  /** The job calls services, which may fail. */
  readonly services?: boolean
}

/** A seed counts with 1,000 events. */
const enoughEvents = 1_050
/** Faults begin before the first generation runs, or once it may. */
const faultsFromMs = [500, 1_500] as const
const brokers = 3

export function drawScenario(seed: string, options: ScenarioOptions = {}): Scenario {
  const random = new Prng(seed).fork('scenario')
  const pick = <T>(...from: readonly T[]): T => from[random.int(from.length)] as T
  const workers = pick(1, 2, 2, 3, 3, 4, 5)
  const joiners = pick(0, 0, 1, 2)
  const healAtMs = pick(5_000, 8_000, 12_000, 20_000)
  const small = pick<number | undefined>(undefined, undefined, 1, 4_000)
  const alignment = pick<number | undefined>(undefined, undefined, 1, 50)
  const drawn = {
    seed,
    workers,
    joiners,
    ...amount(options, pick(600, 750, 900)),
    inputMs: healAtMs * pick(0.5, 0.8, 0.9),
    batch: pick(1, 4, 16, 64),
    tasksPerWorker: pick(1, 1, 2, 3),
    intervalMs: Math.round(healAtMs / pick(6, 15, 30, 60)),
    pendingLimitBytes: pick(4_000, 100_000, 10_000_000),
    ...(small === undefined ? {} : { cacheBytes: small }),
    ...(alignment === undefined ? {} : { alignmentLimitMs: alignment }),
    cycles: options.cycles ?? pick(false, true),
    ...(random.int(3) === 0 ? { loopLimit: 1 + new Prng(seed).fork('loop').int(4) } : {}),
    ...(random.int(3) === 0 ? { slice: pick(1, 3, 10) } : {}),
    transactionVersion: pick<1 | 2>(1, 2, 2),
    firstProducerEpoch: pick(0, 0, 32_760),
    healAtMs
  }
  const extras = new Prng(seed).fork('extras')
  const narrow = new Prng(seed).fork('channels').int(3)
  const latency = new Prng(seed).fork('latency')
  const { faults } = makeFaultPlan(seed, {
    hosts: hostsOf(workers),
    joiners: joinersOf(joiners),
    topics: [{ name: 'ledger', partitions: 1 }],
    brokers,
    services: options.services === true,
    // What a user's invariants say of the output need not hold of output that is made again.
    restores: options.services !== true,
    startMs: faultsFromMs[new Prng(seed).fork('start').int(2)] as number,
    intensity: pick(1, 2, 4, 6),
    healAtMs,
    ...(options.only === undefined ? {} : { only: options.only }),
    ...(options.without === undefined ? {} : { without: options.without })
  })
  // Old brokers know nothing of version 2. A stream of its own, so that nothing else is drawn anew.
  const isOld = drawn.transactionVersion === 1 && new Prng(seed).fork('kafka').int(2) === 0
  const crashes = options.only === undefined && options.without?.includes('crash') !== true
  return {
    ...drawn,
    // Queues of one, and of a few.
    ...(narrow === 0 ? { channels: { queueRecords: 1, windowBytes: 1 } } : {}),
    ...(narrow === 1 ? { channels: { queueRecords: 20, windowBytes: 2_000 } } : {}),
    ...(isOld ? { kafka: 'old' as const } : {}),
    ...(latency.int(8) === 0
      ? {
          latencyGoal: {
            latencyMs: [20, 100, 300, 1_000, 3_000][latency.int(5)] as number,
            share: [0.01, 0.1, 0.5, 0.9][latency.int(4)] as number
          }
        }
      : {}),
    ...(extras.int(2) === 0 ? { fleeting: true as const } : {}),
    ...(extras.int(2) === 0 ? { lateness: true as const } : {}),
    ...(new Prng(seed).fork('tells').int(3) === 0 ? { tells: true as const } : {}),
    ...(extras.int(3) > 0 ? { upgrades: true as const } : {}),
    faults: crashes ? withCrash(faults, random.fork('crash'), workers, healAtMs) : faults
  }
}

function amount({ records, services }: ScenarioOptions, drawn: number): Pick<Scenario, 'records' | 'events'> {
  if (records !== undefined) return { records }
  return services === true ? { records: drawn } : { records: drawn / 3, events: enoughEvents }
}

/** At least one worker dies while there is work to do: a run without a recovery proves little. */
function withCrash(faults: readonly Fault[], random: Prng, workers: number, healAtMs: number): readonly Fault[] {
  const atMs = Math.round(healAtMs * (0.2 + random.next() / 4))
  const crash: Fault = { kind: 'crash', host: `w${1 + random.int(workers)}`, atMs, forMs: 20 + random.int(2_000) }
  return [...faults, crash].sort((a, b) => a.atMs - b.atMs)
}

export const hostsOf = (workers: number): string[] => Array.from({ length: workers }, (_, i) => `w${i + 1}`)
export const joinersOf = (joiners: number): string[] => Array.from({ length: joiners }, (_, i) => `j${i + 1}`)
