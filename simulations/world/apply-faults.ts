/** Carries out a plan of faults in a world, and tells which of them really struck. */
import type { BrokerFault } from '../broker/faults.ts'
import { faultKinds } from './atlas.ts'
import { Hits } from './chances.ts'
import type { SimControlBus } from './control-bus.ts'
import { brokerKinds, describeFault, type BrokerKind, type Fault, type FaultKind, type FaultOf } from './fault.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { SimNetwork } from './network.ts'
import type { SimHost, SimProcess } from './process.ts'
import type { SimStorage } from './storage.ts'
import type { WorldTime } from './time.ts'

/** What handlers call outside of the job. */
export interface ServiceTargets {
  /** Returns what ends it. */
  disturb(fault: { readonly refuse: number; readonly lose: number; readonly lateMs: number }): () => void
  /** Calls that failed because of it. */
  readonly failures: number
}

export interface FaultTargets {
  readonly time: WorldTime
  readonly network: SimNetwork
  readonly bus: SimControlBus
  readonly storage: SimStorage
  /** Those that have a worker, or had one. */
  readonly hosts: ReadonlyMap<string, SimHost>
  /** Of `BrokerCluster`. */
  readonly broker?: {
    inject(fault: BrokerFault, forMs: number): void
    readonly faults: { readonly hits: ReadonlyMap<string, number> }
  }
  readonly services?: ServiceTargets
  /** Starts a worker on a machine that has none that lives; the first on a new machine when it joins. */
  start(host: string, why: 'restart' | 'join' | 'upgrade'): void
  /** Tells its worker to give away what it runs and to end. */
  leave(host: string): void
  /** Tells whoever leads. False: nobody does. */
  rescale(tasks: number): boolean
  /** Tells whoever leads. False: nobody does. */
  savepoint?(name: string): boolean
  /** Begins to take the job back; `done` is called when it has gone back. Returns what is to be called when nothing stands in the way any more. */
  restore?(how: Pick<FaultOf<'restore'>, 'back' | 'named' | 'dies'>, done: () => void): () => void
}

export interface AppliedFaults {
  /** How often each class really struck so far. */
  hits(): ReadonlyMap<FaultKind, number>
  /** Machines that are gone for good. */
  readonly lost: ReadonlySet<string>
}

/** Schedules all of a plan. To be called once, at the time that the plan calls 0. */
export function applyFaults(plan: Pick<FaultPlan, 'faults'>, targets: FaultTargets): AppliedFaults {
  const struck = new Hits()
  const lost = new Set<string>()
  const { time } = targets
  const strike: Strike = { targets, lost, hit: kind => struck.count(kind) }
  for (const fault of plan.faults)
    time.schedule(
      fault.atMs,
      () => {
        time.note(describeFault(fault))
        const heal = begin(fault, strike)
        if (heal !== undefined) time.schedule(fault.forMs, heal, `${fault.kind} ends`)
      },
      `fault ${fault.kind}`
    )
  return { lost, hits: () => new Map(faultKinds.map(kind => [kind, count(kind, struck, targets)])) }
}

interface Strike {
  readonly targets: FaultTargets
  readonly lost: Set<string>
  readonly hit: (kind: FaultKind) => void
}
type Heal = () => void
type Begin<K extends FaultKind> = (fault: FaultOf<K>, strike: Strike) => Heal | undefined

function begin(fault: Fault, strike: Strike): Heal | undefined {
  if (isBroker(fault)) {
    strike.targets.broker?.inject(fault.fault, fault.forMs)
    return undefined
  }
  return (beginnings[fault.kind] as Begin<FaultKind>)(fault, strike)
}

const isBroker = (fault: Fault): fault is FaultOf<BrokerKind> => (brokerKinds as readonly string[]).includes(fault.kind)

/** The process on a host, if it lives. */
function living({ targets }: Strike, host: string): SimProcess | undefined {
  const process = targets.hosts.get(host)?.process
  return process?.state === 'dead' ? undefined : process
}

/** Ends the process that is there now and starts another later. */
function ends(kind: FaultKind, end: (host: SimHost) => void, why: 'restart' | 'upgrade' = 'restart') {
  return (fault: { readonly host: string }, strike: Strike): Heal | undefined => {
    const process = living(strike, fault.host)
    if (process === undefined) return undefined
    strike.hit(kind)
    end(process.host)
    return () => restart(process.host, strike, why)
  }
}

function restart(host: SimHost, { targets, lost }: Strike, why: 'restart' | 'upgrade'): void {
  if (host.process?.state === 'dead' && !lost.has(host.name)) targets.start(host.name, why)
}

/** All processes at once; healed, they are started again. */
function killAll(strike: Strike): { readonly killed: number; readonly heal: Heal } {
  const processes = [...strike.targets.hosts.keys()]
    .map(name => living(strike, name))
    .filter(each => each !== undefined)
  for (const { host } of processes) host.kill()
  const restarts = processes.map(
    ({ host }) =>
      () =>
        restart(host, strike, 'restart')
  )
  return { killed: processes.length, heal: both(...restarts) }
}

/** Told to end, then made to. */
function leaves(kind: 'leave' | 'upgrade') {
  return (fault: { readonly host: string }, strike: Strike): Heal | undefined => {
    const process = living(strike, fault.host)
    if (process === undefined) return undefined
    strike.hit(kind)
    process.deliver(() => strike.targets.leave(fault.host), 'told to end')
    return () => {
      if (process.state !== 'dead') process.host.kill()
      restart(process.host, strike, kind === 'upgrade' ? 'upgrade' : 'restart')
    }
  }
}

/** Something about a host that has a value now and another meanwhile. */
function meanwhile(kind: FaultKind, change: (host: SimHost) => Heal) {
  return (fault: { readonly host: string }, strike: Strike): Heal | undefined => {
    const host = strike.targets.hosts.get(fault.host)
    if (host === undefined) return undefined
    strike.hit(kind)
    return change(host)
  }
}

const both =
  (...heals: Heal[]): Heal =>
  () => {
    for (const heal of heals) heal()
  }

type Direct = Exclude<FaultKind, BrokerKind>

const beginnings: { readonly [K in Direct]: Begin<K> } = {
  crash: ends('crash', host => host.kill()),
  'crash-all': (_, strike) => {
    const { killed, heal } = killAll(strike)
    if (killed > 0) strike.hit('crash-all')
    return heal
  },
  'crash-machine': ends('crash-machine', host => host.crash()),
  'lose-machine': ({ host: name }, strike) => {
    const host = strike.targets.hosts.get(name)
    if (host === undefined || strike.lost.has(name)) return undefined
    strike.hit('lose-machine')
    strike.lost.add(name)
    host.crash()
    return undefined
  },
  pause: ({ host }, strike) => {
    const process = living(strike, host)
    if (process?.state !== 'alive') return undefined
    strike.hit('pause')
    process.pause()
    return () => process.resume()
  },
  'slow-process': (fault, strike) => meanwhile('slow-process', ({ clock }) => clock.slow(fault.yieldMs))(fault, strike),
  'wipe-disk': ends('wipe-disk', host => host.wipe()),
  'disk-full': (fault, strike) => diskFault(fault, strike, () => ({ kind: 'refuse', code: 'ENOSPC' })),
  'disk-error': (fault, strike) => {
    // One in `rate` as a count: the same for every order of operations.
    let operations = 0
    const every = Math.max(1, Math.round(1 / fault.rate))
    return diskFault(fault, strike, () => {
      if (++operations % every !== 0) return undefined
      return { kind: (operations / every) % 2 === 0 ? 'refuse' : 'deny', code: 'EIO' }
    })
  },
  'slow-disk': (fault, strike) => meanwhile('slow-disk', host => host.slowDisk(fault.diskMs))(fault, strike),
  'clock-jump': (fault, strike) =>
    meanwhile('clock-jump', ({ clock }) => {
      clock.jump(fault.byMs)
      return () => undefined
    })(fault, strike),
  'clock-drift': (fault, strike) => meanwhile('clock-drift', ({ clock }) => clock.drift(fault.rate))(fault, strike),
  join: ({ host }, strike) => {
    if (living(strike, host) !== undefined || strike.lost.has(host)) return undefined
    strike.hit('join')
    strike.targets.start(host, 'join')
    return undefined
  },
  leave: leaves('leave'),
  upgrade: leaves('upgrade'),
  rescale: ({ tasks }, { targets, hit }) => {
    if (targets.rescale(tasks)) hit('rescale')
    return undefined
  },
  savepoint: ({ name }, { targets, hit }) => {
    if (targets.savepoint?.(name) === true) hit('savepoint')
    return undefined
  },
  restore: (fault, strike) => {
    const { targets, hit } = strike
    if (targets.restore === undefined) return undefined
    const { heal } = fault.stopped ? killAll(strike) : { heal: () => undefined }
    return both(
      targets.restore(fault, () => hit('restore')),
      heal
    )
  },
  cut: ({ from, to, both: way }, { targets: { network } }) =>
    way ? both(network.cut(from, to), network.cut(to, from)) : network.cut(from, to),
  isolate: ({ host, bus, storage }, { targets, hit }) => {
    hit('isolate')
    const others = [...targets.hosts.keys()].filter(name => name !== host)
    const heals = others.flatMap(name => [targets.network.cut(host, name), targets.network.cut(name, host)])
    if (bus) heals.push(targets.bus.cut(host, 'both'))
    if (storage) heals.push(targets.storage.disturb({ unreachable: 1 }, host))
    return both(...heals)
  },
  stall: ({ from, to }, { targets: { network } }) => network.stall(from, to),
  break: ({ from, to, mode }, { targets, hit }) => {
    if (targets.network.breakConnections(from, to, mode) > 0) hit('break')
    return undefined
  },
  'slow-link': ({ from, to, factor }, { targets: { network } }) => network.slow(from, to, factor),
  'corrupt-bytes': ({ from, to, rate }, { targets: { network } }) => network.corrupt(from, to, rate),
  'bus-loss': ({ rate }, { targets: { bus } }) => bus.disturb({ loss: rate }),
  'bus-duplication': ({ rate }, { targets: { bus } }) => bus.disturb({ duplication: rate }),
  'bus-reorder': ({ rate, byMs }, { targets: { bus } }) => bus.disturb({ reorder: rate, reorderMs: byMs }),
  'bus-lost-reply': ({ rate }, { targets: { bus } }) => bus.disturb({ lostReply: rate }),
  'bus-cut': ({ host, direction }, { targets: { bus } }) => bus.cut(host, direction),
  'bus-deaf': ({ host, from }, { targets: { bus } }) => bus.deafen(host, from),
  'bus-outage': ({ wiped }, { targets: { bus } }) => {
    const back = bus.outage()
    return () => {
      if (wiped) bus.wipe()
      back()
    }
  },
  'bus-wipe': (_, { targets, hit }) => {
    hit('bus-wipe')
    targets.bus.wipe()
    return undefined
  },
  'lease-expiry': ({ early, late }, { targets: { bus } }) => bus.disturb({ earlyExpiry: early, lateExpiry: late }),
  'lease-stale': ({ rate }, { targets: { bus } }) => bus.disturb({ staleRead: rate }),
  'lease-lies': ({ lie, doubleAccept }, { targets: { bus } }) => bus.disturb({ lie, doubleAccept }),
  'storage-refuse': ({ rate, host }, { targets: { storage } }) => storage.disturb({ refuse: rate }, host),
  'storage-unreachable': ({ host }, { targets: { storage } }) => storage.disturb({ unreachable: 1 }, host),
  'storage-ambiguous': ({ rate, lateMs, only }, { targets: { storage } }) =>
    storage.disturb({ [only === 'decisions' ? 'ambiguousDecision' : 'ambiguous']: rate, lateMs }),
  'storage-stale-list': ({ rate, byMs }, { targets: { storage } }) =>
    storage.disturb({ staleList: rate, staleMs: byMs }),
  'storage-full': (_, { targets: { storage } }) => storage.disturb({ full: 1 }),
  'storage-slow': ({ factor, hiccup }, { targets: { storage } }) => storage.disturb({ slow: factor, hiccup }),
  'service-failure': ({ refuse, lose, byMs }, { targets: { services } }) =>
    services?.disturb({ refuse, lose, lateMs: byMs })
}

function diskFault(
  fault: FaultOf<'disk-full' | 'disk-error'>,
  strike: Strike,
  decide: Parameters<SimHost['disturbDisk']>[0]
): Heal | undefined {
  return strike.targets.hosts.get(fault.host)?.disturbDisk(path => {
    const found = decide(path)
    if (found !== undefined) strike.hit(fault.kind)
    return found
  })
}

/** Where a class counts what it did, if not here: what a window of chances really struck. */
const elsewhere: { readonly [K in FaultKind]?: (targets: FaultTargets) => number } = {
  cut: ({ network }) => network.hits.of('cut'),
  stall: ({ network }) => network.hits.of('stall'),
  'slow-link': ({ network }) => network.hits.of('slow'),
  'corrupt-bytes': ({ network }) => network.hits.of('corrupt'),
  'bus-loss': ({ bus }) => bus.hits.of('loss'),
  'bus-duplication': ({ bus }) => bus.hits.of('duplication'),
  'bus-reorder': ({ bus }) => bus.hits.of('reorder'),
  'bus-lost-reply': ({ bus }) => bus.hits.of('lostReply'),
  'bus-cut': ({ bus }) => bus.hits.of('cut'),
  'bus-deaf': ({ bus }) => bus.hits.of('deaf'),
  'bus-outage': ({ bus }) => bus.hits.of('outage'),
  'lease-expiry': ({ bus }) => bus.hits.of('earlyExpiry') + bus.hits.of('lateExpiry'),
  'lease-stale': ({ bus }) => bus.hits.of('staleRead'),
  'lease-lies': ({ bus }) => bus.hits.of('lie') + bus.hits.of('doubleAccept'),
  'storage-refuse': ({ storage }) => storage.hits.of('refuse'),
  'storage-unreachable': ({ storage }) => storage.hits.of('unreachable'),
  'storage-ambiguous': ({ storage }) => storage.hits.of('ambiguous') + storage.hits.of('ambiguousDecision'),
  'storage-stale-list': ({ storage }) => storage.hits.of('staleList'),
  'storage-full': ({ storage }) => storage.hits.of('full'),
  'storage-slow': ({ storage }) => storage.hits.of('slow') + storage.hits.of('hiccup'),
  'service-failure': ({ services }) => services?.failures ?? 0,
  'broker-outage': brokerHits('outage'),
  'broker-unknown-outcome': brokerHits('lost-reply', 'error-after'),
  'broker-late-request': brokerHits('late-request'),
  'broker-refusal': brokerHits('error'),
  'slow-broker': brokerHits('slow'),
  'slow-markers': brokerHits('slow-markers'),
  'leader-change': brokerHits('leader-change'),
  'hanging-transaction': brokerHits('hanging-transaction'),
  'coordinator-failover': brokerHits('coordinator-change')
}

function brokerHits(...kinds: readonly BrokerFault['kind'][]): (targets: FaultTargets) => number {
  return ({ broker }) => kinds.reduce((sum, kind) => sum + (broker?.faults.hits.get(kind) ?? 0), 0)
}

function count(kind: FaultKind, struck: Hits, targets: FaultTargets): number {
  return elsewhere[kind]?.(targets) ?? struck.of(kind)
}
