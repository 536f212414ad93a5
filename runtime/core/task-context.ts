/**
 * The context a handler sees. Where a failure ends the job, effects happen at the call; otherwise timers are buffered and outputs
 * staged (taken at the call: encoded or copied) until the handler has succeeded.
 */
import type { Actor, ActorClass, Output } from '../../actors/actor.ts'
import { CodedError } from '../kernel/errors.ts'
import { checkKey, keyText, type Key } from '../kernel/keys.ts'
import { Prng } from '../kernel/prng.ts'
import type { Span } from '../ports/telemetry.ts'
import type { Entry } from './entry.ts'
import type { HandlerName } from './quarantine.ts'
import type { StagedOutput } from './task-outputs.ts'

/** What a handler's effects act upon: the task. */
export interface EffectTarget {
  readonly job: string
  readonly stage: string
  watermark(context: TaskContext): number
  now(): number
  emit(context: TaskContext, output: string, value: unknown, time: number): void
  send(context: TaskContext, to: ActorClass<Actor>, key: Key, message: unknown): void
  arm(entry: Entry, clock: 'event' | 'wall', name: string, at: number): void
  cancel(entry: Entry, name: string): void
  forget(entry: Entry): void
  outputName(output: Output<never>): string | undefined
}

type Effect =
  | { readonly kind: 'arm'; readonly clock: 'event' | 'wall'; readonly name: string; readonly at: number }
  | { readonly kind: 'cancel'; readonly name: string }

const nameLimit = 255

export class TaskContext {
  /** Slot of the key: whose outbox takes what it emits. */
  slot = 0
  time = 0
  origin = ''
  offset = 0
  path = ''
  /** Trace context of the event, and what its outputs carry on. */
  cause = ''
  trace = ''
  span: Span | undefined
  handler: HandlerName = 'receive'
  /** As it stood when the event came that is released now; undefined: as it stands. */
  watermarkThen: number | undefined
  /** Emissions of this handler so far: part of the ids of what it emits. */
  emitted = 0
  private readonly target: EffectTarget
  private entry: Entry | undefined
  private buffer: Effect[] | undefined
  /** What it gave away so far, held back until it has succeeded; undefined = nothing is held back. */
  staged: StagedOutput[] | undefined
  private randomness: Prng | undefined
  private forgetting = false
  /** A step behind `emit` threw; the handler may have caught it, the job must not. */
  failure: { readonly error: unknown } | undefined

  constructor(target: EffectTarget) {
    this.target = target
  }

  /** Begins a handler. */
  begin(
    entry: Entry,
    slot: number,
    time: number,
    origin: string,
    offset: number,
    path: string,
    trace: string,
    buffered: boolean
  ): void {
    this.entry = entry
    this.slot = slot
    this.time = time
    this.origin = origin
    this.offset = offset
    this.path = path
    this.cause = this.trace = trace
    this.span = undefined
    this.watermarkThen = entry.parked?.watermark
    this.emitted = 0
    this.randomness = undefined
    this.failure = undefined
    this.forgetting = false
    this.buffer = buffered ? [] : undefined
    this.staged = buffered ? [] : undefined
  }

  /** Ends a handler that succeeded: buffered effects happen now. */
  commit(): void {
    const entry = this.live()
    const buffer = this.buffer
    this.buffer = undefined
    if (buffer !== undefined) for (const effect of buffer) this.perform(entry, effect)
    if (this.forgetting) this.target.forget(entry)
    this.entry = undefined
  }

  /** Ends a handler that failed: nothing happens. */
  discard(): void {
    this.entry = undefined
    this.buffer = undefined
  }

  get key(): Key {
    return this.live().key
  }
  get watermark(): number {
    this.live()
    return this.target.watermark(this)
  }
  get now(): number {
    this.live()
    return this.target.now()
  }
  get id(): string {
    this.live()
    return `${this.origin}${this.offset}${this.path}`
  }

  random(): number {
    this.randomness ??= new Prng(`${this.target.job}/${this.target.stage}/${keyText(this.key)}/${this.id}`)
    return this.randomness.next()
  }

  /** `at`: event time of the emission; default: the time of the event being handled. Windows emit at their last instant. */
  emit(value: unknown, at: number = this.time): void {
    this.output('main', value, at)
  }

  emitTo(output: Output<never>, value: unknown): void {
    this.live()
    const name = this.target.outputName(output)
    if (name === undefined)
      throw new TypeError(`emitTo: stage "${this.target.stage}" has no such output; list it in \`static outputs\``)
    this.output(name, value, this.time)
  }

  send(to: ActorClass<Actor>, key: Key, message: unknown, options?: { after?: unknown }): void {
    this.live()
    if (options?.after !== undefined)
      throw new TypeError('send: { after } is not supported yet; arm a timer and send from it')
    checkKey(key)
    this.target.send(this, to, key, message)
  }

  timer(name: string, at: number | Date): void {
    this.perform(this.live(), { kind: 'arm', clock: 'event', name: checkName(name), at: checkTime(at) })
  }
  alarm(name: string, at: number | Date): void {
    this.perform(this.live(), { kind: 'arm', clock: 'wall', name: checkName(name), at: checkTime(at) })
  }
  cancel(name: string): void {
    this.perform(this.live(), { kind: 'cancel', name })
  }
  forget(): void {
    this.live()
    this.forgetting = true
  }

  private live(): Entry {
    if (this.entry === undefined)
      throw new CodedError('CONTEXT_DEAD', `a context of stage "${this.target.stage}" was used after its handler ended`)
    return this.entry
  }

  private output(name: string, value: unknown, time: number): void {
    this.live()
    try {
      this.target.emit(this, name, value, time)
    } catch (error) {
      this.failure ??= { error }
      throw error
    }
  }

  private perform(entry: Entry, effect: Effect): void {
    if (this.buffer !== undefined) {
      this.buffer.push(effect)
      return
    }
    switch (effect.kind) {
      case 'arm':
        return this.target.arm(entry, effect.clock, effect.name, effect.at)
      case 'cancel':
        return this.target.cancel(entry, effect.name)
    }
  }
}

function checkName(name: unknown): string {
  if (typeof name !== 'string' || name.length > nameLimit)
    throw new TypeError(`a timer's name is a string of at most ${nameLimit} characters`)
  return name
}

function checkTime(at: unknown): number {
  const time = at instanceof Date ? at.getTime() : at
  if (typeof time !== 'number' || Number.isNaN(time))
    throw new TypeError(`a timer's time must be a number of ms or a valid Date, not ${String(at)}`)
  return time
}
