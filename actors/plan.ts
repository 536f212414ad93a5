/**
 * The logical plan: what `job()` recorded, before anything runs. Pure data and user functions; no I/O, no clocks.
 * `runtime/core` turns it into stages and tasks. Nodes are listed in the order in which they were declared, so an input of a
 * node always has a smaller id (sends apart: they are declared on the sender and resolved when the job is complete).
 */
import type { Actor, ActorClass } from './actor.ts'
import type { SinkSpec, SourceSpec } from './connectors.ts'
import type { Interval, LatencyGoal } from './interval.ts'

export type NodeId = number
export type OnError = 'fail' | 'dead-letter' | 'quarantine'
/** What may wait for parked keys before the job fails. */
export interface QuarantineLimit {
  /** Events and timers of one key. */
  readonly eventsPerKey: number
  /** Of all keys of one task. */
  readonly bytes: number
}
/** More would take memory that nothing else bounds: what waits is held there. */
export const usualQuarantineLimit: QuarantineLimit = { eventsPerKey: 10_000, bytes: 64 * 1024 * 1024 }

export type Delivery = 'exactly-once' | 'at-least-once'

/** One output of a node: `main`, or a side output's name (`late` of a window). */
export interface Port {
  readonly node: NodeId
  readonly output: string
}

export type PlanNode = SourceNode | MapNode | FlatMapNode | FilterNode | UnionNode | KeyByNode | ActorNode | SinkNode

export interface SourceNode {
  readonly kind: 'source'
  readonly id: NodeId
  readonly name: string
  readonly source: SourceSpec
  /** Event time of a decoded value, ms since 1970; absent: the record's timestamp, or 0 where it has none. */
  readonly time: ((value: never) => number | Date) | undefined
  readonly outOfOrderMs: number
  /** Infinity = never idle. */
  readonly idleAfterMs: number
  readonly onError: 'fail' | 'dead-letter'
  /** Event time (record timestamps) let through per second of wall clock; undefined = as fast as possible. */
  readonly paceMsPerSecond: number | undefined
}
export interface MapNode {
  readonly kind: 'map'
  readonly id: NodeId
  readonly input: Port
  readonly f: (value: never) => unknown
}
export interface FlatMapNode {
  readonly kind: 'flatMap'
  readonly id: NodeId
  readonly input: Port
  readonly f: (value: never) => Iterable<unknown>
}
export interface FilterNode {
  readonly kind: 'filter'
  readonly id: NodeId
  readonly input: Port
  readonly f: (value: never) => boolean
}
export interface UnionNode {
  readonly kind: 'union'
  readonly id: NodeId
  readonly inputs: readonly Port[]
}
/** A keyed view of a stream; consumed by actor nodes only. */
export interface KeyByNode {
  readonly kind: 'keyBy'
  readonly id: NodeId
  readonly input: Port
  readonly f: (value: never) => unknown
  /** The key of each record is that of its partition. */
  readonly aligned?: true
}
/** A keyed stage. Windows and dedupe are actors too (`builtIn` says which), made by `window-actor.ts` and `dedupe-actor.ts`. */
export interface ActorNode {
  readonly kind: 'actor'
  readonly id: NodeId
  /** Stage name: stable identity of the stored state. Unique in the job without regard to case. */
  readonly name: string
  readonly actor: ActorClass<Actor>
  readonly builtIn: 'window' | 'dedupe' | undefined
  /** Human description for the plan: `sliding(1h, 5m), lateness 10m`; '' for user actors. */
  readonly describe: string
  /** keyBy nodes that feed it; [] when fed by sends only. */
  readonly inputs: readonly NodeId[]
  readonly onError: OnError
  /** Of `quarantine`; absent: the usual one. */
  readonly quarantineLimit?: QuarantineLimit
  /** Stages that its handlers may send to. */
  readonly sends: readonly ActorClass<Actor>[]
}
export interface SinkNode {
  readonly kind: 'sink'
  readonly id: NodeId
  readonly name: string
  readonly input: Port
  readonly sink: SinkSpec
  readonly delivery: Delivery
}

/** Where actors live that do not fit into the cache. */
export const storeKinds = ['memory', 'level', 'rocksdb'] as const
export type StoreKind = (typeof storeKinds)[number]
export const isOnDisk = (store: StoreKind | undefined): boolean => store !== undefined && store !== 'memory'

export interface JobOptions {
  /** Tasks per stage. Default 1. */
  readonly parallelism?: number
  /**
   * Time between checkpoints, e.g. '1s' (default), at least 10 ms. No barrier when nothing changed. Or how late output may be, as in
   * `{ latency: '300ms' }`: the time between them then follows from what they take.
   */
  readonly interval?: number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}` | LatencyGoal
  /** Fixed for the life of a job's state. Default 1920. */
  readonly keyGroups?: number
  /** Slots per stage that feeds exactly-once sinks; must divide keyGroups. Default 8. */
  readonly slots?: number
  /**
   * Where actors live that do not fit into `cache`: `'memory'` (default) keeps them as bytes in memory, `'level'` in LevelDB on the
   * local disk, so that state may outgrow memory; `'rocksdb'` in RocksDB there, which needs the package `@nxtedition/rocksdb`. What is
   * kept there is a cache of checkpoints; nothing is lost with it.
   */
  readonly store?: StoreKind
  /**
   * About how many bytes of actors to keep ready as objects, e.g. '256MiB' (the default of a store on disk). Without it `memory` keeps all
   * actors as objects.
   */
  readonly cache?: number | `${number}${'B' | 'KiB' | 'MiB' | 'GiB'}`
  /**
   * Errors of map, filter, flatMap and keyBy behind a source, and of windows and dedupe. Behind an actor such an error is one of
   * its handler, and the stage's own `onError` holds. Default 'fail'.
   */
  readonly onError?: 'fail' | 'dead-letter'
  /**
   * Where dead letters go. Default: the embedded topic `<job>-dead-letters`. In Kafka those of a source are its record, key, value and headers as they
   * were, with the reason in headers `cairn-letter…`.
   */
  readonly deadLetters?: SinkSpec
}

export interface Plan extends Interval {
  readonly job: string
  readonly nodes: readonly PlanNode[]
  readonly parallelism: number
  readonly keyGroups: number
  readonly slots: number
  readonly store: StoreKind
  /** undefined = every actor stays in memory as an object. */
  readonly cacheBytes: number | undefined
  readonly onError: 'fail' | 'dead-letter'
  readonly deadLetters: SinkSpec
  /** Names the builder returned: how the driver and the simulator address sources, streams and sinks. */
  readonly handles: Readonly<
    Record<string, { readonly kind: 'source' | 'sink' | 'stream'; readonly port: Port; readonly name: string }>
  >
  readonly warnings: readonly string[]
}
