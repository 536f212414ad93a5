/** One thing that goes wrong, as plain data: what, whom, when, how long. A plan is a list of these; a shrinker takes some away. */
import type { BrokerFault } from '../broker/faults.ts'

interface Timed {
  readonly atMs: number
  /** After it all is as before, as far as the world goes; of a crash: until the restart. */
  readonly forMs: number
}
interface OnHost extends Timed {
  readonly host: string
}
interface OnRoad extends Timed {
  readonly from: string
  readonly to: string
}

type OnBroker = { readonly [K in BrokerKind]: { readonly kind: K; readonly fault: BrokerFault } & Timed }

export type Fault =
  // processes and machines
  | ({ readonly kind: 'crash' } & OnHost)
  /** All at once. */
  | ({ readonly kind: 'crash-all' } & Timed)
  /** Without a word to anybody; what was not synced is lost. */
  | ({ readonly kind: 'crash-machine' } & OnHost)
  /** For good. */
  | ({ readonly kind: 'lose-machine' } & OnHost)
  | ({ readonly kind: 'pause' } & OnHost)
  | ({ readonly kind: 'slow-process'; readonly yieldMs: number } & OnHost)
  /** Dies, and comes back with an empty disk. */
  | ({ readonly kind: 'wipe-disk' } & OnHost)
  | ({ readonly kind: 'disk-full' } & OnHost)
  /** Fails, whatever became of the operation. */
  | ({ readonly kind: 'disk-error'; readonly rate: number } & OnHost)
  | ({ readonly kind: 'slow-disk'; readonly diskMs: number } & OnHost)
  | ({ readonly kind: 'clock-jump'; readonly byMs: number } & OnHost)
  | ({ readonly kind: 'clock-drift'; readonly rate: number } & OnHost)
  // who takes part
  | ({ readonly kind: 'join' } & OnHost)
  /** Told to end; killed if it has not after `forMs`; then started again. */
  | ({ readonly kind: 'leave' } & OnHost)
  /** As `leave`, and comes back as another build. */
  | ({ readonly kind: 'upgrade' } & OnHost)
  /** The leader is asked for another number of tasks. */
  | ({ readonly kind: 'rescale'; readonly tasks: number } & Timed)
  /** The leader is asked for a checkpoint that is kept. */
  | ({ readonly kind: 'savepoint'; readonly name: string } & Timed)
  /**
   * An operator takes the job back to one of the checkpoints that are kept, the `back`-th before the newest; `named`: to a savepoint, if
   * there is one.
   * `stopped`: all workers are killed before, and started again at the end. `dies`: at that effect, once; begun anew then.
   */
  | ({
      readonly kind: 'restore'
      readonly back: number
      readonly named?: true
      readonly stopped: boolean
      readonly dies?: number
    } & Timed)
  // data connections
  | ({ readonly kind: 'cut'; readonly both: boolean } & OnRoad)
  /** From all other machines, and from the bus and the storage where so said. */
  | ({ readonly kind: 'isolate'; readonly bus: boolean; readonly storage: boolean } & OnHost)
  | ({ readonly kind: 'stall' } & OnRoad)
  | ({ readonly kind: 'break'; readonly mode: 'both' | 'first' | 'half-open' } & OnRoad)
  | ({ readonly kind: 'slow-link'; readonly factor: number } & OnRoad)
  | ({ readonly kind: 'corrupt-bytes'; readonly rate: number } & OnRoad)
  // control bus
  | ({ readonly kind: 'bus-loss'; readonly rate: number } & Timed)
  | ({ readonly kind: 'bus-duplication'; readonly rate: number } & Timed)
  | ({ readonly kind: 'bus-reorder'; readonly rate: number; readonly byMs: number } & Timed)
  | ({ readonly kind: 'bus-lost-reply'; readonly rate: number } & Timed)
  | ({ readonly kind: 'bus-cut'; readonly direction: 'to-bus' | 'from-bus' | 'both' } & OnHost)
  /** Is not told what another one publishes, or nobody's; leases can be read and written all the while. */
  | ({ readonly kind: 'bus-deaf'; readonly from?: string } & OnHost)
  | ({ readonly kind: 'bus-outage'; readonly wiped: boolean } & Timed)
  | ({ readonly kind: 'bus-wipe' } & Timed)
  | ({ readonly kind: 'lease-expiry'; readonly early: number; readonly late: number } & Timed)
  | ({ readonly kind: 'lease-stale'; readonly rate: number } & Timed)
  | ({ readonly kind: 'lease-lies'; readonly lie: number; readonly doubleAccept: number } & Timed)
  // checkpoint storage; without a host: for all
  | ({ readonly kind: 'storage-refuse'; readonly rate: number; readonly host?: string } & Timed)
  | ({ readonly kind: 'storage-unreachable'; readonly host: string } & Timed)
  | ({
      readonly kind: 'storage-ambiguous'
      readonly rate: number
      readonly lateMs: number
      readonly only?: 'decisions'
    } & Timed)
  | ({ readonly kind: 'storage-stale-list'; readonly rate: number; readonly byMs: number } & Timed)
  | ({ readonly kind: 'storage-full' } & Timed)
  | ({ readonly kind: 'storage-slow'; readonly factor: number; readonly hiccup: number } & Timed)
  // services that handlers call
  /** Calls are refused, carried out and told to have failed, or late. */
  | ({
      readonly kind: 'service-failure'
      readonly refuse: number
      readonly lose: number
      readonly byMs: number
    } & Timed)
  // the log
  | OnBroker[BrokerKind]

export const brokerKinds = [
  'broker-outage',
  'broker-unknown-outcome',
  'broker-late-request',
  'broker-refusal',
  'slow-broker',
  'slow-markers',
  'leader-change',
  'hanging-transaction',
  'coordinator-failover'
] as const
export type BrokerKind = (typeof brokerKinds)[number]
export type FaultKind = Fault['kind']
export type FaultOf<K extends FaultKind> = Extract<Fault, { readonly kind: K }>

/** For people: one line of a story. */
export function describeFault(fault: Fault): string {
  const { kind, atMs, forMs, ...rest } = fault
  const values = Object.entries(rest).map(([name, value]) => `${name} ${show(value)}`)
  const until = forMs > 0 ? ` for ${show(forMs)} ms` : ''
  return `at ${show(atMs)} ms: ${kind}${values.length === 0 ? '' : ` (${values.join(', ')})`}${until}`
}

function show(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000)
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}
