/**
 * The worker machine: every task of the job in this process, one epoch in flight, and the slots. No I/O: `step` takes what
 * happened and returns what to do; `work` handles a bounded number of events.
 *
 *   trigger n ─► sources put barrier n in band ─► every task seals, writes delta and outbox ─► all acknowledged
 *      ─► complete (manifest, then decision, by the shell) ─► decided n ─► slots publish outboxes ≤ n
 *
 * Invariants
 * 1. One epoch in flight; epoch numbers grow by one and never repeat within the generation.
 * 2. Nothing of epoch n is published before n is decided.
 * 3. No epoch completes before every slot was fenced and its ledger read.
 * 4. A task acknowledges n only when its files are durable and all its at-least-once records of epochs ≤ n are confirmed.
 * 5. When too much waits for a checkpoint the sources pause: memory stays within its limit whatever storage does.
 */
import { Coordinator } from '../../checkpoint/coordinator.ts'
import type { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import type { StateFileWriter } from '../../checkpoint/state-file.ts'
import { assert } from '../kernel/errors.ts'
import type { Key } from '../kernel/keys.ts'
import type { Fetched, OutputRecord } from '../ports/log.ts'
import type { LedgerEntry, PublishOutcome } from '../ports/publisher.ts'
import { KeyedTask } from './keyed-task.ts'
import type { DecidedChunk, SlotAction, SlotMachine } from './slot-machine.ts'
import type { PartitionProgress, SourceTask } from './source-task.ts'
import type { LoadedEntry, TimerPage } from './task-state.ts'
import { buildTopology, type Task, type Topology, type TopologySettings } from './topology.ts'

export type Command =
  | { readonly kind: 'fetched'; readonly stage: number; readonly partition: number; readonly result: Fetched }
  | { readonly kind: 'settled'; readonly token: number; readonly failure: { readonly error: unknown } | undefined }
  | { readonly kind: 'loaded'; readonly task: KeyedTask; readonly entries: readonly LoadedEntry[] }
  | { readonly kind: 'page-loaded'; readonly task: KeyedTask; readonly page: TimerPage }
  | { readonly kind: 'written'; readonly epoch: number; readonly task: Task }
  /** A file of the epoch could not be stored; no decision was attempted. */
  | {
      readonly kind: 'write-failed'
      readonly epoch: number
      readonly what: 'write' | 'manifest'
      readonly message: string
    }
  /** The manifest is durable and its decision is being attempted. */
  | { readonly kind: 'attempted'; readonly epoch: number }
  | {
      readonly kind: 'decided'
      readonly epoch: number
      readonly chunks: ReadonlyMap<SlotMachine, readonly DecidedChunk[]>
    }
  /** The store holds everything up to this epoch. */
  | { readonly kind: 'applied'; readonly epoch: number }
  | { readonly kind: 'appended'; readonly sink: string }
  | { readonly kind: 'initialised'; readonly slot: SlotMachine }
  | { readonly kind: 'ledger'; readonly slot: SlotMachine; readonly entry: LedgerEntry | undefined }
  | {
      readonly kind: 'published'
      readonly slot: SlotMachine
      readonly outcome: PublishOutcome
      readonly entry: LedgerEntry
    }
  | { readonly kind: 'checkpoint'; readonly savepoint?: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'tick' }

export interface TaskSnapshot {
  readonly task: Task
  readonly state: StateFileWriter | undefined
  /** Index keys that a local store must drop with this epoch. */
  readonly unindexed: readonly Uint8Array[]
  readonly outbox: OutboxFileWriter | undefined
  readonly positions: readonly PartitionProgress[]
  readonly watermarks: readonly { readonly slot: number; readonly time: number }[]
  readonly finished: boolean
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
  | { readonly kind: 'append'; readonly sink: string; readonly records: readonly OutputRecord[] }
  | {
      readonly kind: 'complete'
      readonly epoch: number
      readonly final: boolean
      readonly savepoints: readonly string[]
    }
  /** Forget the epoch: its changes belong to the next one. */
  | { readonly kind: 'abandon'; readonly epoch: number; readonly reason: string }
  | SlotAction
  | { readonly kind: 'finished'; readonly how: 'finished' | 'drained' }

export interface WorkerSettings extends TopologySettings {
  readonly intervalMs: number
  /** Bytes of changes and outputs that may wait for a checkpoint. */
  readonly pendingLimitBytes?: number
  /** A checkpoint that takes longer is abandoned. */
  readonly checkpointTimeoutMs?: number
}

/** More would be lost time after a crash and memory now; half of it asks for a checkpoint at once. */
const defaultPendingLimitBytes = 128 * 1024 * 1024
const defaultCheckpointTimeoutMs = 600_000

export interface WorkerCounts {
  readonly events: number
  readonly recordsRead: number
  readonly late: number
  readonly deadLetters: number
  /** In memory. */
  readonly keys: number
  readonly lag: number | undefined
  readonly watermark: number | undefined
}

export class Worker {
  now = 0
  private readonly settings: WorkerSettings
  private readonly topology: Topology
  private readonly coordinator: Coordinator<Task>
  private readonly pendingLimitBytes: number
  private readonly awaiting = new Map<number, (failure: { readonly error: unknown } | undefined) => void>()
  private readonly actions: Action[] = []
  private nextToken = 1
  private readonly snapshots: TaskSnapshot[] = []
  /** Appends under way, by sink. */
  private readonly appending = new Set<string>()
  private readonly appendQueue = new Map<string, OutputRecord[]>()
  /** Every slot was fenced and its ledger read. */
  private recovered = false
  private draining = false
  private ended = false
  /** The epoch in flight is the last of this run: nothing is read any more. */
  private lastTriggered = false
  private lastDecided = false

  constructor(settings: WorkerSettings) {
    this.settings = settings
    this.pendingLimitBytes = settings.pendingLimitBytes ?? defaultPendingLimitBytes
    this.coordinator = new Coordinator({
      intervalMs: settings.intervalMs,
      timeoutMs: settings.checkpointTimeoutMs ?? defaultCheckpointTimeoutMs,
      pendingLimitBytes: this.pendingLimitBytes,
      epoch: settings.epoch
    })
    this.topology = buildTopology(settings, {
      now: () => this.now,
      awaitHandler: (promise, settled) => {
        const token = this.nextToken++
        this.awaiting.set(token, settled)
        this.actions.push({ kind: 'await', token, promise })
      },
      load: (task, keys) => this.actions.push({ kind: 'load', task, keys }),
      page: (task, clock, after, upTo) => this.actions.push({ kind: 'page', task, clock, after, upTo })
    })
    for (const slot of this.slots.values()) this.pushSlot(slot.next())
  }

  // ---- what others ask

  get slots(): ReadonlyMap<string, SlotMachine> {
    return this.topology.slots
  }
  get tasks(): readonly Task[] {
    return this.topology.tasks
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

  /** Why no checkpoint completes at the moment, undefined when all is well. */
  get trouble(): string | undefined {
    return this.coordinator.lastFailure?.message
  }

  /** When the newest barrier was put in band. */
  triggeredAt = 0

  get pendingEpoch(): number | undefined {
    return this.coordinator.pending?.epoch
  }

  // ---- the machine

  step(command: Command, nowMs: number): Action[] {
    this.begin(nowMs)
    switch (command.kind) {
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
        this.acknowledge(command.epoch, command.task)
        break
      case 'write-failed':
        this.abandon(this.coordinator.failed(command.epoch, command.what, command.message))
        break
      case 'attempted':
        this.coordinator.attempted(command.epoch)
        break
      case 'appended':
        this.appending.delete(command.sink)
        break
      case 'decided':
        this.decided(command.epoch, command.chunks)
        break
      case 'applied':
        for (const task of this.topology.keyed) task.state.applied(command.epoch)
        break
      case 'initialised':
        this.actions.push(command.slot.initialised())
        break
      case 'ledger':
        this.pushSlot(command.slot.ledgerRead(command.entry))
        break
      case 'published':
        this.pushSlot(command.slot.published(command.outcome, command.entry))
        break
      case 'checkpoint':
        this.coordinator.request(command.savepoint)
        break
      case 'drain':
        this.draining = true
        for (const source of this.topology.sources) source.stopped = true
        break
      case 'tick':
        break
    }
    return this.after()
  }

  /** Handles up to about `budget` events a task. `busy`: there is more to do at once. */
  work(budget: number, nowMs: number): { readonly busy: boolean; readonly actions: Action[] } {
    this.begin(nowMs)
    let busy = false
    for (const task of this.tasks) {
      if (task instanceof KeyedTask && (task.nextAlarmAt() ?? Infinity) <= nowMs) busy = task.fireAlarms(nowMs) || busy
      if (task.work(budget)) busy = true
    }
    return { busy, actions: this.after() }
  }

  nextDeadlineMs(): number | undefined {
    if (this.ended) return undefined
    let deadline = this.coordinator.nextDeadlineMs(this.changed)
    for (const task of this.tasks) {
      const at = task instanceof KeyedTask ? task.nextAlarmAt() : task.nextDeadlineMs()
      if (at !== undefined && (deadline === undefined || at < deadline)) deadline = at
    }
    return deadline
  }

  get changed(): boolean {
    return this.tasks.some(task => task.changed)
  }

  get counts(): WorkerCounts {
    const counts = { events: 0, recordsRead: 0, late: 0, deadLetters: 0, keys: 0 }
    let lag: number | undefined = 0
    let watermark = Infinity
    for (const task of this.topology.keyed) {
      counts.events += task.events
      counts.late += task.late
      counts.deadLetters += task.deadLetters
      counts.keys += task.state.entries.size
    }
    for (const task of this.topology.sources) {
      counts.recordsRead += task.records
      counts.deadLetters += task.deadLetters
      lag = lag === undefined || task.lag === undefined ? undefined : lag + task.lag
      if (!task.finished) watermark = Math.min(watermark, task.watermark)
    }
    return { ...counts, lag, watermark: Number.isFinite(watermark) ? watermark : undefined }
  }

  private begin(nowMs: number): void {
    if (this.now === 0) this.coordinator.started(nowMs)
    this.now = nowMs
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
    this.abandon(this.coordinator.timedOut(this.now))
    this.trigger()
    this.collect()
    this.finish()
    const paused = this.pendingBytes >= this.pendingLimitBytes
    for (const source of this.topology.sources) {
      source.paused = paused
      for (const want of source.wanted())
        this.actions.push({ kind: 'fetch', stage: source.settings.stage.index, ...want })
    }
    return this.actions.splice(0)
  }

  private get pendingBytes(): number {
    let bytes = 0
    for (const task of this.tasks) bytes += task.pendingBytes
    return bytes
  }

  private ship(): void {
    for (const task of this.tasks) {
      const loose = task.settings.outputs.takeLoose()
      if (loose === undefined) continue
      for (const [sink, records] of loose) {
        const queue = this.appendQueue.get(sink)
        if (queue === undefined) this.appendQueue.set(sink, records)
        else for (const record of records) queue.push(record)
      }
    }
    for (const [sink, records] of this.appendQueue) {
      if (this.appending.has(sink)) continue
      this.appendQueue.delete(sink)
      this.appending.add(sink)
      this.actions.push({ kind: 'append', sink, records })
    }
  }

  private trigger(): void {
    if (this.ended || this.lastDecided || this.coordinator.pending !== undefined) return
    this.recovered ||= [...this.slots.values()].every(slot => slot.recovered)
    const ending = this.isEnding()
    const view = {
      now: this.now,
      changed: this.changed,
      ending,
      recovered: this.recovered,
      unpublished: Math.max(0, ...[...this.slots.values()].map(slot => slot.unpublishedEpochs)),
      pendingBytes: this.pendingBytes
    }
    if (!this.coordinator.shouldTrigger(view)) return
    this.lastTriggered = ending
    this.triggeredAt = this.now
    const final = ending && this.tasks.every(task => task.finished)
    const { epoch } = this.coordinator.trigger(this.now, this.tasks, final)
    for (const source of this.topology.sources) source.barrier(epoch)
  }

  /** All that was read is handled, and no more will be: the checkpoint taken now is the last. */
  private isEnding(): boolean {
    if (!this.topology.keyed.every(task => task.idle)) return false
    return this.draining || this.tasks.every(task => task.finished)
  }

  /** Hands finished snapshots to the shell once the loose records before them are confirmed. */
  private collect(): void {
    const epoch = this.coordinator.pending?.epoch
    if (epoch === undefined) return
    for (const task of this.tasks) {
      if (task instanceof KeyedTask) {
        task.sealFinished(epoch)
        const taken = task.takeSnapshot()
        if (taken === undefined) continue
        const { writer: state, unindexed, outbox, watermarks, finished } = taken
        this.snapshots.push({ task, state, unindexed, outbox, positions: [], watermarks, finished })
      } else {
        const taken = task.takeSnapshot()
        if (taken === undefined) continue
        this.snapshots.push({ task, state: undefined, unindexed: [], watermarks: [], ...taken })
      }
    }
    if (this.appending.size > 0 || this.appendQueue.size > 0) return
    for (const snapshot of this.snapshots.splice(0)) this.actions.push({ kind: 'write', epoch, snapshot })
  }

  private acknowledge(epoch: number, task: Task): void {
    if (this.coordinator.acknowledge(epoch, task) !== 'complete') return
    const { final, savepoints } = this.coordinator.pending as { final: boolean; savepoints: readonly string[] }
    this.actions.push({ kind: 'complete', epoch, final, savepoints })
  }

  private abandon(epoch: number | undefined): void {
    if (epoch === undefined) return
    this.snapshots.length = 0
    for (const task of this.tasks) task.abandon(epoch)
    this.actions.push({ kind: 'abandon', epoch, reason: this.coordinator.lastFailure?.message ?? '' })
  }

  private decided(epoch: number, chunks: ReadonlyMap<SlotMachine, readonly DecidedChunk[]>): void {
    this.coordinator.decided(epoch)
    for (const task of this.tasks) task.decided(epoch)
    this.lastDecided = this.lastTriggered
    for (const [slot, list] of chunks) {
      slot.decided(epoch, list)
      this.pushSlot(slot.next())
    }
  }

  private finish(): void {
    if (this.ended || !this.lastDecided) return
    if (![...this.slots.values()].every(slot => slot.settled)) return
    this.ended = true
    this.actions.push({ kind: 'finished', how: this.tasks.every(task => task.finished) ? 'finished' : 'drained' })
  }

  private pushSlot(action: SlotAction | undefined): void {
    if (action !== undefined) this.actions.push(action)
  }
}
