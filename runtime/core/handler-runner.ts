/**
 * Runs the handlers of one task's actors: one event of a key at a time, pre-images, failures, time to live, and what a handler's
 * context does.
 *
 * Invariants
 * 1. A key handles one event at a time; while its promise is pending, later events of the key wait in its mailbox, and its timers
 *    that fall due where the handler can still cancel them.
 * 2. A handler that throws leaves no trace: with `fail` the generation ends, else the pre-image is put back and what it gave away
 *    was only staged.
 * 3. Of a parked key only what `QuarantineRelease` runs is handled; all else waits behind it, timers where they are armed.
 */
import type { Actor, ActorClass, Output } from '../../actors/actor.ts'
import { copyValue } from '../../actors/copy-value.ts'
import { explainHandlerError } from '../../actors/definition.ts'
import type { ActorDefinition, PreImage } from '../../actors/definition-types.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import { keyText, type Key } from '../kernel/keys.ts'
import { reached } from '../kernel/marks.ts'
import { isSampled } from '../kernel/trace-context.ts'
import type { Tracing } from '../ports/telemetry.ts'
import type { DeadLetter } from './dead-letter.ts'
import type { Entry } from './entry.ts'
import { deepFreeze, HandlerChecks } from './handler-checks.ts'
import type { HandlerName, ParkedKey, Waiting } from './quarantine.ts'
import type { KeyedStage } from './stage-graph.ts'
import { TaskContext, type EffectTarget } from './task-context.ts'
import type { Push, TaskOutputs } from './task-outputs.ts'
import type { TaskState } from './task-state.ts'

export interface HandlerSettings {
  readonly job: string
  readonly stage: KeyedStage
  readonly definition: ActorDefinition
  readonly slots: number
  readonly outputs: TaskOutputs
  readonly now: () => number
  /** A clock that never jumps. */
  readonly elapsed: () => number
  /** Freeze events, and notice state that changes between handlers. */
  readonly check: boolean
  /** Asks the shell to tell when the promise settles. */
  readonly awaitHandler: (
    promise: Promise<unknown>,
    settled: (error: { readonly error: unknown } | undefined) => void
  ) => void
  readonly deadLetter: (letter: DeadLetter, outputs: TaskOutputs) => void
  readonly tracing: Tracing | undefined
}

/** What puts an entry back as it was before a handler that failed. */
interface Undo {
  readonly image: PreImage
  readonly existed: boolean
  readonly created: number
  readonly lastEvent: number
}

const ttlTimer = '\u0000ttl'
/** Characters of a stack that are kept with a parked key: where it was thrown stands at the top. */
const stackLimit = 4000

interface OutputPort {
  readonly push: Push | undefined
  readonly tracksIds: boolean
}

export class HandlerRunner implements EffectTarget {
  readonly stage: string
  readonly job: string
  deadLetters = 0
  /** Handlers whose promise is pending. */
  inFlight = 0
  private readonly settings: HandlerSettings
  private readonly state: TaskState
  private readonly watermarkOf: (slot: number) => number
  private readonly buffered: boolean
  private readonly outputNames = new Map<unknown, string>()
  private readonly main: OutputPort
  private readonly checks: HandlerChecks | undefined
  private context: TaskContext

  constructor(settings: HandlerSettings, state: TaskState, watermarkOf: (slot: number) => number) {
    this.settings = settings
    this.state = state
    this.watermarkOf = watermarkOf
    this.stage = settings.stage.name
    this.job = settings.job
    this.buffered = settings.stage.node.onError !== 'fail'
    for (const [name, output] of Object.entries(settings.stage.node.actor.outputs ?? {}))
      this.outputNames.set(output, name)
    this.main = this.portOf('main')
    if (settings.check) this.checks = new HandlerChecks(settings.definition)
    this.context = new TaskContext(this)
  }

  private portOf(output: string): OutputPort {
    const { outputs } = this.settings
    return { push: outputs.push(output), tracksIds: outputs.tracksIds(output) }
  }

  fire(handler: 'onTimer' | 'onAlarm', entry: Entry, name: string, at: number, time: number): void {
    const clock = handler === 'onTimer' ? 'event' : 'wall'
    if (entry.busy) {
      ;(entry.due ??= []).push({ clock, name, at })
      return
    }
    if (isHeld(entry)) return this.state.arm(entry, clock, name, at)
    if (name === ttlTimer) return this.expire(entry, handler, time)
    const origin = `${this.stage}/${keyText(entry.key)}/${name}@`
    this.run(entry, handler, name, time, origin, at, '', '')
  }

  run(
    entry: Entry,
    handler: HandlerName,
    argument: unknown,
    time: number,
    origin: string,
    offset: number,
    path: string,
    trace: string
  ): void {
    if (entry.busy) {
      ;(entry.mailbox ??= []).push(() => this.run(entry, handler, argument, time, origin, offset, path, trace))
      return
    }
    if (isHeld(entry)) {
      this.state.quarantine.push(
        entry.parked,
        this.waiting(entry, handler, argument, { time, origin, offset, path, cause: trace })
      )
      return
    }
    this.state.touch(entry)
    entry.forgotten = false
    if (handler === 'receive') this.dropExpired(entry, time)
    const existed = this.state.exists(entry)
    const { created, lastEvent } = entry
    if (handler === 'receive') this.track(entry, time)
    const instance = this.state.hydrate(entry)
    const context = this.context
    const undo = this.buffered
      ? { image: this.settings.definition.preImage(instance), existed, created, lastEvent }
      : undefined
    const original = this.buffered && typeof argument === 'object' ? copyValue(argument, 'event') : argument
    if (this.checks !== undefined) {
      this.checks.before(instance, () => `stage "${this.stage}", key ${keyText(entry.key)}`)
      deepFreeze(argument)
    }
    context.begin(entry, entry.keyGroup % this.settings.slots, time, origin, offset, path, trace, this.buffered)
    context.handler = handler
    if (trace !== '') this.trace(context, trace)
    let result: unknown
    try {
      result = call(instance, handler, argument, context)
      if (context.failure !== undefined) throw context.failure.error
    } catch (error) {
      this.failed(entry, context, undo, error, original)
      return
    }
    if (result === undefined || typeof (result as { then?: unknown }).then !== 'function') {
      this.commit(entry, context)
      return
    }
    this.context = new TaskContext(this)
    this.suspend(entry, context, undo, result as Promise<unknown>, original)
  }

  /** Of an event that somebody traces: the handler has a span, and what it gives away that span's context. */
  private trace(context: TaskContext, trace: string): void {
    const { tracing } = this.settings
    if (tracing === undefined || !isSampled(trace)) return
    const { stage, job } = this
    const { id } = context
    context.span = tracing.begin({ kind: 'event', job, stage, key: keyText(context.key), id }, trace)
    context.trace = context.span.trace
  }

  private suspend(
    entry: Entry,
    context: TaskContext,
    undo: Undo | undefined,
    promise: Promise<unknown>,
    argument: unknown
  ): void {
    entry.busy = true
    this.inFlight++
    this.settings.awaitHandler(promise, outcome => {
      entry.busy = false
      this.inFlight--
      const failure = outcome ?? context.failure
      if (failure === undefined) this.commit(entry, context)
      else this.failed(entry, context, undo, failure.error, argument)
      this.fireDue(entry)
      const mailbox = entry.mailbox
      entry.mailbox = undefined
      if (mailbox !== undefined) for (const next of mailbox) next()
    })
  }

  /** Event timers go back to the queue, among those armed meanwhile; alarms go before the events that wait. */
  private fireDue(entry: Entry): void {
    for (const { name, at } of entry.due?.filter(timer => timer.clock === 'event') ?? [])
      this.state.arm(entry, 'event', name, at)
    entry.due = entry.due?.filter(timer => timer.clock === 'wall')
    while (!entry.busy && entry.due !== undefined) {
      const next = entry.due.shift()
      if (next === undefined) entry.due = undefined
      else this.fire('onAlarm', entry, next.name, next.at, this.now())
    }
  }

  private failed(entry: Entry, context: TaskContext, undo: Undo | undefined, error: unknown, event: unknown): void {
    const id = `${context.origin}${context.offset}${context.path}`
    context.span?.end({ error })
    context.discard()
    this.settings.outputs.staged = undefined
    const cause = explainHandlerError(error, this.settings.definition.name)
    const { onError } = this.settings.stage.node
    if (onError === 'fail' || undo === undefined)
      throw new CodedError(
        'HANDLER_FAILED',
        `stage "${this.stage}", key ${keyText(entry.key)}, event ${id}: ${messageOf(cause)}`,
        { cause }
      )
    this.state.maps.discard(entry)
    this.undo(entry, undo)
    if (this.checks !== undefined && entry.instance !== undefined) this.checks.after(entry.instance)
    if (onError === 'quarantine') this.park(entry, context, cause, event)
    else {
      this.writeOff(entry, context, id, cause, event)
      if (entry.parked !== undefined) this.passed(entry.parked)
    }
  }

  private writeOff(entry: Entry, context: TaskContext, id: string, cause: unknown, event: unknown): void {
    const { outputs } = this.settings
    outputs.slot = context.slot
    outputs.trace = context.cause
    this.deadLetters++
    this.settings.deadLetter(
      {
        stage: this.stage,
        key: keyText(entry.key),
        id,
        error: messageOf(cause),
        attempts: 1,
        time: context.time,
        event
      },
      outputs
    )
  }

  // ---- quarantine

  private park(entry: Entry, context: TaskContext, cause: unknown, event: unknown): void {
    const { quarantine, held } = this.state
    const { parked } = entry
    const failure = { error: messageOf(cause), stack: stackOf(cause), attempts: 1, since: this.now() }
    const waiting = (): Waiting => this.waiting(entry, context.handler, event, context)
    if (parked === undefined) {
      reached('handlers: a key is parked')
      quarantine.park(entry, waiting(), failure)
      held.hold(entry)
      return
    }
    const again = parked.running === 'first' ? parked.failure.attempts : 0
    if (parked.running !== 'first') quarantine.unshift(parked, waiting())
    quarantine.fail(parked, { ...failure, attempts: again + 1 })
    parked.running = undefined
    parked.outcome = 'failed'
  }

  /** What was being run of it has been: it waits no more. */
  private passed(parked: ParkedKey): void {
    if (parked.running === 'first') {
      this.state.quarantine.shift(parked)
      parked.outcome = 'passed'
    }
    parked.running = undefined
  }

  private waiting(
    entry: Entry,
    handler: HandlerName,
    argument: unknown,
    { time, origin, offset, path, cause }: Pick<TaskContext, 'time' | 'origin' | 'offset' | 'path' | 'cause'>
  ): Waiting {
    const then = entry.parked?.running === undefined ? undefined : entry.parked
    return {
      handler,
      argument,
      time,
      origin,
      offset,
      path,
      trace: cause,
      watermark: then?.watermark ?? this.watermarkFor(entry),
      arrivedAt: then?.arrivedAt ?? this.now()
    }
  }

  private commit(entry: Entry, context: TaskContext): void {
    const { staged } = context
    context.commit()
    if (staged !== undefined) this.settings.outputs.release(staged)
    if (this.settings.definition.durableMaps.length > 0) this.state.maps.commit(entry)
    if (this.checks !== undefined && entry.instance !== undefined) this.checks.after(entry.instance)
    context.span?.end()
    if (entry.parked !== undefined) this.passed(entry.parked)
  }

  private undo(entry: Entry, { image, existed, created, lastEvent }: Undo): void {
    if (existed) {
      this.settings.definition.rollback(entry.instance as Actor, image)
      entry.created = created
      entry.lastEvent = lastEvent
      return
    }
    this.state.drop(entry)
    entry.forgotten = true
  }

  private expire(entry: Entry, handler: 'onTimer' | 'onAlarm', time: number): void {
    const until = this.expiresAt(entry)
    this.state.touch(entry)
    if (until > time) this.state.arm(entry, handler === 'onTimer' ? 'event' : 'wall', ttlTimer, until)
    else this.forget(entry)
  }

  private expiresAt(entry: Entry): number {
    const ttl = this.settings.definition.ttl
    assert(ttl !== undefined, 'no time to live')
    return (ttl.since === 'created' ? entry.created : entry.lastEvent) + ttl.afterMs
  }

  /** What an event finds expired is gone, though no timer has fired yet, and whether or not its handler fails. */
  private dropExpired(entry: Entry, time: number): void {
    const ttl = this.settings.definition.ttl
    if (ttl === undefined || !this.state.exists(entry)) return
    if (this.expiresAt(entry) <= (ttl.clock === 'wall' ? this.now() : time)) this.state.drop(entry)
  }

  private track(entry: Entry, time: number): void {
    const ttl = this.settings.definition.ttl
    if (ttl === undefined) return
    const at = ttl.clock === 'wall' ? this.now() : time
    if (!this.state.exists(entry)) {
      entry.created = at
      entry.lastEvent = at
      this.state.arm(entry, ttl.clock, ttlTimer, at + ttl.afterMs)
    } else entry.lastEvent = Math.max(entry.lastEvent, at)
  }

  /** That of the entry's slot. */
  watermarkFor({ keyGroup }: Entry): number {
    return this.watermarkOf(keyGroup % this.settings.slots)
  }

  // ---- effects (EffectTarget)

  watermark(context: TaskContext): number {
    return context.watermarkThen ?? this.watermarkOf(context.slot)
  }
  now(): number {
    return this.settings.now()
  }
  outputName(output: Output<never>): string | undefined {
    return this.outputNames.get(output)
  }
  emit(context: TaskContext, output: string, value: unknown, time: number): void {
    const { outputs } = this.settings
    outputs.slot = context.slot
    outputs.trace = context.trace
    outputs.staged = context.staged
    const port = output === 'main' ? this.main : this.portOf(output)
    const path = port.tracksIds ? `${context.path}/${this.settings.stage.index}.${context.emitted++}` : ''
    port.push?.(value, time, context.origin, context.offset, path)
    outputs.staged = undefined
  }
  send(context: TaskContext, to: ActorClass<Actor>, key: Key, message: unknown): void {
    const edge = this.settings.stage.sends.get(to)
    if (edge === undefined)
      throw new CodedError(
        'SEND_UNDECLARED',
        `stage "${this.stage}" sends to ${to.name}, which its \`sends\` does not list`
      )
    const { outputs } = this.settings
    outputs.trace = context.trace
    outputs.staged = context.staged
    const path = `${context.path}/${this.settings.stage.index}.${context.emitted++}`
    outputs.send(edge, key, copyValue(message, 'message'), context.time, context.origin, context.offset, path)
    outputs.staged = undefined
  }
  arm(entry: Entry, clock: 'event' | 'wall', name: string, at: number): void {
    entry.due = entry.due?.filter(timer => timer.clock !== clock || timer.name !== name)
    this.state.arm(entry, clock, name, at)
  }
  cancel(entry: Entry, name: string): void {
    entry.due = entry.due?.filter(timer => timer.name !== name)
    this.state.cancel(entry, name)
  }
  forget(entry: Entry): void {
    entry.due = undefined
    this.state.drop(entry)
    entry.forgotten = true
  }
}

function call(instance: Actor, handler: HandlerName, argument: unknown, context: TaskContext): unknown {
  const method = instance[handler] as ((argument: unknown, context: unknown) => unknown) | undefined
  const { span } = context
  return span === undefined
    ? method?.call(instance, argument, context)
    : span.run((): unknown => method?.call(instance, argument, context))
}

/** It is parked, and this is not its release. */
function isHeld(entry: Entry): entry is Entry & { readonly parked: ParkedKey } {
  return entry.parked !== undefined && entry.parked.running === undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? '').slice(0, stackLimit) : ''
}
