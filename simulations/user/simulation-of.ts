/** What a job file says about its own simulation: events, invariants, stand-ins for services. Data; `cairn simulate` runs it. */
import type { ActorClass, Fields, KeyOf } from '../../actors/actor.ts'
import { serviceName, type Service } from '../../actors/service.ts'
import type { Delivered, Job, Origin } from '../../actors/stream.ts'

/** Chance of the seed: equal in every run of it. */
export interface Random {
  /** In [0, 1). */
  next(): number
  /** A whole number in [0, n). */
  int(n: number): number
}

export type Events<T> = Iterable<T> | ((random: Random) => Iterable<T>)

/** True: it holds. False, or a sentence that says what is wrong: it does not. */
export type Verdict = boolean | string

export interface SimulationOptions<H> {
  /**
   * What sources read, by their name among the job's handles; needed for topics, and goes before what generators and files give.
   * A function is asked once per seed, with the seed's chance.
   */
  readonly events?: {
    readonly [P in keyof H as H[P] extends Origin<unknown> ? P : never]?: H[P] extends Origin<infer T>
      ? Events<T>
      : never
  }
  /** What must hold in every run. */
  readonly invariants?: readonly Invariant[]
  /** What answers in place of each service; a service without one fails the run at its first call. */
  readonly services?: readonly StandIn[]
}

/** As a job file exports it: `export const simulation = simulationOf(job, …)`. */
export interface Simulation {
  readonly simulates: Job<unknown>
  readonly events: Readonly<Record<string, Events<unknown>>>
  readonly invariants: readonly Invariant[]
  readonly services: readonly StandIn[]
}

/** Says how `cairn simulate` runs this job; runs nothing by itself. Throws a TypeError on events for what is no source. */
export function simulationOf<H>(job: Job<H>, options: SimulationOptions<H>): Simulation {
  const { events = {}, invariants = [], services = [] } = options
  for (const name of Object.keys(events)) {
    const handle = job.plan.handles[name]
    if (handle?.kind !== 'source') throw new TypeError(`simulationOf: "${name}" is no source among the job's handles`)
  }
  return { simulates: job, events: events as Simulation['events'], invariants, services }
}

/** One call of a service. Remembered when it was carried out, whatever became of the caller. */
export type Call<S> = {
  [P in keyof S & string]: S[P] extends (...args: infer A) => Promise<infer R>
    ? {
        readonly method: P
        readonly args: A
        /** What the stand-in answered; undefined when it threw. */
        readonly result: R | undefined
        /** The process that called. */
        readonly by: string
        /** Milliseconds since the run began. */
        readonly atMs: number
        /** False: the caller was told that it failed, or died before it was told anything. */
        readonly answered: boolean
      }
    : never
}[keyof S & string]

export type Invariant =
  | {
      readonly kind: 'state'
      readonly name: string
      readonly actor: ActorClass
      check(fields: never, key: never): Verdict
    }
  | { readonly kind: 'output'; readonly name: string; readonly sink: string; check(rows: never): Verdict }
  | { readonly kind: 'service'; readonly name: string; readonly service: string; check(calls: never): Verdict }

/**
 * A sentence and its check. Of an actor class: each instance in every checkpoint that was decided, with a durableMap as a plain Map. Of a sink
 * (`job.handles.receipts`): all that came out, in the order of publication, once the run has ended. Of a service: all its calls.
 */
export function invariant<C extends ActorClass>(
  name: string,
  actor: C,
  check: (fields: Readonly<Fields<InstanceType<C>>>, key: KeyOf<C>) => Verdict
): Invariant
export function invariant<T>(name: string, sink: Delivered<T>, check: (rows: readonly T[]) => Verdict): Invariant
export function invariant<S extends object>(
  name: string,
  service: Service<S>,
  check: (calls: readonly Call<S>[]) => Verdict
): Invariant
export function invariant(
  name: string,
  about: ActorClass | Delivered<unknown> | Service<object>,
  check: (about: never, key: never) => Verdict
): Invariant {
  if (typeof about === 'function') return { kind: 'state', name, actor: about, check }
  if (serviceName in about) return { kind: 'service', name, service: about[serviceName], check: check as never }
  if ('delivered' in about) return { kind: 'output', name, sink: about.delivered, check: check as never }
  throw new TypeError(`invariant "${name}" is about neither an actor class, a sink of the job's handles, nor a service`)
}

export interface StandIn {
  readonly service: string
  make(random: Random): object
}

/** Answers of a stand-in may come at once. */
export type Answers<S> = {
  readonly [P in keyof S]?: S[P] extends (...args: infer A) => Promise<infer R> ? (...args: A) => R | Promise<R> : never
}

/**
 * What answers in place of a service in simulated runs. `make` is called once per run: what it keeps outlives the crashes of workers, as
 * the real service would.
 */
export function standIn<S extends object>(service: Service<S>, make: (random: Random) => Answers<S>): StandIn {
  return { service: service[serviceName], make }
}
