/**
 * One task of a keyed stage: owns the entries of its key groups, their timers, and one outbox. Fed by channels, one per task of
 * each feeding stage.
 *
 *   channels ──► aligner ──► handler ──► outputs ──► channels, outbox
 *                   │ barrier n on every channel
 *                   └──► seal: dirty set n is swapped for an empty one, then encoded a slice at a time
 *
 * Invariants
 * 1. A key handles one event at a time; while its promise is pending, later events of the key wait in its mailbox.
 * 2. A channel that has delivered barrier n is not read until all have (aligned).
 * 3. A watermark or barrier is handled only when no handler is in flight, so nothing overtakes an earlier event.
 * 4. An entry dirty in sealed epoch n is encoded before a later event touches it (copy on touch).
 * 5. A handler that throws leaves no trace: with `fail` the generation ends, else the pre-image is put back.
 */
import type { Actor, ActorClass, Output } from '../../actors/actor.ts'
import { copyValue } from '../../actors/copy-value.ts'
import { explainHandlerError } from '../../actors/definition.ts'
import type { ActorDefinition, PreImage, StoredActorSchema } from '../../actors/definition-types.ts'
import { Aligner } from '../../checkpoint/aligner.ts'
import { StateFileWriter } from '../../checkpoint/state-file.ts'
import { ByteWriter } from '../kernel/bytes.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import { decodeKey, encodeKey, keyGroupOf, keyIdentity, keyText, type Key } from '../kernel/keys.ts'
import type { Channel } from './channel.ts'
import { encodeEntry, Entry, keyOfRecord, recordKey, restoreEntry } from './entry.ts'
import type { KeyedStage } from './stage-graph.ts'
import { TaskContext, type EffectTarget } from './task-context.ts'
import type { TaskOutputs } from './task-outputs.ts'
import { TimerQueue } from './timer-queue.ts'
import { MinWatermark } from './watermarks.ts'

export interface KeyedTaskSettings {
  readonly job: string
  readonly stage: KeyedStage
  readonly task: number
  readonly definition: ActorDefinition
  /** Schemas of stored records; the class's own is among them, at `schemaIndex`. */
  readonly schemas: readonly StoredActorSchema[]
  readonly schemaIndex: number
  readonly keyGroups: number
  readonly slots: number
  readonly channels: readonly Channel[]
  readonly outputs: TaskOutputs
  readonly now: () => number
  /** Asks the shell to tell when the promise settles. */
  readonly awaitHandler: (
    promise: Promise<unknown>,
    settled: (error: { readonly error: unknown } | undefined) => void
  ) => void
  readonly deadLetter: (letter: DeadLetter, outputs: TaskOutputs) => void
  /** Called when an aligned barrier has sealed the task. */
  readonly onBarrier: (task: KeyedTask, epoch: number) => void
}

export interface DeadLetter {
  readonly stage: string
  readonly key: string | undefined
  readonly id: string
  readonly error: string
  readonly attempts: number
  readonly time: number
  readonly event: unknown
}

type Handler = 'receive' | 'onTimer' | 'onAlarm'

const ttlTimer = '\u0000ttl'
/** Entries encoded between two batches while a snapshot is under way: more would lengthen the barrier pause. */
const encodeSlice = 512

export class KeyedTask implements EffectTarget {
  readonly stage: string
  readonly job: string
  readonly settings: KeyedTaskSettings
  readonly entries = new Map<string | number, Entry>()
  events = 0
  late = 0
  deadLetters = 0
  finished = false
  private readonly timers = new TimerQueue<Entry>()
  private readonly alarms = new TimerQueue<Entry>()
  private readonly aligner: Aligner
  private readonly watermarks: MinWatermark
  private readonly buffered: boolean
  private readonly outputNames = new Map<unknown, string>()
  private context: TaskContext
  /** Counts seals; what entries remember instead of epochs, so that sealing touches none of them. */
  private sequence = 1
  private sealedEpoch = 0
  private dirty: Entry[] = []
  private sealed:
    | {
        readonly epoch: number
        readonly sequence: number
        readonly entries: Entry[]
        next: number
        readonly writer: StateFileWriter
      }
    | undefined
  private readonly scratch = new ByteWriter(1024)
  private inFlight = 0
  private forwarded = -Infinity
  private nextChannel = 0
  private cursor = 0

  constructor(settings: KeyedTaskSettings) {
    this.settings = settings
    this.stage = settings.stage.name
    this.job = settings.job
    this.aligner = new Aligner(settings.channels.length)
    this.watermarks = new MinWatermark(settings.channels.length)
    this.buffered = settings.stage.node.onError !== 'fail'
    for (const [name, output] of Object.entries(settings.stage.node.actor.outputs ?? {}))
      this.outputNames.set(output, name)
    this.context = new TaskContext(this)
  }

  // ---- restoring

  restoreRecord(key: Uint8Array, value: Uint8Array): void {
    const keyBytes = keyOfRecord(key).slice()
    const decoded = decodeKey(keyBytes)
    const entry = new Entry(decoded, keyBytes, keyGroupOf(keyBytes, this.settings.keyGroups))
    restoreEntry(entry, value, this.settings.schemas, this.timers, this.alarms)
    this.entries.set(keyIdentity(decoded), entry)
  }

  restoreProgress(watermark: number, finished: boolean): void {
    this.forwarded = watermark
    this.finished = finished
  }

  // ---- running

  /** Handles up to about `budget` events. Returns false when there is nothing it can do now. */
  work(budget: number): boolean {
    if (this.sealed !== undefined) this.encodeSome(encodeSlice)
    if (this.settings.outputs.blocked) return false
    const channels = this.settings.channels
    for (let tried = 0; tried < channels.length; tried++) {
      const index = (this.nextChannel + tried) % channels.length
      const channel = channels[index] as Channel
      if (channel.empty || this.aligner.isHeld(index)) continue
      const element = channel.peek()
      assert(element !== undefined, 'an empty channel was read')
      if (element.kind !== 'records') {
        if (this.inFlight > 0) continue
        channel.shift()
        this.control(index, element)
        return true
      }
      // A batch is read to its end before another channel gets its turn, so `cursor` needs no channel of its own.
      const end = Math.min(element.keys.length, this.cursor + budget)
      const from = this.cursor
      for (let i = from; i < end; i++) {
        this.receive(
          element.keys[i] as Key,
          element.values[i],
          element.times[i] as number,
          element.origins[i] as string,
          element.offsets[i] as number,
          element.paths[i] as string
        )
      }
      if (end === element.keys.length) {
        this.cursor = 0
        channel.shift()
        this.nextChannel = (index + 1) % channels.length
      } else {
        this.cursor = end
        this.nextChannel = index
      }
      return true
    }
    return this.sealed !== undefined
  }

  /** Fires wall-clock alarms that are due. */
  fireAlarms(now: number): boolean {
    if (this.settings.outputs.blocked || this.finished) return false
    let fired = false
    for (let due = this.alarms.popDue(now); due !== undefined; due = this.alarms.popDue(now)) {
      this.fire('onAlarm', due.keyId, due.name, due.at, now)
      fired = true
    }
    return fired
  }

  nextAlarmAt(): number | undefined {
    return this.alarms.nextAt()
  }

  get changed(): boolean {
    return this.dirty.length > 0 || this.settings.outputs.outboxUsed
  }

  get idle(): boolean {
    return this.inFlight === 0 && this.sealed === undefined && this.settings.channels.every(channel => channel.empty)
  }

  stateOf(key: Key): Record<string, unknown> | undefined {
    const entry = this.entries.get(keyIdentity(key))
    if (entry === undefined || entry.forgotten) return undefined
    this.hydrate(entry)
    return this.settings.definition.snapshot(entry.instance as Actor)
  }

  private control(
    index: number,
    element: { kind: 'watermark'; time: number } | { kind: 'barrier'; epoch: number } | { kind: 'end' }
  ): void {
    if (element.kind === 'watermark') {
      this.watermarks.set(index, element.time)
      this.advance()
      return
    }
    if (element.kind === 'barrier') {
      if (this.aligner.barrier(index, element.epoch) === 'aligned') this.seal(element.epoch)
      return
    }
    this.watermarks.ended(index)
    this.advance()
    const aligned = this.aligner.ended(index)
    if (aligned !== undefined) this.seal(aligned)
    if (this.settings.channels.every(channel => channel.empty) && this.aligner.allEnded) {
      this.finished = true
      this.settings.outputs.broadcast({ kind: 'end' })
    }
  }

  private advance(): void {
    const watermark = this.watermarks.value
    if (watermark <= this.forwarded) return
    this.forwarded = watermark
    for (let due = this.timers.popDue(watermark); due !== undefined; due = this.timers.popDue(watermark))
      this.fire('onTimer', due.keyId, due.name, due.at, due.at)
    if (watermark !== Infinity) this.settings.outputs.broadcast({ kind: 'watermark', time: watermark })
  }

  private fire(handler: 'onTimer' | 'onAlarm', entry: Entry, name: string, at: number, time: number): void {
    if (name === ttlTimer) return this.expire(entry, handler, time)
    const origin = `${this.stage}/${keyText(entry.key)}/${name}@`
    this.run(entry, handler, name, time, origin, at, '')
  }

  private expire(entry: Entry, handler: 'onTimer' | 'onAlarm', time: number): void {
    const until = this.expiresAt(entry)
    this.touch(entry)
    if (until > time) (handler === 'onTimer' ? this.timers : this.alarms).arm(entry, ttlTimer, until)
    else this.forget(entry)
  }

  private expiresAt(entry: Entry): number {
    const ttl = this.settings.definition.ttl
    assert(ttl !== undefined, 'no time to live')
    return (ttl.since === 'created' ? entry.created : entry.lastEvent) + ttl.afterMs
  }

  private receive(key: Key, value: unknown, time: number, origin: string, offset: number, path: string): void {
    const identity = keyIdentity(key)
    let entry = this.entries.get(identity)
    if (entry === undefined) entry = this.add(key, identity)
    if (time < this.forwarded) this.late++
    this.events++
    this.run(entry, 'receive', value, time, origin, offset, path)
  }

  private add(key: Key, identity: string | number): Entry {
    const keyBytes = encodeKey(key)
    const entry = new Entry(key, keyBytes, keyGroupOf(keyBytes, this.settings.keyGroups))
    this.entries.set(identity, entry)
    return entry
  }

  private touch(entry: Entry): void {
    if (entry.dirtySequence === this.sequence) return
    const sealed = this.sealed
    if (sealed !== undefined && entry.dirtySequence === sealed.sequence && entry.encodedSequence !== sealed.sequence)
      this.encode(entry, sealed)
    entry.dirtySequence = this.sequence
    this.dirty.push(entry)
  }

  private hydrate(entry: Entry): Actor {
    if (entry.stored !== undefined) {
      entry.instance = this.settings.definition.restore(entry.stored.reader, entry.stored.schema)
      entry.stored = undefined
    }
    return (entry.instance ??= this.settings.definition.create())
  }

  private track(entry: Entry, time: number): void {
    const ttl = this.settings.definition.ttl
    if (ttl === undefined) return
    const at = ttl.clock === 'wall' ? this.now() : time
    const queue = ttl.clock === 'wall' ? this.alarms : this.timers
    if (entry.instance !== undefined && this.expiresAt(entry) <= at) this.drop(entry)
    if (entry.instance === undefined && entry.stored === undefined) {
      entry.created = at
      entry.lastEvent = at
      queue.arm(entry, ttlTimer, at + ttl.afterMs)
    } else entry.lastEvent = Math.max(entry.lastEvent, at)
  }

  private run(
    entry: Entry,
    handler: Handler,
    argument: unknown,
    time: number,
    origin: string,
    offset: number,
    path: string
  ): void {
    if (entry.busy) {
      ;(entry.mailbox ??= []).push(() => this.run(entry, handler, argument, time, origin, offset, path))
      return
    }
    this.touch(entry)
    entry.forgotten = false
    if (handler === 'receive') this.track(entry, time)
    const instance = this.hydrate(entry)
    const context = this.context
    const image = this.buffered ? this.settings.definition.preImage(instance) : undefined
    const original = this.buffered && typeof argument === 'object' ? copyValue(argument, 'event') : argument
    this.settings.outputs.slot = entry.keyGroup % this.settings.slots
    context.begin(entry, time, origin, offset, path, this.buffered)
    let result: unknown
    try {
      result = (instance[handler] as ((argument: unknown, context: unknown) => unknown) | undefined)?.call(
        instance,
        argument,
        context
      )
      if (context.failure !== undefined) throw context.failure.error
    } catch (error) {
      this.failed(entry, context, image, error, original)
      return
    }
    if (result === undefined || typeof (result as { then?: unknown }).then !== 'function') {
      context.commit()
      return
    }
    this.context = new TaskContext(this)
    this.suspend(entry, context, image, result as Promise<unknown>, original)
  }

  private suspend(
    entry: Entry,
    context: TaskContext,
    image: PreImage | undefined,
    promise: Promise<unknown>,
    argument: unknown
  ): void {
    entry.busy = true
    this.inFlight++
    this.settings.awaitHandler(promise, outcome => {
      entry.busy = false
      this.inFlight--
      this.settings.outputs.slot = entry.keyGroup % this.settings.slots
      const failure = outcome ?? context.failure
      if (failure === undefined) context.commit()
      else this.failed(entry, context, image, failure.error, argument)
      const mailbox = entry.mailbox
      entry.mailbox = undefined
      if (mailbox !== undefined) for (const next of mailbox) next()
    })
  }

  private failed(
    entry: Entry,
    context: TaskContext,
    image: PreImage | undefined,
    error: unknown,
    event: unknown
  ): void {
    const id = `${context.origin}${context.offset}${context.path}`
    context.discard()
    const cause = explainHandlerError(error, this.settings.definition.name)
    if (this.settings.stage.node.onError === 'fail' || image === undefined)
      throw new CodedError(
        'HANDLER_FAILED',
        `stage "${this.stage}", key ${keyText(entry.key)}, event ${id}: ${messageOf(cause)}`,
        { cause }
      )
    this.settings.definition.rollback(entry.instance as Actor, image)
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
      this.settings.outputs
    )
  }

  // ---- effects (EffectTarget)

  watermark(): number {
    return this.forwarded
  }
  now(): number {
    return this.settings.now()
  }
  outputName(output: Output<never>): string | undefined {
    return this.outputNames.get(output)
  }
  emit(context: TaskContext, output: string, value: unknown, time: number): void {
    const path = `${context.path}/${this.settings.stage.index}.${context.emitted++}`
    this.settings.outputs.push(output)?.(value, time, context.origin, context.offset, path)
  }
  send(context: TaskContext, to: ActorClass<Actor>, key: Key, message: unknown): void {
    const edge = this.settings.stage.sends.get(to)
    if (edge === undefined)
      throw new CodedError(
        'SEND_UNDECLARED',
        `stage "${this.stage}" sends to ${to.name}, which its \`sends\` does not list`
      )
    const path = `${context.path}/${this.settings.stage.index}.${context.emitted++}`
    this.settings.outputs.send(
      edge,
      key,
      copyValue(message, 'message'),
      context.time,
      context.origin,
      context.offset,
      path
    )
  }
  arm(entry: Entry, clock: 'event' | 'wall', name: string, at: number): void {
    ;(clock === 'event' ? this.timers : this.alarms).arm(entry, name, at)
  }
  cancel(entry: Entry, name: string): void {
    this.timers.cancel(entry, name)
    this.alarms.cancel(entry, name)
  }
  forget(entry: Entry): void {
    this.drop(entry)
    entry.forgotten = true
  }

  private drop(entry: Entry): void {
    this.timers.forget(entry)
    this.alarms.forget(entry)
    entry.instance = undefined
    entry.stored = undefined
  }

  // ---- snapshots

  private seal(epoch: number): void {
    this.swap(epoch)
    this.settings.outputs.broadcast({ kind: 'barrier', epoch })
  }

  private swap(epoch: number): void {
    assert(this.sealed === undefined, 'one epoch in flight')
    this.sealed = { epoch, sequence: this.sequence, entries: this.dirty, next: 0, writer: new StateFileWriter() }
    this.sealedEpoch = epoch
    this.dirty = []
    this.sequence++
    this.settings.onBarrier(this, epoch)
  }

  /** A checkpoint of a task whose inputs have ended: no barrier will come through them any more. */
  sealFinished(epoch: number): void {
    if (this.finished && this.sealedEpoch < epoch) this.swap(epoch)
  }

  private encodeSome(limit: number): void {
    const sealed = this.sealed
    if (sealed === undefined) return
    const end = Math.min(sealed.entries.length, sealed.next + limit)
    for (; sealed.next < end; sealed.next++) {
      const entry = sealed.entries[sealed.next] as Entry
      if (entry.encodedSequence !== sealed.sequence) this.encode(entry, sealed)
      if (entry.forgotten && entry.dirtySequence === sealed.sequence) this.entries.delete(keyIdentity(entry.key))
    }
  }

  private encode(entry: Entry, sealed: { readonly sequence: number; readonly writer: StateFileWriter }): void {
    entry.encodedSequence = sealed.sequence
    if (entry.forgotten) {
      sealed.writer.add(entry.keyGroup, recordKey(entry.keyBytes), undefined)
      return
    }
    this.scratch.reset()
    encodeEntry(entry, this.settings.definition, this.settings.schemaIndex, this.timers, this.alarms, this.scratch)
    sealed.writer.add(entry.keyGroup, recordKey(entry.keyBytes), this.scratch.view())
  }

  /** The finished snapshot of the sealed epoch, once every entry is encoded; undefined while it is not. */
  takeSnapshot(): { readonly epoch: number; readonly writer: StateFileWriter | undefined } | undefined {
    const sealed = this.sealed
    if (sealed === undefined || sealed.next < sealed.entries.length) return undefined
    this.sealed = undefined
    return { epoch: sealed.epoch, writer: sealed.entries.length === 0 ? undefined : sealed.writer }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
