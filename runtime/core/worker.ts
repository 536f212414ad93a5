/**
 * The worker machine: the tasks, channels' ends and slots that one process has in one generation. No I/O: `step` takes what happened and
 * returns what to do; `work` handles a bounded number of events.
 *
 *   trigger n ─► sources put barrier n in band ─► every task seals, writes delta and outbox ─► all acknowledged (report)
 *      ─► decided n ─► slots publish outboxes ≤ n
 *
 * Invariants
 * 1. Nothing of epoch n is published before n is decided.
 * 2. Nothing is reported as recovered before every slot was fenced and its ledger read.
 * 3. An epoch is acknowledged only when the files of every task are durable and all its at-least-once records of epochs ≤ n are
 *    confirmed.
 * 4. When too much waits for a checkpoint, or to be appended, the sources pause: memory stays within its limit whatever storage does.
 * 5. A trigger, decision or abandonment that comes again, or too late, changes nothing.
 */
import type { LoopReport, LoopStep } from '../../checkpoint/loop-ends.ts'
import type { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import type { StateFileWriter } from '../../checkpoint/state-file.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import { encodeKey, keyGroupOf, type Key } from '../kernel/keys.ts'
import { reached } from '../kernel/marks.ts'
import type { Fetched } from '../ports/log.ts'
import type { LedgerEntry, PublishOutcome, SourcePosition } from '../ports/publisher.ts'
import { Appends, type Append } from './appends.ts'
import type { Assignment } from './assignment.ts'
import type { WorkerReport } from './checkpoint-leader.ts'
import { usualChannelLimits, type Channel, type SpilledBatch } from './channel.ts'
import { channelKey, decodeBatch, encodeBatch, type Frame } from './frames.ts'
import { KeyedTask } from './keyed-task.ts'
import type { ParkedLine, QuarantineCommand } from './quarantine.ts'
import type { DecidedChunk, SlotAction, SlotMachine } from './slot-machine.ts'
import type { PartitionProgress, SourceTask } from './source-task.ts'
import type { LoadedEntry, TimerPage } from './stored-timers.ts'
import { TaskTimes } from './task-times.ts'
import {
  countsOf,
  fullnessOf,
  stageGaugesOf,
  type Fullness,
  type StageGauges,
  type WorkerCounts
} from './worker-gauges.ts'
import { buildTopology, type LoopEnds, type Task, type Topology, type TopologySettings } from './topology.ts'

export type Command =
  | { readonly kind: 'fetched'; readonly stage: number; readonly partition: number; readonly result: Fetched }
  /** Partitions that were added while this runs, wherever they belong. */
  | { readonly kind: 'grown'; readonly stage: number; readonly partitions: readonly PartitionProgress[] }
  | { readonly kind: 'settled'; readonly token: number; readonly failure: { readonly error: unknown } | undefined }
  | { readonly kind: 'loaded'; readonly task: KeyedTask; readonly entries: readonly LoadedEntry[] }
  | { readonly kind: 'page-loaded'; readonly task: KeyedTask; readonly page: TimerPage }
  | { readonly kind: 'written'; readonly epoch: number; readonly task: Task }
  /** A file of the epoch could not be stored. */
  | { readonly kind: 'write-failed'; readonly epoch: number; readonly message: string }
  /** `last`: sources read nothing any more. */
  | { readonly kind: 'trigger'; readonly epoch: number; readonly last: boolean }
  | { readonly kind: 'abandon'; readonly epoch: number }
  | {
      readonly kind: 'decided'
      readonly epoch: number
      readonly chunks: ReadonlyMap<SlotMachine, readonly DecidedChunk[]>
      /** Told to whoever watches the sources. */
      readonly positions?: ReadonlyMap<SlotMachine, readonly SourcePosition[]>
      /** What it means for the loops of the job. */
      readonly loops: readonly LoopStep[]
    }
  /** The store holds everything up to this epoch. */
  | { readonly kind: 'applied'; readonly epoch: number }
  | {
      readonly kind: 'unspilled'
      readonly channel: Channel
      readonly batch: SpilledBatch
      readonly bytes: Uint8Array
    }
  | { readonly kind: 'appended'; readonly sink: string; readonly append: number }
  | { readonly kind: 'initialised'; readonly slot: SlotMachine }
  /** Neither initialised nor read: the sink does not answer. */
  | { readonly kind: 'unreachable'; readonly slot: SlotMachine }
  | { readonly kind: 'ledger'; readonly slot: SlotMachine; readonly entry: LedgerEntry | undefined }
  | {
      readonly kind: 'published'
      readonly slot: SlotMachine
      readonly outcome: PublishOutcome
      readonly entry: LedgerEntry
    }
  | { readonly kind: 'noted'; readonly slot: SlotMachine; readonly outcome: PublishOutcome }
  /** From another worker of this generation. */
  | { readonly kind: 'frames'; readonly peer: string; readonly frames: readonly Frame[] }
  | { readonly kind: 'drain' }
  /** An operator has seen that the key is parked. */
  | { readonly kind: 'operate'; readonly command: QuarantineCommand }
  | { readonly kind: 'tick' }

/** What the clocks say: the wall's, which may jump, and one that does not. */
export interface Moment {
  readonly wallMs: number
  readonly elapsedMs: number
}

export interface TaskSnapshot {
  readonly task: Task
  readonly state: StateFileWriter | undefined
  /** Index keys that a local store must drop with this epoch. */
  readonly unindexed: readonly Uint8Array[]
  readonly outbox: OutboxFileWriter | undefined
  readonly positions: readonly PartitionProgress[]
  readonly watermarks: readonly { readonly slot: number; readonly time: number }[]
  readonly finished: boolean
  /** Of a task of a loop that has not ended. */
  readonly loop: LoopReport | undefined
}

export type Action =
  | { readonly kind: 'fetch'; readonly stage: number; readonly partition: number; readonly position: number }
  | { readonly kind: 'await'; readonly token: number; readonly promise: Promise<unknown> }
  | { readonly kind: 'load'; readonly task: KeyedTask; readonly keys: readonly Uint8Array[] }
  | {
      readonly kind: 'page'
      readonly task: KeyedTask
      readonly clock: 'event' | 'wall'
      readonly after: Uint8Array | undefined
      readonly upTo: number
    }
  | { readonly kind: 'write'; readonly epoch: number; readonly snapshot: TaskSnapshot }
  | ({ readonly kind: 'append' } & Append)
  /** What was written for the epoch is of no use. */
  | { readonly kind: 'forget'; readonly epoch: number }
  | { readonly kind: 'send'; readonly peer: string; readonly frame: Uint8Array }
  /** To be kept outside of memory until it is asked for. */
  | { readonly kind: 'spill'; readonly batch: SpilledBatch; readonly bytes: Uint8Array }
  | { readonly kind: 'unspill'; readonly channel: Channel; readonly batch: SpilledBatch }
  | SlotAction

export interface WorkerSettings extends TopologySettings {
  /** Bytes of changes and outputs that may wait for a checkpoint, and of records for at-least-once sinks. */
  readonly pendingLimitBytes: number
  /** By at-least-once sink; default 1. */
  readonly appendsAtOnce?: ReadonlyMap<string, number>
  /** The shell can put batches aside. */
  readonly spills: boolean
  /** Entries encoded between two batches while a snapshot is under way. */
  readonly encodeSlice?: number | undefined
  /** A clock that goes on while the machine works, in ms: for what is counted only. Absent: nothing is measured. */
  readonly measure?: () => number
}

/** A report but for the files of what was written: those the shell knows. */
export type WorkerStatus = Omit<WorkerReport, 'acknowledged'> & {
  /** The newest epoch of which all files are durable. */
  readonly written: number | undefined
}

/** Entries encoded between two batches while a snapshot is under way: more would lengthen the barrier pause. */
const defaultEncodeSlice = 512

export class Worker {
  private moment: Moment = { wallMs: 0, elapsedMs: 0 }
  private readonly settings: WorkerSettings
  private readonly topology: Topology
  private readonly awaiting = new Map<number, (failure: { readonly error: unknown } | undefined) => void>()
  private readonly actions: Action[] = []
  private nextToken = 1
  /** Finished, and the newest append when they were. */
  private readonly snapshots: { readonly snapshot: TaskSnapshot; readonly append: number }[] = []
  private readonly appends: Appends
  /** The newest epoch whose barrier was put in band. */
  private triggered: number
  /** The epoch in flight, its tasks that have not written yet, and whether it was declined. */
  private inFlight: { readonly epoch: number; readonly missing: Set<Task> } | undefined
  private newestDecided: number
  private newestWritten: number | undefined
  private declinedEpoch: WorkerStatus['declined']
  private readonly measure: () => number
  private readonly times: readonly TaskTimes[]
  private encodedMs = 0
  /** Epochs that were begun here and given up. */
  abandonedEpochs = 0

  constructor(settings: WorkerSettings) {
    this.settings = settings
    this.triggered = settings.epoch
    this.newestDecided = settings.epoch
    this.measure = settings.measure ?? (() => 0)
    this.appends = new Appends(settings.appendsAtOnce ?? new Map())
    this.topology = buildTopology(settings, {
      measure: this.measure,
      now: () => this.moment.wallMs,
      elapsed: () => this.moment.elapsedMs,
      awaitHandler: (promise, settled) => {
        const token = this.nextToken++
        this.awaiting.set(token, settled)
        this.actions.push({ kind: 'await', token, promise })
      },
      load: (task, keys) => this.actions.push({ kind: 'load', task, keys }),
      page: (task, clock, after, upTo) => this.actions.push({ kind: 'page', task, clock, after, upTo })
    })
    this.times = this.tasks.map(() => new TaskTimes())
    for (const slot of this.slots.values()) this.pushSlot(slot.next())
  }

  // ---- what others ask

  get slots(): ReadonlyMap<string, SlotMachine> {
    return this.topology.slots
  }
  get tasks(): readonly Task[] {
    return this.topology.tasks
  }

  get assignment(): Assignment {
    return this.settings.assignment
  }

  ownsSlot(slot: number): boolean {
    const { assignment, worker } = this.settings
    return assignment.tasks[assignment.slots[slot] as number] === worker
  }

  keyedTasks(stage: number): KeyedTask[] {
    return this.topology.keyed.filter(task => task.settings.stage.index === stage)
  }

  /** Live fields of an actor. `stage`: name of the stage or of the actor. */
  stateOf(stage: string, key: Key): Record<string, unknown> | undefined {
    for (const task of this.tasksOf(stage)) {
      const state = task.stateOf(key)
      if (state !== undefined) return state
    }
    return undefined
  }

  /** Keyed tasks by the name of their stage or actor. */
  tasksOf(stage: string): KeyedTask[] {
    return this.topology.keyed.filter(task => task.stage === stage || task.settings.definition.name === stage)
  }

  /** Keys in quarantine, by stage. */
  parked(): { readonly stage: string; readonly line: ParkedLine }[] {
    return this.topology.keyed.flatMap(({ stage, state }) => state.quarantine.lines().map(line => ({ stage, line })))
  }

  /** The task of the stage, or actor, that has the key; undefined where it is not here. */
  keyedTaskOf({ stage, key }: Pick<QuarantineCommand, 'stage' | 'key'>): KeyedTask | undefined {
    const { keyGroups, slots } = this.settings.graph.plan
    const slot = keyGroupOf(encodeKey(key), keyGroups) % slots
    return this.tasksOf(stage).find(task => task.settings.owned.includes(slot))
  }

  /** What the leader is to know. */
  get status(): WorkerStatus {
    let [recovered, settled, unpublished] = [true, true, 0]
    for (const slot of this.slots.values()) {
      recovered &&= slot.recovered
      settled &&= slot.settled
      unpublished = Math.max(unpublished, slot.unpublishedEpochs)
    }
    return {
      changed: this.changed,
      finished: this.tasks.every(task => task.finished),
      resting: this.resting,
      standing: this.standing,
      parkedKeys: this.topology.keyed.reduce((sum, task) => sum + task.state.quarantine.keys.size, 0),
      recovered,
      settled,
      decided: this.newestDecided,
      unpublished,
      pendingBytes: this.pendingBytes,
      written: this.newestWritten,
      ...(this.declinedEpoch === undefined ? {} : { declined: this.declinedEpoch })
    }
  }

  // ---- the machine

  step(command: Command, moment: Moment): Action[] {
    this.moment = moment
    switch (command.kind) {
      case 'grown':
        for (const each of command.partitions) this.joined(command.stage, each)
        break
      case 'fetched':
        this.sourceOf(command.stage, command.partition).fetched(command.partition, command.result)
        break
      case 'settled': {
        const settle = this.awaiting.get(command.token)
        this.awaiting.delete(command.token)
        settle?.(command.failure)
        break
      }
      case 'loaded':
        command.task.loaded(command.entries)
        break
      case 'page-loaded':
        command.task.pageLoaded(command.page)
        break
      case 'written':
        this.written(command.epoch, command.task)
        break
      case 'write-failed':
        if (this.inFlight?.epoch === command.epoch)
          this.declinedEpoch = { epoch: command.epoch, message: command.message }
        break
      case 'trigger':
        this.trigger(command.epoch, command.last)
        break
      case 'abandon':
        this.abandon(command.epoch)
        break
      case 'appended':
        this.appends.ended(command)
        break
      case 'decided':
        this.decided(command)
        break
      case 'applied':
        for (const task of this.topology.keyed) task.state.applied(command.epoch)
        break
      case 'unspilled':
        command.channel.unspill(command.batch, decodeBatch(command.bytes))
        break
      case 'initialised':
        this.actions.push(command.slot.initialised())
        break
      case 'unreachable':
        this.pushSlot(command.slot.unreachable())
        break
      case 'ledger':
        this.pushSlot(command.slot.ledgerRead(command.entry))
        break
      case 'published':
        this.pushSlot(command.slot.published(command.outcome, command.entry))
        break
      case 'noted':
        this.pushSlot(command.slot.noted(command.outcome))
        break
      case 'frames':
        for (const frame of command.frames) this.frame(command.peer, frame)
        break
      case 'drain':
        this.stopSources()
        break
      case 'operate':
        this.keyedTaskOf(command.command)?.release.take(command.command)
        break
      case 'tick':
        break
    }
    return this.after()
  }

  /** Handles up to about `budget` events a task. `busy`: there is more to do at once. */
  work(budget: number, moment: Moment): { readonly busy: boolean; readonly actions: Action[] } {
    this.moment = moment
    const nowMs = moment.wallMs
    let busy = false
    for (const [index, task] of this.tasks.entries()) {
      const began = this.measure()
      if (task instanceof KeyedTask) {
        if ((task.nextAlarmAt() ?? Infinity) <= nowMs) busy = task.fireAlarms(nowMs) || busy
        this.encode(task)
      }
      const worked = task.work(budget)
      if (worked) busy = true
      this.timed(index, task, worked ? this.measure() - began : undefined)
    }
    return { busy, actions: this.after() }
  }

  private encode({ state }: KeyedTask): void {
    const began = this.measure()
    state.encodeSome(this.settings.encodeSlice ?? defaultEncodeSlice)
    this.encodedMs += this.measure() - began
  }

  /** Spent on encoding what checkpoints hold; undefined where nobody measures. */
  get encodeMs(): number | undefined {
    return this.settings.measure === undefined ? undefined : this.encodedMs
  }

  /** Milliseconds until time alone may move something. */
  nextDelayMs(): number | undefined {
    let delay: number | undefined
    for (const task of this.tasks) {
      const own = task.nextDelayMs()
      if (own !== undefined && (delay === undefined || own < delay)) delay = own
    }
    return delay
  }

  get changed(): boolean {
    return this.tasks.some(task => task.changed)
  }

  get counts(): WorkerCounts {
    return countsOf(this.topology)
  }

  private timed(index: number, task: Task, batchMs: number | undefined): void {
    const times = this.times[index] as TaskTimes
    if (batchMs !== undefined) times.batches.add(batchMs)
    const paused = !(task instanceof KeyedTask) && task.paused && !task.finished
    times.look(this.moment.elapsedMs, task.settings.outputs.blocked, paused)
  }

  /** One of each stage. @param elapsedMs now */
  stageGauges(elapsedMs: number): StageGauges[] {
    return stageGaugesOf(this.topology, this.times, elapsedMs)
  }

  /** Beyond these a task waits. */
  get limits(): { readonly pendingBytes: number; readonly queueRecords: number } {
    const { pendingLimitBytes, channelLimits = usualChannelLimits } = this.settings
    return { pendingBytes: pendingLimitBytes, queueRecords: channelLimits.queueRecords }
  }

  get fullness(): Fullness {
    return { ...fullnessOf(this.topology), pendingBytes: this.pendingBytes }
  }

  private joined(stage: number, progress: PartitionProgress): void {
    const { slots } = this.settings.assignment
    const owner = slots[progress.partition % slots.length]
    const source = this.topology.sources.find(
      ({ settings }) => settings.stage.index === stage && settings.task === owner
    )
    source?.join(progress)
  }

  private sourceOf(stage: number, partition: number): SourceTask {
    const source = this.topology.sources.find(
      each => each.settings.stage.index === stage && each.partitions.some(({ number }) => number === partition)
    )
    assert(source !== undefined, `no source of stage ${stage}, partition ${partition}`)
    return source
  }

  private after(): Action[] {
    this.ship()
    this.collect()
    this.exchange()
    for (const loop of this.topology.loops) this.spill(loop)
    const paused = this.pendingBytes >= this.settings.pendingLimitBytes
    for (const task of this.topology.keyed) task.paused = paused
    for (const source of this.topology.sources) {
      source.paused = paused
      for (const want of source.wanted())
        this.actions.push({ kind: 'fetch', stage: source.settings.stage.index, ...want })
    }
    return this.actions.splice(0)
  }

  /** Loops have come to rest here, it seems; only a checkpoint can tell. */
  private get resting(): boolean {
    const { keyed } = this.topology
    return keyed.some(task => task.awaitsLoopEnd) && !keyed.some(task => task.standsInLoop) && this.atEnd
  }

  /** Only what operators release could move it on. */
  private get standing(): boolean {
    return this.atEnd && !this.changed
  }

  private get atEnd(): boolean {
    const { sources, keyed } = this.topology
    return sources.every(task => task.finished) && keyed.every(task => task.idle)
  }

  private get pendingBytes(): number {
    let bytes = this.appends.sizeBytes
    for (const task of this.tasks) bytes += task.pendingBytes
    return bytes
  }

  private ship(): void {
    for (const task of this.tasks) {
      const loose = task.settings.outputs.takeLoose()
      if (loose === undefined) continue
      for (const [sink, records] of loose) this.appends.add(sink, records)
    }
    for (const append of this.appends.begin()) this.actions.push({ kind: 'append', ...append })
  }

  private trigger(epoch: number, last: boolean): void {
    if (epoch <= this.triggered) return
    this.abandon(epoch - 1)
    this.triggered = epoch
    if (last) this.stopSources()
    this.inFlight = { epoch, missing: new Set(this.tasks) }
    for (const source of this.topology.sources) source.barrier(epoch)
  }

  private stopSources(): void {
    for (const source of this.topology.sources) source.stopped = true
  }

  private frame(peer: string, frame: Frame): void {
    if (frame.kind === 'hello') throw new CodedError('FRAME_MALFORMED', `worker "${peer}" introduced itself twice`)
    if (frame.kind === 'ping') return
    const key = channelKey(frame.channel)
    const channel = frame.kind === 'element' ? this.topology.incoming.get(key) : this.topology.outgoing.get(key)
    if (channel?.peer !== peer)
      throw new CodedError('FRAME_MALFORMED', `worker "${peer}" has no channel ${key} to this one`)
    if (frame.kind === 'credit') this.topology.outgoing.get(key)?.credited(frame.sizeBytes)
    else this.topology.incoming.get(key)?.receive(frame)
  }

  private exchange(): void {
    for (const channel of this.topology.outgoing.values())
      for (const frame of channel.take()) this.actions.push({ kind: 'send', peer: channel.peer, frame })
    for (const channel of this.topology.incoming.values()) {
      const frame = channel.takeCredit()
      if (frame !== undefined) this.actions.push({ kind: 'send', peer: channel.peer, frame })
    }
  }

  /** What a loop holds beyond its limit goes out of memory, and comes back before its turn. */
  private spill({ backlog, channels }: LoopEnds): void {
    for (const channel of channels) {
      if (backlog.spilled > 0)
        for (const batch of channel.wanted()) this.actions.push({ kind: 'unspill', channel, batch })
      while (this.settings.spills && backlog.heavy) {
        const spilled = channel.spill()
        if (spilled === undefined) break
        reached('worker: a batch of a loop put aside')
        this.actions.push({ kind: 'spill', batch: spilled.batch, bytes: encodeBatch(spilled.columns) })
      }
    }
  }

  /** Hands finished snapshots to the shell once the loose records before them are confirmed. */
  private collect(): void {
    const epoch = this.inFlight?.epoch
    if (epoch === undefined) return
    for (const task of this.tasks) {
      if (task instanceof KeyedTask) {
        task.sealFinished(epoch)
        const taken = task.takeSnapshot()
        if (taken === undefined) continue
        const { writer: state, ...rest } = taken
        this.finished({ ...rest, task, state, positions: [] })
      } else {
        const taken = task.takeSnapshot()
        if (taken === undefined) continue
        this.finished({ task, state: undefined, unindexed: [], watermarks: [], loop: undefined, ...taken })
      }
    }
    const waiting = this.snapshots.findIndex(({ append }) => !this.appends.confirmed(append))
    for (const { snapshot } of this.snapshots.splice(0, waiting < 0 ? Infinity : waiting))
      this.actions.push({ kind: 'write', epoch, snapshot })
  }

  private finished(snapshot: TaskSnapshot): void {
    this.snapshots.push({ snapshot, append: this.appends.newest })
  }

  private written(epoch: number, task: Task): void {
    const { inFlight } = this
    if (inFlight?.epoch !== epoch) return
    inFlight.missing.delete(task)
    if (inFlight.missing.size === 0) this.newestWritten = epoch
  }

  private abandon(epoch: number): void {
    const { inFlight } = this
    if (inFlight === undefined || inFlight.epoch > epoch) return
    reached('worker: an epoch abandoned')
    this.abandonedEpochs++
    this.inFlight = undefined
    this.snapshots.length = 0
    for (const task of this.tasks) task.abandon(inFlight.epoch)
    this.actions.push({ kind: 'forget', epoch: inFlight.epoch })
  }

  private decided({ epoch, chunks, positions, loops }: Extract<Command, { kind: 'decided' }>): void {
    if (epoch <= this.newestDecided) return
    assert(this.newestWritten === epoch, `epoch ${epoch} was decided without this worker`)
    this.inFlight = undefined
    this.newestDecided = epoch
    for (const task of this.tasks) task.decided(epoch)
    for (const { stages, step } of loops)
      for (const task of this.topology.keyed) if (stages.includes(task.stage)) task.endLoop(step)
    for (const slot of new Set([...chunks.keys(), ...(positions?.keys() ?? [])])) {
      slot.decided(epoch, chunks.get(slot) ?? [], positions?.get(slot))
      this.pushSlot(slot.next())
    }
  }

  private pushSlot(action: SlotAction | undefined): void {
    if (action !== undefined) this.actions.push(action)
  }
}
