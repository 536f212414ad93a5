/**
 * One task of a keyed stage: owns the entries of its key groups, their timers, and one outbox. Fed by channels, one per task of
 * each feeding stage.
 *
 *   channels ──► aligner ──► handler ──► outputs ──► channels, outbox
 *                   │ barrier n on every channel
 *                   └──► seal: dirty set n is swapped for an empty one, then encoded a slice at a time
 *
 * Invariants
 * 1. A channel that has delivered barrier n is not read until all have (aligned).
 * 2. A watermark or barrier is handled only when no handler is in flight, and passed on only when all that it set off has
 *    ended, so nothing overtakes an earlier event.
 * 3. What is not in memory is read before the first event of a batch that needs it is handled.
 */
import type { StoredActorSchema } from '../../actors/definition-types.ts'
import { Aligner } from '../../checkpoint/aligner.ts'
import type { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import { assert } from '../kernel/errors.ts'
import { encodeKey, keyIdentity, type Key } from '../kernel/keys.ts'
import type { Channel, ControlElement, RecordColumns } from './channel.ts'
import { fieldsOfRecord, recordKey } from './entry.ts'
import { HandlerRunner, type HandlerSettings } from './handler-runner.ts'
import type { StoreReader } from './map-state.ts'
import { TaskState, type LoadedEntry, type StateSnapshot, type TimerPage } from './task-state.ts'
import { MinWatermark } from './watermarks.ts'

export interface KeyedTaskSettings extends HandlerSettings {
  readonly task: number
  /** Schemas of stored records; the class's own is among them, at `schemaIndex`. */
  readonly schemas: readonly StoredActorSchema[]
  readonly schemaIndex: number
  readonly keyGroups: number
  /** Slots of this task. */
  readonly owned: readonly number[]
  readonly cacheBytes: number | undefined
  readonly reader: StoreReader | undefined
  readonly channels: readonly Channel[]
  /** Asks the shell for records of the store; answered by `loaded`. */
  readonly load: (task: KeyedTask, keys: readonly Uint8Array[]) => void
  /** Asks the shell for stored timers due at `upTo`; answered by `pageLoaded`. */
  readonly page: (task: KeyedTask, clock: 'event' | 'wall', after: Uint8Array | undefined, upTo: number) => void
}

/** A task as it was when it sealed the epoch. */
export interface KeyedSnapshot extends StateSnapshot, SealedProgress {}
interface SealedProgress {
  readonly outbox: OutboxFileWriter | undefined
  readonly watermarks: readonly { readonly slot: number; readonly time: number }[]
  readonly finished: boolean
}

/** Entries encoded between two batches while a snapshot is under way: more would lengthen the barrier pause. */
const encodeSlice = 512
/** Stored alarms are brought into memory so long before they are due. */
const alarmHorizonMs = 60_000

export class KeyedTask {
  readonly stage: string
  readonly settings: KeyedTaskSettings
  readonly state: TaskState
  events = 0
  late = 0
  finished = false
  private readonly handlers: HandlerRunner
  private readonly aligner: Aligner
  private readonly watermarks: MinWatermark
  private sealedEpoch = 0
  /** Of the epoch in flight; its outbox is given back when it is abandoned. */
  private sealed: SealedProgress | undefined
  private forwarded = -Infinity
  /** Where slots had got to when tasks were counted anew; undefined = all where `forwarded` is. */
  private floors: Float64Array | undefined
  private forwardedIdle = false
  /** A watermark being carried out: its timers fire a slice at a time, then `done` happens. */
  private advancing: { readonly to: number; readonly done: () => void } | undefined
  private nextChannel = 0
  private cursor = 0

  constructor(settings: KeyedTaskSettings) {
    this.settings = settings
    this.stage = settings.stage.name
    this.state = new TaskState(settings)
    this.aligner = new Aligner(settings.channels.length)
    this.watermarks = new MinWatermark(settings.channels.length)
    this.handlers = new HandlerRunner(settings, this.state, slot => this.watermarkOf(slot))
  }

  // ---- restoring

  restoreRecord(key: Uint8Array, value: Uint8Array): void {
    this.state.restoreRecord(key, value)
  }

  /** @param bySlot watermark that the key groups of each slot have seen */
  restoreProgress(bySlot: readonly number[]): void {
    const own = this.settings.owned.map(slot => bySlot[slot] ?? -Infinity)
    this.forwarded = own.length === 0 ? -Infinity : Math.min(...own)
    if (own.some(time => time > this.forwarded)) this.floors = Float64Array.from(bySlot)
  }

  /** Watermark of each slot that this task owns. */
  private slotWatermarks(): { readonly slot: number; readonly time: number }[] {
    return this.settings.owned.map(slot => ({ slot, time: this.watermarkOf(slot) }))
  }

  private watermarkOf(slot: number): number {
    return this.floors === undefined ? this.forwarded : Math.max(this.forwarded, this.floors[slot] as number)
  }

  // ---- running

  /** Handles up to about `budget` events. Returns false when there is nothing it can do now. */
  work(budget: number): boolean {
    this.state.encodeSome(encodeSlice)
    const moved = !this.state.reading && !this.settings.outputs.blocked && this.advance(budget)
    this.state.evict()
    return moved || this.state.sealing
  }

  private advance(budget: number): boolean {
    if (this.advancing !== undefined) return this.fireTimers(budget)
    if (this.handlers.inFlight === 0 && this.takeEnd()) return true
    const channels = this.settings.channels
    for (let tried = 0; tried < channels.length; tried++) {
      const index = (this.nextChannel + tried) % channels.length
      const channel = channels[index] as Channel
      if (channel.empty || this.aligner.isHeld(index)) continue
      const element = channel.peek()
      assert(element !== undefined, 'an empty channel was read')
      if (element.kind === 'records') return this.batch(channel, index, element, budget)
      if (this.handlers.inFlight > 0) continue
      channel.shift()
      this.control(index, element)
      return true
    }
    return false
  }

  /**
   * Ends go before records, so that a source task without a partition never holds the watermark back: with one partition, what is
   * late depends on its records alone, after a crash too.
   */
  private takeEnd(): boolean {
    const index = this.settings.channels.findIndex(
      (channel, index) => channel.peek()?.kind === 'end' && !this.aligner.isHeld(index)
    )
    if (index === -1) return false
    this.settings.channels[index]?.shift()
    this.control(index, { kind: 'end' })
    return true
  }

  /** A batch is read to its end before another channel gets its turn, so `cursor` needs no channel of its own. */
  private batch(channel: Channel, index: number, element: RecordColumns, budget: number): boolean {
    const from = this.cursor
    const end = Math.min(element.keys.length, from + budget)
    this.nextChannel = index
    if (this.state.cold) {
      const missing = this.state.missing(element.keys, from, end)
      if (missing.length > 0) {
        this.state.reading = true
        this.settings.load(this, missing)
        return false
      }
    }
    for (let i = from; i < end; i++)
      this.receive(
        element.keys[i] as Key,
        element.values[i],
        element.times[i] as number,
        element.origins[i] as string,
        element.offsets[i] as number,
        element.paths[i] as string
      )
    if (end < element.keys.length) this.cursor = end
    else {
      this.cursor = 0
      channel.shift()
      this.nextChannel = (index + 1) % this.settings.channels.length
    }
    return true
  }

  loaded(entries: readonly LoadedEntry[]): void {
    this.state.loaded(entries)
  }

  pageLoaded(page: TimerPage): void {
    this.state.pageLoaded(page)
  }

  /** Fires wall-clock alarms that are due. */
  fireAlarms(now: number): boolean {
    if (this.settings.outputs.blocked || this.finished || this.state.reading) return false
    let fired = false
    for (let due = this.state.popDue('wall', now); due !== undefined; due = this.state.popDue('wall', now)) {
      this.handlers.fire('onAlarm', due.keyId, due.name, due.at, now)
      fired = true
    }
    return this.page('wall', now + alarmHorizonMs) || fired
  }

  get deadLetters(): number {
    return this.handlers.deadLetters
  }

  nextAlarmAt(): number | undefined {
    return this.finished ? undefined : this.state.nextAlarmAt()
  }

  get changed(): boolean {
    return this.state.changed || this.settings.outputs.outboxUsed
  }

  get idle(): boolean {
    return (
      this.handlers.inFlight === 0 &&
      !this.state.sealing &&
      !this.state.reading &&
      this.advancing === undefined &&
      this.settings.channels.every(channel => channel.empty)
    )
  }

  /** Bytes that wait for a checkpoint. */
  get pendingBytes(): number {
    return this.state.pendingBytes + this.settings.outputs.outbox.sizeBytes + (this.sealed?.outbox?.sizeBytes ?? 0)
  }

  /** Live fields, read from the store when the actor is not in memory. */
  stateOf(key: Key): Record<string, unknown> | undefined {
    const { definition, reader, schemas } = this.settings
    const entry = this.state.entries.get(keyIdentity(key))
    if (entry !== undefined)
      return this.state.exists(entry) ? definition.snapshot(this.state.hydrate(entry)) : undefined
    const stored = reader?.get(recordKey(encodeKey(key)))
    return stored === undefined ? undefined : definition.snapshot(fieldsOfRecord(stored, schemas, definition))
  }

  private control(index: number, element: ControlElement): void {
    switch (element.kind) {
      case 'watermark':
        this.watermarks.set(index, element.time)
        return this.begin(() => undefined)
      case 'idle':
        this.watermarks.setIdle(index, element.idle)
        return this.begin(() => this.forwardIdle())
      case 'barrier':
        if (this.aligner.barrier(index, element.epoch) === 'aligned') this.seal(element.epoch)
        return
      case 'end':
        this.watermarks.ended(index)
        return this.begin(() => this.end(index))
    }
  }

  private end(index: number): void {
    this.forwardIdle()
    const aligned = this.aligner.ended(index)
    if (aligned !== undefined) this.seal(aligned)
    if (!this.aligner.allEnded) return
    this.finished = true
    this.settings.outputs.broadcast({ kind: 'end' })
  }

  private forwardIdle(): void {
    const idle = this.watermarks.allIdle
    if (idle === this.forwardedIdle) return
    this.forwardedIdle = idle
    this.settings.outputs.broadcast({ kind: 'idle', idle })
  }

  /** Carries out the watermark as it now is, then `done`. */
  private begin(done: () => void): void {
    const to = this.watermarks.value
    if (to <= this.forwarded) return done()
    this.forwarded = to
    this.advancing = { to, done }
    this.fireTimers(Infinity)
  }

  private fireTimers(budget: number): boolean {
    const { to, done } = this.advancing as { to: number; done: () => void }
    for (let fired = 0; fired < budget; fired++) {
      const due = this.state.popDue('event', to)
      if (due !== undefined) {
        this.handlers.fire('onTimer', due.keyId, due.name, due.at, due.at)
        continue
      }
      if (this.page('event', to)) return fired > 0
      // What the last timers set off must have ended before anybody hears of the watermark.
      if (this.handlers.inFlight > 0) return fired > 0
      this.advancing = undefined
      if (to !== Infinity) this.settings.outputs.broadcast({ kind: 'watermark', time: to })
      done()
      return true
    }
    return true
  }

  /** Asks for stored timers, if any may be due. */
  private page(clock: 'event' | 'wall', upTo: number): boolean {
    const wanted = this.state.pageWanted(clock, upTo)
    if (wanted === undefined) return false
    this.state.reading = true
    this.settings.page(this, clock, wanted.after, upTo)
    return true
  }

  private receive(key: Key, value: unknown, time: number, origin: string, offset: number, path: string): void {
    const identity = keyIdentity(key)
    const entry = this.state.entries.get(identity) ?? this.state.add(key, identity)
    if (time < this.watermarkOf(entry.keyGroup % this.settings.slots)) this.late++
    this.events++
    this.handlers.run(entry, 'receive', value, time, origin, offset, path)
  }

  // ---- snapshots

  private seal(epoch: number): void {
    this.swap(epoch)
    this.settings.outputs.broadcast({ kind: 'barrier', epoch })
  }

  private swap(epoch: number): void {
    this.state.seal(epoch)
    this.sealedEpoch = epoch
    const outbox = this.settings.outputs.sealOutbox()
    this.sealed = { outbox, watermarks: this.slotWatermarks(), finished: this.finished }
  }

  /** A checkpoint of a task whose inputs have ended: no barrier will come through them any more. */
  sealFinished(epoch: number): void {
    if (this.finished && this.sealedEpoch < epoch) this.swap(epoch)
  }

  /** The finished snapshot of the sealed epoch, once; undefined while not every entry is encoded. */
  takeSnapshot(): KeyedSnapshot | undefined {
    const taken = this.state.takeSnapshot()
    return taken === undefined || this.sealed === undefined ? undefined : { ...taken, ...this.sealed }
  }

  decided(epoch: number): void {
    this.state.decided(epoch)
    this.sealed = undefined
  }

  /** What the epoch had sealed belongs to the next one. */
  abandon(epoch: number): void {
    this.aligner.cancel(epoch)
    this.state.abandon(epoch)
    if (this.sealed?.outbox !== undefined) this.settings.outputs.unseal(this.sealed.outbox)
    this.sealed = undefined
  }
}
