/** The typed surface of a job's dataflow. Implemented by `job.ts`; everything here is shape. */
import type { Duration } from '../runtime/kernel/durations.ts'
import type { Actor, ActorClass, EventOf, Key, KeyOf, Output, OutOf } from './actor.ts'
import type { SinkSpec, SourceSpec } from './connectors.ts'
import type { Plan } from './plan.ts'
import type { Aggregate } from './aggregates.ts'
import type { Window, Windowed, WindowOptions } from './window.ts'

/** An input: made by `lines`, `topic`, `generator`. */
export interface Source<out T> {
  readonly source: SourceSpec
  readonly _read?: () => T
}
/** An output: made by `files`, `topic`, `stdout`. */
export interface Sink<in T> {
  readonly sink: SinkSpec
  readonly _write?: (value: T) => void
}

export interface Stream<out T> {
  map<U>(f: (value: T) => U): Stream<U>
  flatMap<U>(f: (value: T) => Iterable<U>): Stream<U>
  filter<U extends T>(f: (value: T) => value is U): Stream<U>
  filter(f: (value: T) => boolean): Stream<T>
  union<U>(...others: Stream<U>[]): Stream<T | U>
  keyBy<const K extends Key>(f: (value: T) => K, options?: KeyByOptions): KeyedStream<T, Widen<K>>
  /**
   * Drops an event whose id was seen: one passes when no event of its id has, or when its time is `within` or more after that of
   * the last one that has. An id is forgotten once the watermark is past that, so a later repeat that is itself late passes.
   */
  dedupe(options: DedupeOptions<T>): Stream<T>
  /** Default delivery: the best the sink can give. */
  to(name: string, sink: Sink<T>, options?: { delivery?: 'exactly-once' | 'at-least-once' }): Delivered<T>
}
export interface KeyByOptions {
  /**
   * The topic is partitioned by this very key (its UTF-8 bytes, Kafka's own hash), and `slots` of the job divides the number of partitions of
   * each source: whoever reads a partition handles its keys, and no event goes to another worker. Asked of every record: one that lies
   * elsewhere ends the job with ALIGNMENT_BROKEN, whatever `onError` says. Behind sources only. Default false.
   */
  readonly aligned?: boolean
}
export interface DedupeOptions<in T> {
  readonly id: (value: T) => Key
  /** Event time; how long ids are kept. */
  readonly within: Duration
  /** Stable identity of the stored state; default `<origin>-dedupe`. */
  readonly name?: string
}
export interface KeyedStream<out T, K extends Key> {
  readonly _key?: () => K
  union<U>(...others: KeyedStream<U, K>[]): KeyedStream<T | U, K>
  actor<C extends ActorClass>(actor: C & Fits<C, T, K>, options?: StageOptions): ActorStage<C>
  window(window: Window, options?: WindowOptions): WindowedStream<T, K>
}
/** The event time of a result is the last ms of its window; of a global window, the greatest time in it. */
export interface WindowedStream<out T, K extends Key> {
  /** One row per firing: the window and the result of each aggregate, by its name in `spec`. */
  aggregate<S extends AggregatesOf<T>>(spec: S): WindowStage<T, AggregateRow<K, S>>
  /** Keeps all events of the window; `f` gets them in order of time, of equal times in order of arrival, and changes none. */
  collect<R>(f: (events: readonly T[], window: Windowed<K>) => R): WindowStage<T, R>
}
export interface WindowStage<out T, out R> extends Stream<R> {
  /** Events none of whose windows is kept any more. */
  readonly late: Stream<T>
}
/* eslint-disable @typescript-eslint/no-explicit-any -- aggregates of any accumulators and results stand side by side */
type AggregatesOf<T> = Readonly<Record<string, Aggregate<T, any, any>>>
type AggregateRow<K, S> = Windowed<K> & {
  readonly [P in keyof S]: S[P] extends Aggregate<any, any, infer R> ? R : never
}
/* eslint-enable @typescript-eslint/no-explicit-any */
type Fits<C extends ActorClass, T, K> = [T] extends [EventOf<C>]
  ? [K] extends [KeyOf<C>]
    ? C
    : { 'this actor is keyed by': KeyOf<C>; 'but the stream is keyed by': K }
  : { 'this actor receives': EventOf<C>; 'but the stream carries': T }
type Widen<K> = K extends string
  ? string
  : K extends number
    ? number
    : K extends readonly unknown[]
      ? { readonly [I in keyof K]: Widen<K[I]> }
      : never

export interface StageOptions {
  /**
   * `fail` (default): the job stops. `dead-letter`: the event goes to the job's dead letters and the job goes on. `quarantine`: the
   * key is put aside with the event, what comes for it later waits in order, and all other keys go on, until `cairn quarantine retry`,
   * `edit` or `drop`.
   */
  readonly onError?: 'fail' | 'dead-letter' | 'quarantine'
  /**
   * What may wait in quarantine: events and timers of one key (default 10 000), bytes of all keys of one task (default 64 MiB).
   * Beyond it the job fails with QUARANTINE_FULL.
   */
  readonly quarantineLimit?: { readonly eventsPerKey?: number; readonly bytes?: number }
  /** Actors that its handlers send to. */
  readonly sends?: readonly ActorClass<Actor>[]
  /** Stable identity of the stored state; default: the actor's name. */
  readonly name?: string
}
export interface ActorStage<C extends ActorClass> extends Stream<OutOf<C>> {
  output<N extends keyof C['outputs'] & string>(name: N): Stream<C['outputs'][N] extends Output<infer T> ? T : never>
}
export interface SourceOptions<T> {
  /** Event time; default: the record's timestamp. */
  readonly time?: (value: NoInfer<T>) => number | Date
  /** How far out of order events may come. Default 0. */
  readonly outOfOrder?: Duration
  /** A partition silent for so long, though fully read, no longer holds the watermark back. Default 30 s. */
  readonly idleAfter?: Duration
  /** What a record that cannot be decoded does. Default `fail`. */
  readonly onError?: 'fail' | 'dead-letter'
  /**
   * Event time let through per second of wall clock, for replays: by record timestamps, by `time` where records have none.
   * Default: no limit.
   */
  readonly pace?: Duration
}
export interface JobBuilder {
  source<T>(name: string, from: Source<T>, options?: SourceOptions<T>): Origin<T>
  /** A stage fed by `ctx.send` only. */
  actor<C extends ActorClass>(actor: C, options?: StageOptions): ActorStage<C>
}
export interface Origin<out T> extends Stream<T> {
  readonly origin: string
}
export interface Delivered<T> {
  readonly delivered: string
  readonly _?: T
}
export interface Job<H> {
  readonly name: string
  readonly handles: H
  readonly plan: Plan
}
