/** What an application extends and what its handlers see. */
import type { AvroSchema } from './avro-schema.ts'
import type { Duration } from '../runtime/kernel/durations.ts'

/** Strings (any; lone surrogates stay distinct), safe integers, or tuples of these; at most 64 KiB encoded. */
export type Key = string | number | readonly (string | number)[]

/**
 * One instance per key. Every own field is durable state: `this.count++` in a handler is checkpointed, restored and moved.
 * No type arguments: types are read off `receive()`.
 */
export abstract class Actor {
  /** Handles one event. Throwing leaves no trace of the event; see `onError` of the stage. */
  abstract receive(event: never, ctx: never): void | Promise<void>
  /** An event-time timer armed by `ctx.timer` fired. */
  onTimer?(name: string, ctx: never): void | Promise<void>
  /** A wall-clock alarm armed by `ctx.alarm` fired. */
  onAlarm?(name: string, ctx: never): void | Promise<void>
}

export interface ActorClass<A extends Actor = Actor> {
  new (): A
  /** Stored identity; default: the class name. */
  readonly actorName?: string
  /** Of the fields; default 1. */
  readonly version?: number
  /** Returns the fields it changes; the rest are carried over. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what was stored is described by the author of migrate
  migrate?(old: any, from: number): object
  /**
   * Avro: a record of exactly the durable fields (durableMaps excepted). Fields are stored by it; what an older schema wrote is resolved to
   * this one by the rules of Avro, without `migrate` or `drops`.
   */
  readonly schema?: AvroSchema
  /** Stored fields given up on purpose. */
  readonly drops?: readonly string[]
  readonly ttl?: {
    readonly after: Duration
    readonly since?: 'last-event' | 'created'
    readonly clock?: 'event' | 'wall'
  }
  /** Side outputs, known to the plan. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a record of outputs of any type
  readonly outputs?: Readonly<Record<string, Output<any>>>
}

export interface Context<Out = never, K extends Key = string> {
  readonly key: K
  /** Event time, ms since 1970. */
  readonly time: number
  /** No event with an earlier time is expected any more; an event with `time < watermark` is late. */
  readonly watermark: number
  /** Wall clock, ms since 1970. */
  readonly now: number
  /** The same on every replay of this event: the idempotency key for calls to the outside. */
  readonly id: string
  /** In [0, 1), seeded by (job, stage, key, id): the same on every replay. */
  random(): number
  /** Emits a value: taken at this call, later changes do not show. */
  emit(value: Out): void
  emitTo<T>(output: Output<T>, value: T): void
  /** Sends to an actor listed in the stage's `sends`. First in, first out per (sender key, receiver key). */
  send<C extends ActorClass>(to: C, key: KeyOf<C>, message: EventOf<C>): void
  /** Event time. The same name re-arms; a time in the past fires next. */
  timer(name: string, at: number | Date): void
  /** Wall clock. */
  alarm(name: string, at: number | Date): void
  cancel(name: string): void
  /** Deletes this key when the handler has ended: fields, timers, alarms, those set or armed after this call too. */
  forget(): void
}

/* eslint-disable @typescript-eslint/no-explicit-any -- inference of handler parameters needs `any` */
type Ctx<A, M extends PropertyKey> = A extends { [P in M]: (event: any, ctx: infer C) => any } ? C : never
type Emits<C> = unknown extends C ? never : C extends Context<infer O, any> ? O : never
export type EventOf<C extends ActorClass> =
  InstanceType<C> extends { receive(event: infer E, ...rest: any): any } ? E : never
export type KeyOf<C extends ActorClass> = Ctx<InstanceType<C>, 'receive'> extends Context<any, infer K> ? K : string
export type OutOf<C extends ActorClass> =
  | Emits<Ctx<InstanceType<C>, 'receive'>>
  | Emits<Ctx<InstanceType<C>, 'onTimer'>>
  | Emits<Ctx<InstanceType<C>, 'onAlarm'>>
/** The durable fields of an actor. */
export type Fields<A> = {
  [P in keyof A as P extends keyof Actor ? never : A[P] extends (...a: any) => any ? never : P]: A[P]
}
/* eslint-enable @typescript-eslint/no-explicit-any */

/** A side output; list it in `static outputs`. */
export interface Output<T> {
  readonly _?: (value: T) => void
}
export function output<T>(): Output<T> {
  return Object.freeze({})
}
