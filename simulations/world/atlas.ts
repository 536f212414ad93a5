/**
 * The fault atlas, as data: what may go wrong in a simulated world, how often and how long, what it may be combined with, and what Cairn
 * promises to survive. Numbers of faults (F) and invariants (S, L, R) are those of the reliability tables in docs.
 */
import type { FaultKind } from './fault.ts'

export interface FaultClass {
  /** What it is, for people. */
  readonly what: string
  /** Of the fault catalogue. */
  readonly numbers: readonly string[]
  /** Kinds with which it does not occur in one world; of everything else any mixture may. */
  readonly notWith: readonly FaultKind[]
  /** Invariants that hold all the same; liveness ones after it has healed. */
  readonly survives: readonly string[]
  /** Part of the worlds in which it exists. */
  readonly chance: number
  /** How often it then strikes, from and to; each world draws its own rate. `whole`: once, from the start to the healing. */
  readonly perMinute: readonly [number, number] | 'whole'
  /** How long, from and to; drawn for each fault. */
  readonly forMs: readonly [number, number]
}

/** What no fault may ever break. */
const safety = ['S1', 'S2', 'S3', 'S4', 'S5', 'S6', 'S8', 'S13', 'S14', 'S15', 'S16', 'R1'] as const
const all = [...safety, 'S7', 'S17', 'L1', 'L2', 'L3', 'L6'] as const

const usual = { notWith: [], survives: all, chance: 0.5 } as const

export const atlas = {
  crash: {
    ...usual,
    what: 'a worker process dies at any point and is started again',
    numbers: ['F1', 'F5', 'F52'],
    perMinute: [0.5, 8],
    forMs: [20, 10_000]
  },
  'crash-all': {
    ...usual,
    what: 'all worker processes die at once',
    numbers: ['F7'],
    chance: 0.25,
    perMinute: [0.3, 1.5],
    forMs: [100, 10_000]
  },
  'crash-machine': {
    ...usual,
    what: 'a machine loses power: what was not synced is lost or torn, and nobody is told',
    numbers: ['F1', 'F13', 'F42', 'F44'],
    perMinute: [0.3, 3],
    forMs: [1_000, 30_000]
  },
  'lose-machine': {
    ...usual,
    what: 'a machine is gone for good',
    numbers: ['F1', 'F57'],
    chance: 0.2,
    perMinute: [0.3, 1],
    forMs: [0, 0]
  },
  pause: {
    ...usual,
    what: 'a process stands still, and wakes up as a zombie that believes it is still time',
    numbers: ['F2', 'F3', 'F4'],
    perMinute: [0.5, 6],
    forMs: [50, 60_000]
  },
  'slow-process': {
    ...usual,
    what: 'one process is much slower than the others',
    numbers: ['F3', 'F62'],
    perMinute: [0.5, 3],
    forMs: [1_000, 20_000]
  },
  'wipe-disk': {
    ...usual,
    what: 'a machine comes back with an empty disk',
    numbers: ['F49'],
    chance: 0.3,
    perMinute: [0.3, 2],
    forMs: [100, 10_000]
  },
  'disk-full': {
    ...usual,
    what: 'nothing more can be written to a local disk for a while',
    numbers: ['F46'],
    perMinute: [0.3, 3],
    forMs: [500, 15_000]
  },
  'disk-error': {
    ...usual,
    what: 'operations of a local disk fail, done or not',
    numbers: ['F43'],
    perMinute: [0.3, 3],
    forMs: [200, 10_000]
  },
  'slow-disk': {
    ...usual,
    what: 'a local disk takes its time',
    numbers: ['F43'],
    perMinute: [0.3, 3],
    forMs: [500, 15_000]
  },
  'clock-jump': {
    ...usual,
    what: 'the wall clock of a machine jumps by up to an hour, either way, and stays there',
    numbers: ['F61'],
    perMinute: [0.5, 6],
    forMs: [0, 0]
  },
  'clock-drift': {
    ...usual,
    what: 'the clock of a machine runs too fast or too slow',
    numbers: ['F61'],
    perMinute: [0.5, 3],
    forMs: [5_000, 60_000]
  },
  join: {
    ...usual,
    what: 'a worker joins a running cluster',
    numbers: ['F57'],
    perMinute: [0.5, 2],
    forMs: [0, 0]
  },
  leave: {
    ...usual,
    what: 'a worker is told to end, and comes back later',
    numbers: ['F57'],
    perMinute: [0.3, 3],
    forMs: [2_000, 15_000]
  },
  upgrade: {
    ...usual,
    what: 'a worker is replaced by another build',
    numbers: ['F8'],
    chance: 0.3,
    perMinute: [0.3, 2],
    forMs: [2_000, 15_000]
  },
  rescale: {
    ...usual,
    what: 'whoever leads is asked for another number of tasks in each worker',
    numbers: ['F57'],
    perMinute: [0.5, 3],
    forMs: [0, 0]
  },
  savepoint: {
    ...usual,
    what: 'whoever leads is asked for a checkpoint that is kept',
    numbers: ['F58'],
    chance: 0.3,
    perMinute: [0.5, 4],
    forMs: [0, 0]
  },
  restore: {
    ...usual,
    what: 'an operator takes the job back to an older checkpoint, whether its workers stand still or run',
    numbers: ['F58'],
    chance: 0.3,
    perMinute: [0.3, 2],
    forMs: [1_000, 10_000]
  },
  cut: {
    ...usual,
    what: 'nothing passes between two machines, in one direction or both',
    numbers: ['F11', 'F15'],
    perMinute: [0.5, 6],
    forMs: [300, 40_000]
  },
  isolate: {
    ...usual,
    what: 'one machine is cut off from all others; several at once and healed in any order is the swizzle',
    numbers: ['F11', 'F12'],
    perMinute: [0.5, 4],
    forMs: [200, 40_000]
  },
  stall: {
    ...usual,
    what: 'bytes on data connections are held, then flushed',
    numbers: ['F13', 'F15', 'F55'],
    perMinute: [0.5, 6],
    forMs: [300, 20_000]
  },
  break: {
    ...usual,
    what: 'data connections break; both ends are told, or one, or none',
    numbers: ['F13'],
    perMinute: [0.5, 8],
    forMs: [0, 0]
  },
  'slow-link': {
    ...usual,
    what: 'one direction between two machines is slow',
    numbers: ['F10', 'F62'],
    perMinute: [0.5, 4],
    forMs: [1_000, 20_000]
  },
  'corrupt-bytes': {
    ...usual,
    what: 'bits flip on data connections',
    numbers: ['F17'],
    survives: [...all, 'S11'],
    chance: 0.25,
    perMinute: [0.3, 2],
    forMs: [1_000, 8_000]
  },
  'bus-loss': {
    ...usual,
    what: 'control messages are lost',
    numbers: ['F10', 'F16', 'F51'],
    perMinute: [0.5, 4],
    forMs: [1_000, 30_000]
  },
  'bus-duplication': {
    ...usual,
    what: 'control messages come twice, the second time late',
    numbers: ['F10', 'F51'],
    perMinute: [0.5, 4],
    forMs: [1_000, 30_000]
  },
  'bus-reorder': {
    ...usual,
    what: 'control messages overtake each other',
    numbers: ['F10', 'F51'],
    perMinute: [0.5, 4],
    forMs: [1_000, 30_000]
  },
  'bus-lost-reply': {
    ...usual,
    what: 'a lease is written and the answer is lost',
    numbers: ['F14', 'F36'],
    perMinute: [0.5, 4],
    forMs: [2_000, 30_000]
  },
  'bus-cut': {
    ...usual,
    what: 'a machine does not reach the bus, or the bus not it',
    numbers: ['F11'],
    perMinute: [0.5, 4],
    forMs: [100, 30_000]
  },
  'bus-deaf': {
    ...usual,
    what: 'a machine is not told what another one publishes, or anybody, while leases can be read: two may lead and go on',
    numbers: ['F9', 'F11', 'F37'],
    perMinute: [0.5, 6],
    forMs: [500, 40_000]
  },
  'bus-outage': {
    ...usual,
    what: 'the bus is away, for minutes at worst, and comes back with its data or without',
    numbers: ['F38', 'F40'],
    survives: [...all, 'L5'],
    perMinute: [0.3, 2],
    forMs: [500, 120_000]
  },
  'bus-wipe': {
    ...usual,
    what: 'the bus forgets every lease and its revisions while it runs',
    numbers: ['F38', 'F41'],
    perMinute: [0.3, 2],
    forMs: [0, 0]
  },
  'lease-expiry': {
    ...usual,
    what: 'leases vanish too early or too late',
    numbers: ['F39'],
    perMinute: [0.3, 2],
    forMs: [5_000, 60_000]
  },
  'lease-stale': {
    ...usual,
    what: 'reads of a lease tell of the past',
    numbers: ['F35'],
    perMinute: [0.3, 2],
    forMs: [3_000, 60_000]
  },
  'lease-lies': {
    ...usual,
    what: 'any worker may at any time be told that it holds the lease',
    numbers: ['F37', 'F41', 'F9'],
    chance: 0.1,
    perMinute: 'whole',
    forMs: [0, 0]
  },
  'storage-refuse': {
    ...usual,
    what: 'operations of checkpoint storage fail and did nothing',
    numbers: ['F47'],
    perMinute: [0.5, 4],
    forMs: [200, 10_000]
  },
  'storage-unreachable': {
    ...usual,
    what: 'one machine does not reach checkpoint storage',
    numbers: ['F11', 'F47'],
    perMinute: [0.3, 3],
    forMs: [200, 20_000]
  },
  'storage-ambiguous': {
    ...usual,
    what: 'a create or removal is told to have failed and happens, at once or much later',
    numbers: ['F14', 'F15', 'F47', 'F53'],
    perMinute: [0.5, 4],
    forMs: [1_000, 20_000]
  },
  'storage-stale-list': {
    ...usual,
    what: 'listings lack the newest objects or name removed ones',
    numbers: ['F47', 'F48'],
    perMinute: [0.5, 4],
    forMs: [1_000, 30_000]
  },
  'storage-full': {
    ...usual,
    what: 'nothing can be created in checkpoint storage',
    numbers: ['F46'],
    perMinute: [0.3, 2],
    forMs: [200, 20_000]
  },
  'storage-slow': {
    ...usual,
    what: 'checkpoint storage is slow, now and then very slow',
    numbers: ['F47', 'F56'],
    perMinute: [0.3, 3],
    forMs: [500, 20_000]
  },
  'service-failure': {
    ...usual,
    what: 'calls of a service outside of the job fail, done or not, or take long',
    numbers: ['F64'],
    perMinute: [0.5, 4],
    forMs: [500, 10_000]
  },
  'broker-outage': {
    ...usual,
    what: 'a broker is gone for a while and others take over',
    numbers: ['F24'],
    perMinute: [0.3, 3],
    forMs: [500, 20_000]
  },
  'broker-unknown-outcome': {
    ...usual,
    what: 'the log does what it was asked and the answer is lost, or says that it failed',
    numbers: ['F14', 'F18', 'F25'],
    perMinute: [0.5, 5],
    forMs: [1_000, 15_000]
  },
  'broker-late-request': {
    ...usual,
    what: 'a request to the log is carried out after its client gave up',
    numbers: ['F15', 'F23'],
    perMinute: [0.5, 4],
    forMs: [1_000, 15_000]
  },
  'broker-refusal': {
    ...usual,
    what: 'the log refuses what it would usually do',
    numbers: ['F25', 'F27', 'F33'],
    perMinute: [0.5, 4],
    forMs: [500, 10_000]
  },
  'slow-broker': {
    ...usual,
    what: 'the log takes its time',
    numbers: ['F19', 'F33'],
    perMinute: [0.5, 4],
    forMs: [500, 20_000]
  },
  'slow-markers': {
    ...usual,
    what: 'the markers of a transaction are written long after its end was confirmed',
    numbers: ['F20', 'F21', 'F27'],
    survives: [...all, 'S9'],
    perMinute: [0.5, 4],
    forMs: [500, 20_000]
  },
  'leader-change': {
    ...usual,
    what: 'a partition gets another leader',
    numbers: ['F24'],
    perMinute: [0.5, 5],
    forMs: [50, 5_000]
  },
  'hanging-transaction': {
    ...usual,
    what: 'a transaction that nobody owns holds back the readers of a partition',
    numbers: ['F23', 'F34'],
    survives: [...all, 'L4'],
    perMinute: [0.3, 2],
    forMs: [1_000, 20_000]
  },
  'coordinator-failover': {
    ...usual,
    what: 'the coordinator of transactions moves to another broker',
    numbers: ['F24'],
    perMinute: [0.5, 5],
    forMs: [50, 5_000]
  }
} as const satisfies Record<FaultKind, FaultClass>

export const faultKinds = Object.keys(atlas) as FaultKind[]

export const faultClass = (kind: FaultKind): FaultClass => atlas[kind]

/** Faults of the catalogue that no plan injects, and why. */
export const notInjected: Readonly<Record<string, string>> = {
  F6: 'a handler that throws is part of the workload',
  F22: 'Cairn commits no group offsets that anybody waits for',
  F26: 'an option of the simulated log: producer epochs begin at 32,760',
  F28: 'an option of the simulated log: producers expire',
  F29: 'Cairn halts: a scenario, not a mixture',
  F30: 'Cairn halts: a scenario, not a mixture',
  F31: 'Cairn halts: a scenario, not a mixture',
  F32: 'Cairn halts: a scenario, not a mixture',
  F45: 'Cairn halts: every byte of every stored file is flipped in the tests of each format',
  F50: 'there is no such data: losing a lease deletes nothing',
  F54: 'a mistake of the code, planted in it: a planted bug',
  F59: 'there is no counter outside of the decision log',
  F60: 'Cairn halts: a scenario, not a mixture',
  F63: 'a mistake of a job, found by the simulation of users',
  F65: 'fuzzed in the tests of each decoder',
  F66: 'tested where messages are authenticated',
  F67: 'there is no HTTP interface in a simulated worker'
}
