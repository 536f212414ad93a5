/**
 * One task of a keyed stage: owns the entries of its key groups, their timers, and one outbox. Fed by channels, one per task of
 * each feeding stage.
 *
 *   recorded messages, then channels ──► aligner ──► handler ──► outputs ──► channels, outbox
 *                   │ barrier n on every channel that belongs to no loop
 *                   └──► seal: dirty set n is swapped for an empty one, then encoded a slice at a time;
 *                        what channels of loops bring before their barrier n is recorded besides
 *
 * Invariants
 * 1. What `TaskInputs` says of reading and sealing.
 * 2. A watermark or barrier is handled only when no handler is in flight, and passed on only when all that it set off has
 *    ended, so nothing overtakes an earlier event.
 * 3. What is not in memory is read before the first event of a batch that needs it is handled.
 * 4. Recorded messages of the restored checkpoint are handled before anything comes from a channel, so before the next seal.
 */
import type { LoopStep } from '../../checkpoint/loop-ends.ts'
import { assert } from '../kernel/errors.ts'
import { encodeKey, keyGroupOf, keyIdentity, type Key } from '../kernel/keys.ts'
import { Channel, type ControlElement, type RecordColumns } from './channel.ts'
import { fieldsOfRecord, recordKey } from './entry.ts'
import type { KeyedSnapshot, SealedProgress } from './keyed-snapshot.ts'
import { HandlerRunner, type HandlerSettings } from './handler-runner.ts'
import { QuarantineRelease } from './quarantine-release.ts'
import { TaskInputs, type TaskInputsSettings } from './task-inputs.ts'
import type { LoadedEntry, TimerPage } from './stored-timers.ts'
import { TaskState, type TaskStateSettings } from './task-state.ts'

export interface KeyedTaskSettings extends HandlerSettings, TaskInputsSettings, TaskStateSettings {
  readonly task: number
  /** Slots of this task. */
  readonly owned: readonly number[]
  /** Asks the shell for records of the store; answered by `loaded`. */
  readonly load: (task: KeyedTask, keys: readonly Uint8Array[]) => void
  /** Asks the shell for stored timers due at `upTo`; answered by `pageLoaded`. */
  readonly page: (task: KeyedTask, clock: 'event' | 'wall', after: Uint8Array | undefined, upTo: number) => void
  /** A clock that goes on while handlers run; where nobody measures, one that stands. */
  readonly measure: () => number
}

/** Stored alarms are brought into memory so long before they are due. */
const alarmHorizonMs = 60_000

export class KeyedTask {
  readonly stage: string
  readonly settings: KeyedTaskSettings
  readonly state: TaskState
  events = 0
  late = 0
  /** Spent on events, timers and alarms, what they make the worker do included. */
  handlerMs = 0
  finished = false
  readonly inputs: TaskInputs
  private readonly handlers: HandlerRunner
  readonly release: QuarantineRelease
  /** All input has ended, but keys are parked: the end is passed on when none is any more. */
  private holdsEnd = false
  /** Of the epoch in flight; its outbox is given back when it is abandoned. */
  private sealed: SealedProgress | undefined
  private forwarded = -Infinity
  /** Where slots had got to when tasks were counted anew; undefined = all where `forwarded` is. */
  private floors: Float64Array | undefined
  private forwardedIdle = false
  /** A watermark being carried out: its timers fire a slice at a time, then `done` happens. */
  private advancing: { readonly to: number; readonly done: () => void } | undefined
  private cursor = 0
  /** Of one turn: more at once would hold up everything else, and fill what comes behind. */
  private budget = 1
  /** What was restored is handled from here first. */
  private replay = new Channel()
  private step: LoopStep['step'] | undefined
  /** The final watermark has been carried out in a loop. */
  private final = false
  /** No sealed epoch tells yet what the last step came to. */
  private stepUnreported = false
  /** The newest barrier found everything ended that leads into the loop. */
  private endReported = false

  constructor(settings: KeyedTaskSettings) {
    this.settings = settings
    this.stage = settings.stage.name
    this.state = new TaskState(settings)
    this.inputs = new TaskInputs(settings)
    this.handlers = new HandlerRunner(settings, this.state, slot => this.watermarkOf(slot))
    this.release = new QuarantineRelease(this.state, this.handlers)
  }

  // ---- restoring

  restoreRecord(key: Uint8Array, value: Uint8Array): void {
    this.state.restoreRecord(key, value)
  }

  /** @param bySlot watermark that the key groups of each slot have seen */
  restoreProgress(bySlot: readonly number[]): void {
    this.state.restored()
    const own = this.settings.owned.map(slot => bySlot[slot] ?? -Infinity)
    this.forwarded = own.length === 0 ? -Infinity : Math.min(...own)
    if (own.some(time => time > this.forwarded)) this.floors = Float64Array.from(bySlot)
  }

  /** Watermark of each slot that this task owns. */
  private slotWatermarks(): { readonly slot: number; readonly time: number }[] {
    // The final watermark of a task that goes on is not the end of a finished one: it must come back as it was.
    const final = this.final || this.holdsEnd
    return this.settings.owned.map(slot => ({ slot, time: final ? Number.MAX_VALUE : this.watermarkOf(slot) }))
  }

  private watermarkOf(slot: number): number {
    return this.floors === undefined ? this.forwarded : Math.max(this.forwarded, this.floors[slot] as number)
  }

  // ---- running

  /** Handles up to about `budget` events. Returns false when there is nothing it can do now. */
  work(budget: number): boolean {
    this.budget = budget
    const began = this.settings.measure()
    let left = budget
    while (left > 0 && !this.state.reading && !this.settings.outputs.blocked) {
      const done = this.advance(left)
      if (done === 0) break
      left -= done
      // Between two batches, since nothing may leave while a read is under way, and under load one always is when a turn ends.
      this.state.evict()
      // Alarms go before what came after they were due.
      if ((this.nextAlarmAt() ?? Infinity) <= this.settings.now()) break
    }
    this.handlerMs += this.settings.measure() - began
    this.state.evict()
    return left < budget || this.state.sealing
  }

  /** Answers how many events it handled, a control element counting as one; 0: there is nothing that it can do now. */
  private advance(budget: number): number {
    if (this.advancing !== undefined) return this.fireTimers(budget)
    if (this.state.messages.restoredSome) this.replay = this.state.messages.replay()
    const restored = this.replay.peek()
    if (restored?.kind === 'records') return this.batch(this.replay, undefined, restored, budget)
    const released = this.release.busy ? this.release.work(budget) : 0
    if (released > 0) return released
    const waits = this.handlers.inFlight > 0
    if (this.holdsEnd && !waits && this.state.quarantine.keys.size === 0) return this.finish()
    const epoch = this.finished ? undefined : this.inputs.overdue(this.settings.elapsed())
    if (epoch !== undefined || this.step !== undefined) {
      if (waits) return 0
      // A loop that is closed has no barrier of its own any more.
      if (this.step !== undefined) this.takeStep()
      else if (epoch !== undefined) {
        if (this.inputs.aligner.aligning === epoch) this.inputs.aligned(this.settings.elapsed())
        this.inputs.aligner.force(epoch)
        this.seal(epoch)
      }
      return 1
    }
    const ending = waits ? undefined : this.inputs.ending()
    if (ending === undefined) return this.read(budget, waits)
    this.take(ending, { kind: 'end' })
    return 1
  }

  private read(budget: number, waits: boolean): number {
    const index = this.inputs.toRead(waits)
    if (index === undefined) return 0
    const channel = this.inputs.channels[index] as Channel
    const element = channel.peek()
    assert(element !== undefined, 'an empty channel was read')
    if (element.kind === 'records') return this.batch(channel, index, element, budget)
    this.take(index, element)
    return 1
  }

  private take(index: number, element: ControlElement): void {
    this.inputs.channels[index]?.shift()
    this.control(index, element)
  }

  /**
   * A batch is read to its end before another channel gets its turn, so `cursor` needs no channel of its own.
   * @param index undefined = what was restored
   */
  private batch(channel: Channel, index: number | undefined, element: RecordColumns, budget: number): number {
    const from = this.cursor
    const end = Math.min(element.keys.length, from + budget)
    if (index !== undefined) this.inputs.reading(index)
    if (this.state.cold) {
      const missing = this.state.missing(element.keys, from, end)
      if (missing.length > 0) {
        this.state.reading = true
        this.settings.load(this, missing)
        return 0
      }
    }
    const recorded = index !== undefined && this.inputs.aligner.isRecorded(index)
    for (let i = from; i < end; i++)
      this.receive(
        element.keys[i] as Key,
        element.values[i],
        element.times[i] as number,
        element.origins[i] as string,
        element.offsets[i] as number,
        element.paths[i] as string,
        element.traces[i] as string,
        recorded
      )
    if (end < element.keys.length) this.cursor = end
    else {
      this.cursor = 0
      channel.shift()
      if (index !== undefined) this.inputs.read(index)
    }
    return end - from
  }

  loaded(entries: readonly LoadedEntry[]): void {
    this.state.loaded(entries)
  }

  pageLoaded(page: TimerPage): void {
    this.state.pageLoaded(page)
  }

  /** Fires wall-clock alarms that are due. */
  fireAlarms(now: number): boolean {
    if (this.settings.outputs.blocked || this.endsNow || this.state.reading) return false
    let fired = false
    for (let left = this.budget; left > 0; left--) {
      const due = this.state.popDue('wall', now)
      if (due === undefined) break
      this.handlers.fire('onAlarm', due.keyId, due.name, due.at, now)
      fired = true
    }
    return this.page('wall', now + alarmHorizonMs) || fired
  }

  /** Too much waits for a checkpoint; see `TaskInputs`. */
  set paused(paused: boolean) {
    this.inputs.paused = paused
  }

  get deadLetters(): number {
    return this.handlers.deadLetters
  }

  /** Handlers whose promise is pending. */
  get inFlight(): number {
    return this.handlers.inFlight
  }

  /** What it has passed on. */
  get watermark(): number {
    return this.forwarded
  }

  nextAlarmAt(): number | undefined {
    return this.endsNow ? undefined : this.state.nextAlarmAt()
  }

  /** No alarm rings any more. */
  private get endsNow(): boolean {
    return this.finished || this.final || this.holdsEnd
  }

  /** When something may happen by time alone: an alarm, or an alignment that takes too long. */
  nextDelayMs(): number | undefined {
    const alarmAt = this.nextAlarmAt()
    const alarmIn = alarmAt === undefined ? undefined : alarmAt - this.settings.now()
    const limitIn = this.inputs.alignmentLeftMs(this.settings.elapsed())
    return limitIn === undefined ? alarmIn : Math.min(alarmIn ?? Infinity, limitIn)
  }

  get changed(): boolean {
    // A loop whose inputs end behind the last barrier needs one more to say so, though no state changes any more.
    const endUnreported = this.awaitsLoopEnd && !this.endReported
    return this.state.changed || this.settings.outputs.outboxUsed || this.stepUnreported || endUnreported
  }

  get idle(): boolean {
    return (
      this.handlers.inFlight === 0 &&
      !this.state.sealing &&
      !this.state.reading &&
      this.advancing === undefined &&
      this.step === undefined &&
      !this.release.busy &&
      this.replay.empty &&
      !this.state.messages.restoredSome &&
      this.inputs.empty
    )
  }

  /** Bytes that wait for a checkpoint. */
  get pendingBytes(): number {
    return this.state.pendingBytes + this.settings.outputs.outbox.sizeBytes + (this.sealed?.outbox?.sizeBytes ?? 0)
  }

  /** Live fields, read from the store when the actor is not in memory. */
  stateOf(key: Key): Record<string, unknown> | undefined {
    const { definition, reader, schemas, keyGroups } = this.settings
    const entry = this.state.entries.get(keyIdentity(key))
    if (entry !== undefined)
      return this.state.exists(entry) ? definition.snapshot(this.state.hydrate(entry)) : undefined
    const keyBytes = encodeKey(key)
    const stored = reader?.get(keyGroupOf(keyBytes, keyGroups), recordKey(keyBytes))
    return stored === undefined ? undefined : definition.snapshot(fieldsOfRecord(stored, schemas, definition))
  }

  private control(index: number, element: ControlElement): void {
    switch (element.kind) {
      case 'watermark':
        this.inputs.watermarks.set(index, element.time)
        return this.begin(() => undefined)
      case 'idle':
        this.inputs.watermarks.setIdle(index, element.idle)
        return this.begin(() => this.forwardIdle())
      case 'barrier':
        return this.barrier(index, element.epoch)
      case 'end':
        this.inputs.watermarks.ended(index)
        return this.begin(() => this.end(index))
    }
  }

  private barrier(index: number, epoch: number): void {
    // A loop that has ended seals when it is told.
    if (this.finished) return
    const outcome = this.inputs.barrier(index, epoch, this.settings.elapsed())
    if (outcome === 'aligned') this.seal(epoch)
    if (outcome === 'recorded') this.whenRecorded()
  }

  private whenRecorded(): void {
    if (!this.inputs.aligner.recording) this.state.recorded()
  }

  private end(index: number): void {
    if (this.finished) {
      this.inputs.aligner.ended(index)
      return
    }
    this.forwardIdle()
    const aligned = this.inputs.aligner.ended(index)
    if (aligned !== undefined) {
      this.inputs.aligned(this.settings.elapsed())
      this.seal(aligned)
    } else this.whenRecorded()
    if (this.inputs.aligner.allEnded) this.finish()
  }

  /** Behind parked keys everything but the end goes on: the final watermark in its place. */
  private finish(): number {
    this.holdsEnd = this.state.quarantine.keys.size > 0
    this.finished = !this.holdsEnd
    this.settings.outputs.broadcast(this.finished ? { kind: 'end' } : { kind: 'watermark', time: Number.MAX_VALUE })
    return 1
  }

  private forwardIdle(): void {
    const idle = this.inputs.watermarks.allIdle
    if (idle === this.forwardedIdle) return
    this.forwardedIdle = idle
    this.settings.outputs.broadcast({ kind: 'idle', idle })
  }

  /** Carries out the watermark as it now is, then `done`. */
  private begin(done: () => void): void {
    const to = this.inputs.watermarks.value
    // The final watermark of a loop waits until nothing is under way in it.
    if (to <= this.forwarded || (to === Infinity && this.inputs.loop !== undefined)) return done()
    this.forwarded = to
    this.advancing = { to, done }
    this.fireTimers(this.budget)
  }

  private fireTimers(budget: number): number {
    const { to, done } = this.advancing as { to: number; done: () => void }
    let fired = 0
    for (; fired < budget; fired++) {
      const due = this.state.popDue('event', to)
      if (due !== undefined) {
        this.handlers.fire('onTimer', due.keyId, due.name, due.at, due.at)
        continue
      }
      if (this.page('event', to)) return fired
      // What the last timers set off must have ended before anybody hears of the watermark.
      if (this.handlers.inFlight > 0) return fired
      this.advancing = undefined
      if (to !== Infinity) this.settings.outputs.broadcast({ kind: 'watermark', time: to })
      done()
      return fired + 1
    }
    return fired
  }

  /** Asks for stored timers, if any may be due. */
  private page(clock: 'event' | 'wall', upTo: number): boolean {
    const wanted = this.state.pageWanted(clock, upTo)
    if (wanted === undefined) return false
    this.state.reading = true
    this.settings.page(this, clock, wanted.after, upTo)
    return true
  }

  private receive(
    key: Key,
    value: unknown,
    time: number,
    origin: string,
    offset: number,
    path: string,
    trace: string,
    recorded: boolean
  ): void {
    assert(!this.finished, 'a record behind the end of a loop')
    const identity = keyIdentity(key)
    const entry = this.state.entries.get(identity) ?? this.state.add(key, identity)
    if (recorded) this.state.record(entry.keyGroup, { key, value, time, origin, offset, path, trace })
    if (!this.final && time < this.watermarkOf(entry.keyGroup % this.settings.slots)) this.late++
    this.events++
    this.handlers.run(entry, 'receive', value, time, origin, offset, path, trace)
  }

  // ---- snapshots

  private seal(epoch: number): void {
    this.swap(epoch)
    this.settings.outputs.broadcast({ kind: 'barrier', epoch })
  }

  private swap(epoch: number): void {
    this.state.seal(epoch, this.inputs.aligner.recording)
    this.inputs.sealed(epoch)
    this.stepUnreported = false
    const outbox = this.settings.outputs.sealOutbox()
    const inputsEnded = this.inputs.aligner.acyclicEnded
    this.endReported = inputsEnded
    const loop =
      this.inputs.loop === undefined || this.finished
        ? undefined
        : {
            inputsEnded,
            spent: this.final && this.state.timers.size === 0,
            parked: this.state.quarantine.keys.size > 0
          }
    this.sealed = { outbox, watermarks: this.slotWatermarks(), finished: this.finished, loop }
  }

  /**
   * The epoch is under way. A task whose inputs have ended seals: no barrier will come through them any more. One whose loop goes
   * on seals as soon as it can.
   */
  sealFinished(epoch: number): void {
    this.inputs.told(epoch)
    if (this.inputs.isSealed(epoch)) return
    if (this.finished) this.swap(epoch)
    if (this.holdsEnd && this.handlers.inFlight === 0 && this.advancing === undefined) this.seal(epoch)
  }

  // ---- the end of a loop

  /** Belongs to a loop that only `endLoop` can end: everything that leads into it here has ended. */
  get awaitsLoopEnd(): boolean {
    return this.inputs.loop !== undefined && !this.finished && this.inputs.aligner.acyclicEnded
  }

  /** Every task of the loop is told so in the same decided epoch, before the next begins; see `loopSteps`. */
  endLoop(step: LoopStep['step']): void {
    // The others have closed it already.
    if (this.finished) return
    assert(this.awaitsLoopEnd, 'the end of a loop that something leads into')
    this.step = step
    this.stepUnreported = true
  }

  /** Its loop has nothing left to do but what operators release. */
  get standsInLoop(): boolean {
    return this.final && this.state.quarantine.keys.size > 0
  }

  private takeStep(): void {
    const { step } = this
    this.step = undefined
    if (step === 'close') {
      this.finished = true
      this.settings.outputs.broadcast({ kind: 'end' })
      return
    }
    this.final = true
    this.forwarded = Infinity
    this.advancing = { to: Infinity, done: () => undefined }
  }

  /** The finished snapshot of the sealed epoch, once; undefined while not every entry is encoded. */
  takeSnapshot(): KeyedSnapshot | undefined {
    const taken = this.state.takeSnapshot()
    if (taken === undefined || this.sealed === undefined) return undefined
    const { loop } = this.sealed
    const quiet = loop?.inputsEnded === true && this.state.messages.count === 0
    const { spent, parked } = loop ?? { spent: false, parked: false }
    return { ...taken, ...this.sealed, loop: loop === undefined ? undefined : { quiet, spent, parked } }
  }

  decided(epoch: number): void {
    this.state.decided(epoch)
    this.sealed = undefined
  }

  /** What the epoch had sealed belongs to the next one. */
  abandon(epoch: number): void {
    this.inputs.abandon(epoch)
    this.state.abandon(epoch)
    if (this.awaitsLoopEnd) this.stepUnreported = true
    if (this.sealed?.outbox !== undefined) this.settings.outputs.unseal(this.sealed.outbox)
    this.sealed = undefined
  }
}
