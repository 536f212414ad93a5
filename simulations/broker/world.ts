/** What the simulated log needs of the world around it; kept structural, so that any heap of events will do. */
import type { Prng } from '../../runtime/kernel/prng.ts'

export interface BrokerWorld {
  /** True time: brokers have no clock of their own that drifts. */
  now(): number
  schedule(delayMs: number, callback: () => void, label?: string): unknown
}

/** A client's process: a callback into it is dropped when it is dead and held while it is paused. */
export type Deliver = (callback: () => void) => void

export interface BrokerOptions {
  readonly world: BrokerWorld
  /** A stream of its own: `prng.fork('broker')`. */
  readonly prng: Prng
  readonly brokers?: number
  /** 2 = KIP-890: every end of a transaction moves the producer epoch. */
  readonly transactionVersion?: 1 | 2
  /** Partition leaders ask the coordinator whether a partition belongs to the transaction (Kafka 3.6 and later). */
  readonly verifiesPartitions?: boolean
  /** Producer epoch of a new producer id: 32760 makes the epoch run over within a short run. */
  readonly firstProducerEpoch?: number
  /** One way between a client and a broker, at most. */
  readonly latencyMs?: number
  /** Until an append is on all replicas, at most. */
  readonly replicationMs?: number
  /** Until a transaction marker is sent to a partition, at most. */
  readonly markerMs?: number
  /** How often time-outs and expiries are looked for. */
  readonly scanMs?: number
  readonly offsetsRetentionMs?: number
  readonly transactionalIdExpirationMs?: number
  readonly producerIdExpirationMs?: number
}

export type ResolvedBrokerOptions = Required<BrokerOptions>

const day = 24 * 60 * 60 * 1000

export const resolveBrokerOptions = (options: BrokerOptions): ResolvedBrokerOptions => ({
  brokers: 3,
  transactionVersion: 2,
  verifiesPartitions: true,
  firstProducerEpoch: 0,
  latencyMs: 5,
  replicationMs: 5,
  markerMs: 20,
  scanMs: 10_000,
  offsetsRetentionMs: 7 * day,
  transactionalIdExpirationMs: 7 * day,
  producerIdExpirationMs: day,
  ...options
})
