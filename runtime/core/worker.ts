/**
 * The worker machine: every task of the job in this process, the channels between them, one epoch in flight, and the slots.
 * No I/O: `step` takes what happened and returns what to do; `work` handles a bounded number of events.
 *
 *   trigger n ─► sources put barrier n in band ─► every task seals, writes delta and outbox ─► all acknowledged
 *      ─► complete (manifest, then decision, by the shell) ─► decided n ─► slots publish outboxes ≤ n
 *
 * Invariants
 * 1. One epoch in flight; epoch numbers grow by one and never repeat within the lineage.
 * 2. Nothing of epoch n is published before n is decided.
 * 3. No epoch completes before every slot was fenced and its ledger read.
 * 4. A task acknowledges n only when its files are durable and all its at-least-once records of epochs ≤ n are confirmed.
 */
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import type { SinkNode } from '../../actors/plan.ts'
import type { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import type { StateFileWriter } from '../../checkpoint/state-file.ts'
import { bestDelivery } from '../../actors/connectors.ts'
import { assert } from '../kernel/errors.ts'
import type { Key } from '../kernel/keys.ts'
import type { Fetched, OutputRecord } from '../ports/log.ts'
import type { LedgerEntry, PublishOutcome, SlotName } from '../ports/publisher.ts'
import { Channel } from './channel.ts'
import { KeyedTask, type DeadLetter } from './keyed-task.ts'
import { SlotMachine, type DecidedChunk, type SlotAction } from './slot-machine.ts'
import { SourceTask, type PartitionProgress } from './source-task.ts'
import type { Stage, StageGraph } from './stage-graph.ts'
import { TaskOutputs, type SinkLimits } from './task-outputs.ts'

export type Command =
  | { readonly kind: 'fetched'; readonly stage: number; readonly partition: number; readonly result: Fetched }
  | { readonly kind: 'settled'; readonly token: number; readonly failure: { readonly error: unknown } | undefined }
  | { readonly kind: 'written'; readonly stage: number; readonly task: number }
  | { readonly kind: 'appended'; readonly sink: string }
  | {
      readonly kind: 'decided'
      readonly epoch: number
      readonly chunks: ReadonlyMap<SlotMachine, readonly DecidedChunk[]>
    }
  | { readonly kind: 'initialised'; readonly slot: SlotMachine }
  | { readonly kind: 'ledger'; readonly slot: SlotMachine; readonly entry: LedgerEntry | undefined }
  | {
      readonly kind: 'published'
      readonly slot: SlotMachine
      readonly outcome: PublishOutcome
      readonly entry: LedgerEntry
    }
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'drain' }
  | { readonly kind: 'tick' }

export interface TaskSnapshot {
  readonly stage: number
  readonly task: number
  readonly state: StateFileWriter | undefined
  readonly outbox: OutboxFileWriter | undefined
  readonly positions: readonly PartitionProgress[]
  readonly watermark: number
  readonly finished: boolean
}

export type Action =
  | { readonly kind: 'fetch'; readonly stage: number; readonly partition: number; readonly position: number }
  | { readonly kind: 'await'; readonly token: number; readonly promise: Promise<unknown> }
  | { readonly kind: 'write'; readonly epoch: number; readonly snapshot: TaskSnapshot }
  | { readonly kind: 'append'; readonly sink: string; readonly records: readonly OutputRecord[] }
  | { readonly kind: 'complete'; readonly epoch: number; readonly final: boolean }
  | SlotAction
  | { readonly kind: 'finished'; readonly how: 'finished' | 'drained' }

export interface WorkerSettings {
  readonly graph: StageGraph
  readonly lineage: number
  readonly generation: number
  readonly owner: string
  /** Newest decided epoch. */
  readonly epoch: number
  readonly intervalMs: number
  readonly definitions: ReadonlyMap<string, ActorDefinition>
  readonly schemas: ReadonlyMap<string, { readonly list: readonly StoredActorSchema[]; readonly index: number }>
  readonly partitions: ReadonlyMap<string, readonly PartitionProgress[]>
  readonly limits: ReadonlyMap<string, SinkLimits>
  /** Floors of slots that have ever been written, by `slotKey`. */
  readonly floors: ReadonlyMap<string, { readonly epoch: number; readonly chunk: number }>
  readonly onTap?: (handle: string, value: unknown) => void
}

export const deadLettersName = 'dead-letters'
export const slotKey = (slot: Pick<SlotName, 'sink' | 'stage' | 'slot'>): string =>
  `${slot.sink}/${slot.stage}/${slot.slot}`

type Task = SourceTask | KeyedTask

export class Worker {
  readonly slots = new Map<string, SlotMachine>()
  epoch: number
  now = 0
  private readonly settings: WorkerSettings
  private readonly tasks: Task[] = []
  private readonly sources: SourceTask[] = []
  private readonly keyed: KeyedTask[] = []
  private readonly awaiting = new Map<number, (failure: { readonly error: unknown } | undefined) => void>()
  private readonly actions: Action[] = []
  private nextToken = 1
  private inFlight:
    | {
        readonly epoch: number
        readonly missing: Set<Task>
        /** Of this run: nothing is read any more. */
        readonly last: boolean
        /** Of the job: its input has ended. A drained job goes on when it is started again. */
        readonly final: boolean
        completing: boolean
      }
    | undefined
  private readonly snapshots = new Map<Task, TaskSnapshot>()
  /** Appends under way, by sink. */
  private readonly appending = new Set<string>()
  private readonly appendQueue = new Map<string, OutputRecord[]>()
  private lastCheckpointAt = 0
  private requested = false
  private draining = false
  private ended = false
  private lastDecided = false

  constructor(settings: WorkerSettings) {
    this.settings = settings
    this.epoch = settings.epoch
    this.build()
  }

  // ---- what tasks need

  task(stage: number, task: number): Task {
    const found = this.tasks.find(
      candidate => candidate.settings.stage.index === stage && candidate.settings.task === task
    )
    assert(found !== undefined, `no task ${stage}/${task}`)
    return found
  }

  keyedTasks(stage: number): KeyedTask[] {
    return this.keyed.filter(task => task.settings.stage.index === stage)
  }

  get allTasks(): readonly Task[] {
    return this.tasks
  }

  stateOf(stage: string, key: Key): Record<string, unknown> | undefined {
    for (const task of this.keyed) {
      if (task.stage !== stage && task.settings.definition.name !== stage) continue
      const state = task.stateOf(key)
      if (state !== undefined) return state
    }
    return undefined
  }

  // ---- the machine

  step(command: Command, nowMs: number): Action[] {
    this.now = nowMs
    switch (command.kind) {
      case 'fetched':
        for (const source of this.sources)
          if (
            source.settings.stage.index === command.stage &&
            source.partitions.some(each => each.number === command.partition)
          )
            source.fetched(command.partition, command.result)
        break
      case 'settled': {
        const settle = this.awaiting.get(command.token)
        this.awaiting.delete(command.token)
        settle?.(command.failure)
        break
      }
      case 'written':
        this.acknowledge(this.task(command.stage, command.task))
        break
      case 'appended':
        this.appending.delete(command.sink)
        break
      case 'decided':
        this.decided(command.epoch, command.chunks)
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
        this.requested = true
        break
      case 'drain':
        this.draining = true
        for (const source of this.sources) source.stopped = true
        break
      case 'tick':
        break
    }
    return this.after()
  }

  /** Handles up to about `budget` events. `busy`: there is more to do at once. */
  work(budget: number, nowMs: number): { readonly busy: boolean; readonly actions: Action[] } {
    this.now = nowMs
    let busy = false
    for (const task of this.tasks) {
      if (task instanceof KeyedTask && (task.nextAlarmAt() ?? Infinity) <= nowMs) busy = task.fireAlarms(nowMs) || busy
      if (task.work(budget)) busy = true
    }
    return { busy, actions: this.after() }
  }

  nextDeadlineMs(): number | undefined {
    const deadlines: number[] = []
    if (this.inFlight === undefined && !this.ended && this.changed)
      deadlines.push(this.lastCheckpointAt + this.settings.intervalMs)
    for (const task of this.tasks) {
      const at = task instanceof KeyedTask ? task.nextAlarmAt() : task.nextDeadlineMs()
      if (at !== undefined) deadlines.push(at)
    }
    return deadlines.length === 0 ? undefined : Math.min(...deadlines)
  }

  /** Nothing is left to handle: inputs caught up, channels empty, no checkpoint or publication under way. */
  get quiet(): boolean {
    return (
      this.inFlight === undefined &&
      !this.changed &&
      this.appending.size === 0 &&
      this.keyed.every(task => task.idle) &&
      [...this.slots.values()].every(slot => slot.settled)
    )
  }

  get changed(): boolean {
    return this.tasks.some(task => task.changed)
  }

  get counts(): {
    events: number
    recordsRead: number
    late: number
    deadLetters: number
    keys: number
    lag: number | undefined
    watermark: number | undefined
  } {
    let events = 0
    let recordsRead = 0
    let late = 0
    let deadLetters = 0
    let keys = 0
    let lag: number | undefined = 0
    let watermark = Infinity
    for (const task of this.keyed) {
      events += task.events
      late += task.late
      deadLetters += task.deadLetters
      keys += task.entries.size
    }
    for (const task of this.sources) {
      recordsRead += task.records
      deadLetters += task.deadLetters
      lag = lag === undefined || task.lag === undefined ? undefined : lag + task.lag
      if (!task.finished) watermark = Math.min(watermark, task.watermark)
    }
    return {
      events,
      recordsRead,
      late,
      deadLetters,
      keys,
      lag,
      watermark: Number.isFinite(watermark) ? watermark : undefined
    }
  }

  private after(): Action[] {
    for (const source of this.sources)
      for (const want of source.wanted())
        this.actions.push({ kind: 'fetch', stage: source.settings.stage.index, ...want })
    this.ship()
    this.trigger()
    this.collect()
    this.finish()
    return this.actions.splice(0)
  }

  private ship(): void {
    for (const task of this.tasks) {
      const loose = task.settings.outputs.takeLoose()
      if (loose !== undefined)
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
    if (this.inFlight !== undefined || this.ended) return
    const ending = this.isEnding()
    const due = this.now >= this.lastCheckpointAt + this.settings.intervalMs
    if (!ending && !(this.changed && (due || this.requested))) {
      if (this.requested && !this.changed && this.keyed.every(task => task.idle)) this.requested = false
      return
    }
    if (ending && this.lastDecided) return
    if (![...this.slots.values()].every(slot => slot.recovered)) return
    this.requested = false
    this.lastCheckpointAt = this.now
    const epoch = ++this.epoch
    const final = ending && this.tasks.every(task => task.finished)
    this.inFlight = { epoch, missing: new Set(this.tasks), last: ending, final, completing: false }
    for (const source of this.sources) {
      if (source.finished) this.sealSource(source)
      else source.barrier(epoch)
    }
  }

  /** All that was read is handled, and no more will be: the checkpoint taken now is the last. */
  private isEnding(): boolean {
    const drained = this.draining && this.keyed.every(task => task.idle) && this.sources.every(source => source.stopped)
    const finished = this.tasks.every(task => task.finished) && this.keyed.every(task => task.idle)
    return drained || finished
  }

  private sealSource(source: SourceTask): void {
    source.changed = false
    this.snapshot(source, undefined, source.progress())
  }

  private snapshot(task: Task, state: StateFileWriter | undefined, positions: readonly PartitionProgress[]): void {
    const outbox = this.pendingOutboxes.get(task) ?? task.settings.outputs.sealOutbox()
    this.pendingOutboxes.delete(task)
    this.snapshots.set(task, {
      stage: task.settings.stage.index,
      task: task.settings.task,
      state,
      outbox,
      positions,
      watermark: task instanceof KeyedTask ? task.watermark() : task.watermark,
      finished: task.finished
    })
  }

  private readonly pendingOutboxes = new Map<Task, OutboxFileWriter>()

  /** Hands finished snapshots to the shell once the loose records before them are confirmed. */
  private collect(): void {
    const inFlight = this.inFlight
    if (inFlight === undefined) return
    for (const task of this.keyed) {
      task.sealFinished(inFlight.epoch)
      const taken = task.takeSnapshot()
      if (taken !== undefined) this.snapshot(task, taken.writer, [])
    }
    if (this.appending.size > 0 || this.appendQueue.size > 0) return
    for (const [task, snapshot] of this.snapshots) {
      this.snapshots.delete(task)
      this.actions.push({ kind: 'write', epoch: inFlight.epoch, snapshot })
    }
  }

  private acknowledge(task: Task): void {
    const inFlight = this.inFlight
    if (inFlight === undefined) return
    inFlight.missing.delete(task)
    if (inFlight.missing.size > 0 || inFlight.completing) return
    inFlight.completing = true
    this.actions.push({ kind: 'complete', epoch: inFlight.epoch, final: inFlight.final })
  }

  private decided(epoch: number, chunks: ReadonlyMap<SlotMachine, readonly DecidedChunk[]>): void {
    assert(this.inFlight?.epoch === epoch, `decided epoch ${epoch} is not in flight`)
    this.lastDecided = this.inFlight.last
    this.inFlight = undefined
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

  // ---- building

  private build(): void {
    const { graph } = this.settings
    const { plan } = graph
    const channels = new Map<number, Channel[][]>()
    for (const edge of graph.edges)
      channels.set(
        edge.index,
        Array.from({ length: plan.parallelism }, () => Array.from({ length: plan.parallelism }, () => new Channel()))
      )
    const deadLetters: SinkNode = {
      kind: 'sink',
      id: -1,
      name: deadLettersName,
      input: { node: -1, output: 'main' },
      sink: plan.deadLetters,
      delivery: bestDelivery[plan.deadLetters.connector]
    }
    const deadLetter = (letter: DeadLetter, outputs: TaskOutputs): void =>
      outputs.write(deadLetters, letter, letter.time)
    for (const stage of graph.stages)
      for (let task = 0; task < plan.parallelism; task++) this.buildTask(stage, task, channels, deadLetter)
    for (const stage of graph.stages) this.buildSlots(stage, deadLetters)
  }

  private buildTask(
    stage: Stage,
    task: number,
    channels: ReadonlyMap<number, Channel[][]>,
    deadLetter: (letter: DeadLetter, outputs: TaskOutputs) => void
  ): void {
    const { graph, job } = { graph: this.settings.graph, job: this.settings.graph.plan.job }
    const { plan } = graph
    const outgoing = new Map<number, readonly Channel[]>()
    for (const edge of graph.edges)
      if (edge.from === stage.index)
        outgoing.set(edge.index, (channels.get(edge.index) as Channel[][])[task] as Channel[])
    const outputs = new TaskOutputs({
      stage,
      keyGroups: plan.keyGroups,
      slots: plan.slots,
      parallelism: plan.parallelism,
      channels: outgoing,
      limits: this.settings.limits,
      onTap: this.settings.onTap
    })
    if (stage.kind === 'source') {
      const all = this.settings.partitions.get(stage.name) ?? []
      const source = new SourceTask({
        stage,
        task,
        partitions: all.filter(partition => partition.partition % plan.parallelism === task),
        slots: plan.slots,
        outputs,
        now: () => this.now,
        deadLetter,
        onBarrier: sealed => this.snapshot(sealed, undefined, sealed.progress())
      })
      this.sources.push(source)
      this.tasks.push(source)
      return
    }
    const incoming: Channel[] = []
    for (const edge of stage.inputs)
      for (const row of channels.get(edge.index) as Channel[][]) incoming.push(row[task] as Channel)
    const schema = this.settings.schemas.get(stage.name)
    const definition = this.settings.definitions.get(stage.name)
    assert(schema !== undefined && definition !== undefined, `no definition of stage ${stage.name}`)
    const keyed = new KeyedTask({
      job,
      stage,
      task,
      definition,
      schemas: schema.list,
      schemaIndex: schema.index,
      keyGroups: plan.keyGroups,
      slots: plan.slots,
      channels: incoming,
      outputs,
      now: () => this.now,
      awaitHandler: (promise, settled) => {
        const token = this.nextToken++
        this.awaiting.set(token, settled)
        this.actions.push({ kind: 'await', token, promise })
      },
      deadLetter,
      onBarrier: sealed => {
        const outbox = sealed.settings.outputs.sealOutbox()
        if (outbox !== undefined) this.pendingOutboxes.set(sealed, outbox)
      }
    })
    this.keyed.push(keyed)
    this.tasks.push(keyed)
  }

  private buildSlots(stage: Stage, deadLetters: SinkNode): void {
    const { plan } = this.settings.graph
    const writes = stage.node.onError === 'dead-letter' ? [...stage.sinks, deadLetters] : stage.sinks
    for (const sink of writes) {
      if (sink.delivery !== 'exactly-once') continue
      for (let slot = 0; slot < plan.slots; slot++) {
        const name: SlotName = {
          job: plan.job,
          lineage: this.settings.lineage,
          sink: sink.name,
          stage: stage.name,
          slot
        }
        const machine = new SlotMachine(name, {
          floor: this.settings.floors.get(slotKey(name)),
          head: this.settings.epoch,
          generation: this.settings.generation,
          owner: this.settings.owner
        })
        this.slots.set(slotKey(name), machine)
        this.pushSlot(machine.next())
      }
    }
  }
}
