/**
 * Makes a plan of faults from a seed. Swarm testing (Groce et al., 2012): each class of faults exists in a part of the worlds only, so that
 * rare mixtures come up and common faults do not hide rare ones.
 *
 * Invariants
 * 1. A plan is a function of (seed, options). Each class draws from a stream of its own: leaving out one class, or one fault, changes
 *    nothing about the others.
 * 2. Every fault has ended at `healAtMs`; a machine lost for good stays lost, and never all are.
 */
import { Prng } from '../../runtime/kernel/prng.ts'
import type { BrokerFault } from '../broker/faults.ts'
import { faultClass, faultKinds } from './atlas.ts'
import type { Fault, FaultKind, FaultOf } from './fault.ts'

export interface FaultPlanOptions {
  /** Machines with a worker from the start. */
  readonly hosts: readonly string[]
  /** Machines whose worker may join later; default none. */
  readonly joiners?: readonly string[]
  /** Of the log; default none: then faults of partitions do not exist. */
  readonly topics?: readonly { readonly name: string; readonly partitions: number }[]
  /** Default 0: then faults of the log do not exist. */
  readonly brokers?: number
  /** The job calls services; default false. */
  readonly services?: boolean
  /** The job may go back to an older checkpoint; default false. */
  readonly restores?: boolean
  /** Nothing goes wrong before; default 0. */
  readonly startMs?: number
  /** Nothing is wrong from then on. */
  readonly healAtMs: number
  /** These exist for certain, and no others. */
  readonly only?: readonly FaultKind[]
  readonly without?: readonly FaultKind[]
  /** Rates are multiplied by it; default 1. */
  readonly intensity?: number
}

export interface FaultPlan {
  readonly seed: string
  readonly healAtMs: number
  /** Classes that exist in this world, though maybe none of them strikes. */
  readonly kinds: readonly FaultKind[]
  /** By time. */
  readonly faults: readonly Fault[]
}

/** A class that would strike more often than this in one plan leaves no time for anything to work. */
const mostPerKind = 60

export function makeFaultPlan(seed: string | number, options: FaultPlanOptions): FaultPlan {
  const random = new Prng(seed).fork('faults')
  const kinds: FaultKind[] = []
  const faults: Fault[] = []
  for (const kind of faultKinds) {
    const own = random.fork(kind)
    const exists = own.next() < faultClass(kind).chance
    if (options.only === undefined ? !exists : !options.only.includes(kind)) continue
    if (options.without?.includes(kind) === true || !possible(kind, options)) continue
    if (kinds.some(each => faultClass(kind).notWith.includes(each) || faultClass(each).notWith.includes(kind))) continue
    kinds.push(kind)
    faults.push(...ofKind(kind, own, options))
  }
  const lost = new Set<string>()
  const upgraded = new Set(faults.flatMap(fault => (fault.kind === 'upgrade' ? [fault.host] : [])))
  const sorted = faults
    .sort((a, b) => a.atMs - b.atMs || faultKinds.indexOf(a.kind) - faultKinds.indexOf(b.kind))
    .filter(fault => {
      if (fault.kind !== 'lose-machine') return true
      const last = lost.size >= options.hosts.length - 1
      // State that only one build can read, and the only machine that has it: nobody is there to upgrade another.
      if (upgraded.has(fault.host) && [...upgraded].every(host => host === fault.host || lost.has(host))) return false
      lost.add(fault.host)
      return !last
    })
  return { seed: String(seed), healAtMs: options.healAtMs, kinds, faults: sorted }
}

function possible(kind: FaultKind, options: FaultPlanOptions): boolean {
  const { hosts, joiners = [], topics = [], brokers = 0 } = options
  switch (kind) {
    case 'cut':
    case 'isolate':
    case 'stall':
    case 'break':
    case 'slow-link':
    case 'corrupt-bytes':
    case 'bus-deaf':
    case 'lose-machine':
      return hosts.length > 1
    case 'join':
      return joiners.length > 0
    case 'service-failure':
      return options.services === true
    case 'restore':
      return options.restores === true
    case 'leader-change':
    case 'hanging-transaction':
      return topics.length > 0 && brokers > 0
    case 'broker-outage':
    case 'coordinator-failover':
      return brokers > 1
    case 'broker-unknown-outcome':
    case 'broker-late-request':
    case 'broker-refusal':
    case 'slow-broker':
    case 'slow-markers':
      return brokers > 0
    default:
      return true
  }
}

function ofKind(kind: FaultKind, own: Prng, options: FaultPlanOptions): Fault[] {
  const { perMinute, forMs } = faultClass(kind)
  const { startMs = 0, healAtMs, intensity = 1 } = options
  if (perMinute === 'whole')
    return [{ ...draws[kind](own, options), kind, atMs: startMs, forMs: healAtMs - startMs } as Fault]
  const meanMs = 60_000 / (between(own, perMinute) * intensity)
  const found: Fault[] = []
  const joining = [...(options.joiners ?? [])]
  // Once at least, however short the run: else rare classes would hardly ever meet.
  const onceMs = startMs + own.next() * (healAtMs - startMs)
  let nextMs = startMs
  while (found.length < mostPerKind) {
    if (found.length > 0) nextMs += -Math.log(1 - own.next()) * meanMs
    const atMs = found.length === 0 ? onceMs : nextMs
    // Each fault has a stream of its own, so that a change to what one draws leaves the others where they are.
    const each = own.fork(String(found.length))
    const lastsMs = Math.min(forMs[1] === 0 ? 0 : between(each, forMs), healAtMs - atMs)
    if (lastsMs < 0 || atMs >= healAtMs) break
    let detail: object = draws[kind](each, options)
    if (kind === 'join') {
      const host = joining.shift()
      if (host === undefined) break
      detail = { host }
    }
    found.push({ kind, atMs: Math.round(atMs), forMs: Math.floor(lastsMs), ...detail } as Fault)
  }
  return found
}

type Detail<K extends FaultKind> = K extends FaultKind ? Omit<FaultOf<K>, 'kind' | 'atMs' | 'forMs'> : never
type Draw<K extends FaultKind> = (random: Prng, options: FaultPlanOptions) => Detail<K>

/** Now and then one that may not have joined yet. */
function someHost(random: Prng, { hosts, joiners = [] }: FaultPlanOptions): string {
  return pick(random, joiners.length > 0 && random.int(5) === 0 ? joiners : hosts)
}
const host = (random: Prng, options: FaultPlanOptions): { host: string } => ({ host: someHost(random, options) })
function road(random: Prng, options: FaultPlanOptions): { from: string; to: string } {
  const from = someHost(random, options)
  return { from, to: pick(random, options.hosts.length > 1 ? options.hosts.filter(name => name !== from) : [from]) }
}
const rate = (random: Prng, most: number): { rate: number } => ({ rate: round(between(random, [most / 8, most])) })
const nothing = (): Record<never, never> => ({})
function partition(random: Prng, { topics = [] }: FaultPlanOptions): { topic: string; partition: number } {
  const topic = pick(random, topics)
  return { topic: topic.name, partition: random.int(topic.partitions) }
}

const draws: { readonly [K in FaultKind]: Draw<K> } = {
  crash: host,
  'crash-all': nothing,
  'crash-machine': host,
  // The first stays: somebody must be left.
  'lose-machine': (random, { hosts }) => ({ host: pick(random, hosts.slice(1)) }),
  pause: host,
  'slow-process': (random, options) => ({ ...host(random, options), yieldMs: round(between(random, [0.2, 50])) }),
  'wipe-disk': host,
  'disk-full': host,
  'disk-error': (random, options) => ({ ...host(random, options), ...rate(random, 0.5) }),
  'slow-disk': (random, options) => ({ ...host(random, options), diskMs: round(between(random, [1, 500])) }),
  'clock-jump': (random, options) => ({
    ...host(random, options),
    byMs: Math.round(between(random, [1, 3_600_000])) * (random.int(2) === 0 ? 1 : -1)
  }),
  'clock-drift': (random, options) => ({ ...host(random, options), rate: round(between(random, [0.7, 1.4])) }),
  join: host,
  leave: host,
  upgrade: host,
  rescale: random => ({ tasks: 1 + random.int(4) }),
  savepoint: random => ({ name: `s${random.int(1_000_000)}` }),
  restore: random => ({
    back: 1 + random.int(2),
    ...(random.int(2) === 0 ? {} : { named: true as const }),
    stopped: random.int(2) === 0,
    ...(random.int(2) === 0 ? {} : { dies: 1 + random.int(60) })
  }),
  cut: (random, options) => ({ ...road(random, options), both: random.int(2) === 0 }),
  isolate: (random, options) => ({
    ...host(random, options),
    bus: random.int(2) === 0,
    storage: random.int(3) === 0
  }),
  stall: road,
  break: (random, options) => ({
    ...road(random, options),
    mode: pick(random, ['both', 'both', 'first', 'half-open'] as const)
  }),
  'slow-link': (random, options) => ({ ...road(random, options), factor: round(between(random, [3, 300])) }),
  'corrupt-bytes': (random, options) => ({ ...road(random, options), ...rate(random, 0.5) }),
  'bus-loss': random => rate(random, 0.3),
  'bus-duplication': random => rate(random, 0.5),
  'bus-reorder': random => ({ ...rate(random, 0.5), byMs: Math.round(between(random, [10, 5_000])) }),
  'bus-lost-reply': random => rate(random, 0.5),
  'bus-cut': (random, options) => ({
    ...host(random, options),
    direction: pick(random, ['to-bus', 'from-bus', 'both'] as const)
  }),
  'bus-deaf': (random, options) => {
    const { from, to } = road(random, options)
    return { host: to, ...(random.int(3) === 0 ? {} : { from }) }
  },
  'bus-outage': random => ({ wiped: random.int(3) === 0 }),
  'bus-wipe': nothing,
  'lease-expiry': random => ({ early: rate(random, 0.6).rate, late: rate(random, 0.5).rate }),
  'lease-stale': random => rate(random, 0.5),
  'lease-lies': random => ({ lie: round(between(random, [0.1, 0.7])), doubleAccept: rate(random, 0.5).rate }),
  'storage-refuse': (random, { hosts }) => ({
    ...rate(random, 0.6),
    ...(random.int(2) === 0 ? {} : { host: pick(random, hosts) })
  }),
  'storage-unreachable': host,
  'storage-ambiguous': random => ({
    ...rate(random, 0.6),
    lateMs: Math.round(between(random, [100, 15_000])),
    ...(random.int(2) === 0 ? {} : { only: 'decisions' as const })
  }),
  'storage-stale-list': random => ({ ...rate(random, 1), byMs: Math.round(between(random, [100, 30_000])) }),
  'storage-full': nothing,
  'storage-slow': random => ({ factor: round(between(random, [2, 200])), hiccup: rate(random, 0.1).rate }),
  'service-failure': random => ({
    refuse: rate(random, 0.5).rate,
    lose: rate(random, 0.5).rate,
    byMs: Math.round(between(random, [1, 2_000]))
  }),
  'broker-outage': (random, { brokers = 1 }) => ({ fault: { kind: 'outage', broker: random.int(brokers) } }),
  'broker-unknown-outcome': random => ({
    fault:
      random.int(3) === 0
        ? { kind: 'error-after', ...rate(random, 0.3), error: 'REQUEST_TIMED_OUT' }
        : { kind: 'lost-reply', ...rate(random, 0.3), ...someRequest(random) }
  }),
  'broker-late-request': random => ({
    fault: {
      kind: 'late-request',
      ...rate(random, 0.2),
      ...someRequest(random),
      delayMs: Math.round(between(random, [100, 20_000]))
    }
  }),
  'broker-refusal': random => ({
    fault: {
      kind: 'error',
      ...rate(random, 0.4),
      error: pick(random, ['NOT_ENOUGH_REPLICAS', 'REQUEST_TIMED_OUT', 'COORDINATOR_LOAD_IN_PROGRESS'] as const)
    }
  }),
  'slow-broker': random => ({
    fault: { kind: 'slow', ...rate(random, 1), delayMs: Math.round(between(random, [10, 5_000])) }
  }),
  'slow-markers': random => ({ fault: { kind: 'slow-markers', delayMs: Math.round(between(random, [50, 8_000])) } }),
  'leader-change': (random, options) => ({ fault: { kind: 'leader-change', ...partition(random, options) } }),
  'hanging-transaction': (random, options) => ({
    fault: { kind: 'hanging-transaction', ...partition(random, options) }
  }),
  'coordinator-failover': () => ({ fault: { kind: 'coordinator-change' } })
}

/** Half of the time the request that decides a transaction. */
function someRequest(random: Prng): Pick<BrokerFault & { kind: 'lost-reply' }, 'request'> | Record<never, never> {
  switch (random.int(4)) {
    case 0:
      return {}
    case 1:
      return { request: 'Produce' }
    default:
      return { request: 'EndTxn' }
  }
}

/** Log-uniform: small values are as likely as large ones. */
function between(random: Prng, [low, high]: readonly [number, number]): number {
  return low * (high / low) ** random.next()
}
const round = (value: number): number => Number(value.toPrecision(3))
function pick<T>(random: Prng, from: readonly T[]): T {
  return from[random.int(from.length)] as T
}
