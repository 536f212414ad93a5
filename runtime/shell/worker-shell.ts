/**
 * The loop that carries out what the worker machine asks, through ports. It decides nothing: every completion goes back as a
 * command. One instance per generation; after a failure it is thrown away.
 */
import { assert, CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import { decodeChunk } from '../../checkpoint/outbox-file.ts'
import type { LoopStep } from '../../checkpoint/loop-ends.ts'
import type { OutboxRef } from '../../checkpoint/manifest.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import type { DecidedChunk, SlotMachine } from '../core/slot-machine.ts'
import type { WorkerReport } from '../core/checkpoint-leader.ts'
import { checkpointBucketsMs, Durations } from '../core/task-times.ts'
import type { CheckpointGauges, GenerationGauges, Restored } from '../core/worker-gauges.ts'
import type { Action, Command, Moment, TaskSnapshot, Worker, WorkerStatus } from '../core/worker.ts'
import type { Clock } from '../ports/clock.ts'
import type { Appender, LogReader } from '../ports/log.ts'
import type { Producer, Publisher, SourcePosition } from '../ports/publisher.ts'
import { decidedChunks, sinkGone } from './decided-chunks.ts'
import type { LocalState } from './local-state.ts'
import { newPartitions } from './new-partitions.ts'
import { StoreKeeper } from './store-keeper.ts'
import type { SpillFolder } from './spill-folder.ts'
import type { Probe, TaskFiles, Written } from './task-files.ts'

export interface SourceReached {
  readonly name: string
  readonly partitions: readonly { readonly partition: number; readonly position: number }[]
}

export interface WorkerShellSettings {
  readonly worker: Worker
  readonly files: TaskFiles
  readonly clock: Clock
  readonly storage: CheckpointStorage
  /** By index of the stage. */
  readonly readers: ReadonlyMap<number, LogReader>
  /** Index of each source's stage, by its name. */
  readonly sourceStages: ReadonlyMap<string, number>
  /** How many partitions a source began with. */
  readonly partitionsOf: (stage: number) => ReadonlySet<number>
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly appenders: ReadonlyMap<string, Appender>
  /** Absent: everything stays in memory. */
  readonly local?: LocalState
  readonly restored: Restored
  /** Absent: loops keep everything in memory. */
  readonly spill?: SpillFolder
  readonly probe?: Probe
  /** Events that a task handles before the event loop gets a turn. */
  readonly sliceEvents?: number
  /** Outboxes of the checkpoint that the generation begins from. */
  readonly unpublished: {
    readonly epoch: number
    readonly hash: string
    readonly outboxes: readonly OutboxRef[]
    readonly sources: readonly SourceReached[]
  }
  /** Takes a frame to another worker. */
  readonly send?: (peer: string, frame: Uint8Array) => void
}

/** How long one fetch waits for something to come. */
const fetchWaitMs = 1000
const fetchBytes = 1024 * 1024
/** Between two attempts to reach a sink. */
const unreachableMs = 500
/** Events that a task handles before the event loop gets a turn: at first, and at most. */
const firstSliceEvents = 64
const mostSliceEvents = 1024
/** About so long all tasks together keep the event loop: heartbeats, barriers and connections wait behind it. */
const sliceMs = 20

export class WorkerShell {
  /** Rejects with what ended the generation, or answers when `stop` was called. */
  readonly ended: Promise<void>
  readonly published = new Map<string, number>()
  /** Called after each step: the report may have changed. */
  onStep: () => void = () => undefined
  private readonly settings: WorkerShellSettings
  private readonly producers = new Map<SlotMachine, Producer>()
  private readonly storeKeeper: StoreKeeper | undefined
  private settle!: { resolve(): void; reject(error: unknown): void }
  private over = false
  private scheduled = false
  private cancelTimer: (() => void) | undefined
  private pending = 0
  private waiters: (() => void)[] = []
  private readonly partitionsKnown = new Map<number, ReadonlySet<number>>()
  private readonly looking = new Map<number, () => void>()
  /** The newest barrier that was asked for here. */
  private barrier = { epoch: 0, at: 0 }
  private completed = 0
  private sliceEvents: number
  private readonly durations = new Durations(checkpointBucketsMs)
  private lastCheckpoint: CheckpointGauges['last']

  constructor(settings: WorkerShellSettings) {
    this.settings = settings
    this.sliceEvents = Math.min(firstSliceEvents, settings.sliceEvents ?? mostSliceEvents)
    const { local, clock } = settings
    if (local !== undefined)
      this.storeKeeper = new StoreKeeper(
        local,
        clock,
        epoch => this.command({ kind: 'applied', epoch }),
        error => this.fail(error)
      )
    this.ended = new Promise((resolve, reject) => (this.settle = { resolve, reject }))
    this.ended.catch(() => undefined)
  }

  start(): void {
    const { epoch, hash, outboxes, sources } = this.settings.unpublished
    this.guard(() => {
      const chunks = this.chunksOf(outboxes, hash)
      const positions = this.positionsOf(sources)
      for (const slot of new Set([...chunks.keys(), ...positions.keys()]))
        slot.decided(epoch, chunks.get(slot) ?? [], positions.get(slot))
    })
    this.command({ kind: 'tick' })
    for (const [stage, reader] of this.settings.readers)
      if (reader.lookAgainMs !== undefined) this.lookAgain(stage, reader, reader.lookAgainMs)
  }

  /** Whether partitions were added. Whoever cannot tell is asked again. */
  private lookAgain(stage: number, reader: LogReader, everyMs: number): void {
    const cancel = this.settings.clock.after(everyMs, () => {
      const known = this.partitionsKnown.get(stage) ?? this.settings.partitionsOf(stage)
      newPartitions(reader, known).then(
        partitions => {
          if (this.over) return
          if (partitions.length > 0) {
            this.partitionsKnown.set(stage, new Set([...known, ...partitions.map(({ partition }) => partition)]))
            this.command({ kind: 'grown', stage, partitions })
          }
          this.lookAgain(stage, reader, everyMs)
        },
        () => this.over || this.lookAgain(stage, reader, everyMs)
      )
    })
    this.looking.set(stage, cancel)
  }

  /** What a report says, but for the files. */
  get status(): WorkerStatus {
    return this.settings.worker.status
  }

  /** What the leader is to know; whole, so that any earlier one may be lost. */
  get report(): WorkerReport {
    const { worker, files } = this.settings
    const { written, ...status } = worker.status
    if (written === undefined || written <= status.decided) return status
    const ledgers = [...worker.slots.values()].flatMap(({ name, ledger }) =>
      ledger === undefined
        ? []
        : [{ sink: name.sink, stage: name.stage, slot: name.slot, epoch: ledger.epoch, chunk: ledger.chunk }]
    )
    const tasks = files.written(written).map(({ acknowledgement }) => acknowledgement)
    if (tasks.length === 0) return status
    const work = worker.encodeMs === undefined ? {} : { workMs: worker.encodeMs + files.finishMs }
    return { ...status, acknowledged: { epoch: written, tasks, ledgers, ...work } }
  }

  /** The leader says that the epoch is decided, with this manifest, and what it means for loops. */
  decided(epoch: number, manifestHash: string, loops: readonly LoopStep[]): void {
    if (this.over || epoch <= this.settings.worker.status.decided) return
    const written = this.settings.files.take(epoch)
    this.count(epoch, written)
    this.storeKeeper?.decided(
      epoch,
      manifestHash,
      written.map(({ snapshot }) => snapshot)
    )
    const outboxes = written.flatMap(({ acknowledgement }) => acknowledgement.outbox ?? [])
    const positions = this.positionsOf(
      written.map(({ acknowledgement }) => ({ name: acknowledgement.stage, partitions: acknowledgement.positions }))
    )
    this.command({ kind: 'decided', epoch, chunks: this.chunksOf(outboxes, manifestHash), positions, loops })
  }

  private count(epoch: number, written: readonly Written[]): void {
    const { clock } = this.settings
    // Asked for before this worker could hear of it: the time is not known.
    const durationMs = this.barrier.epoch === epoch ? clock.elapsed() - this.barrier.at : 0
    let bytes = 0
    for (const { acknowledgement } of written)
      bytes += (acknowledgement.state?.sizeBytes ?? 0) + (acknowledgement.outbox?.file.sizeBytes ?? 0)
    this.completed++
    this.durations.add(durationMs)
    this.lastCheckpoint = { epoch, atMs: clock.now(), durationMs, bytes }
  }

  /** For people; reads what is counted, and changes nothing. */
  get gauges(): GenerationGauges {
    const { worker, clock } = this.settings
    const { pendingBytes, queueRecords } = worker.limits
    const durations = new Durations(checkpointBucketsMs)
    durations.absorb(this.durations)
    return {
      restored: this.settings.restored,
      stages: worker.stageGauges(clock.elapsed()),
      checkpoints: {
        completed: this.completed,
        abandoned: worker.abandonedEpochs,
        durations,
        last: this.lastCheckpoint
      },
      fullness: worker.fullness,
      pendingLimitBytes: pendingBytes,
      queueLimitRecords: queueRecords,
      changed: worker.changed,
      unpublishedEpochs: worker.status.unpublished,
      published: new Map(this.published)
    }
  }

  /** Why the local store lags, undefined when all is well. */
  get trouble(): string | undefined {
    return this.storeKeeper?.trouble ?? this.settings.spill?.trouble
  }

  command(command: Command): void {
    if (this.over) return
    if (command.kind === 'trigger' && command.epoch > this.barrier.epoch)
      this.barrier = { epoch: command.epoch, at: this.settings.clock.elapsed() }
    this.guard(() => this.perform(this.settings.worker.step(command, this.moment())))
    this.schedule()
    this.onStep()
  }

  get isOver(): boolean {
    return this.over
  }

  /** Resolves when no effect is under way and no work is scheduled: only input or time can move it on. */
  async quiet(): Promise<void> {
    while (!this.over && (this.scheduled || this.pending > 0))
      await new Promise<void>(resolve => this.waiters.push(resolve))
  }

  /** Does nothing any more; its state can still be read. */
  halt(): void {
    if (this.over) return
    this.close()
    this.settle.resolve()
  }

  /** Lets go of everything; what is under way is waited for. */
  async stop(): Promise<void> {
    this.halt()
    // First: the next generation waits for it.
    await this.storeKeeper?.close()
    for (const reader of this.settings.readers.values()) await reader.close()
    for (const producer of this.producers.values()) await producer.close()
    await this.settings.spill?.close()
  }

  /** Ends the generation here. */
  fail(error: unknown): void {
    if (this.over) return
    this.close()
    this.settle.reject(error)
  }

  private close(): void {
    this.over = true
    this.cancelTimer?.()
    for (const cancel of this.looking.values()) cancel()
    this.wake()
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter()
  }

  private guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail(error)
    }
  }

  private schedule(): void {
    if (this.scheduled || this.over) return
    this.scheduled = true
    this.settings.clock.yield(() => {
      this.scheduled = false
      if (this.over) return
      this.guard(() => {
        const moment = this.moment()
        const { busy, actions } = this.settings.worker.work(this.sliceEvents, moment)
        this.perform(actions)
        this.adapt(this.settings.clock.elapsed() - moment.elapsedMs)
        if (busy) this.schedule()
        else this.arm()
      })
      this.onStep()
      this.wake()
    })
  }

  /** Slow handlers get small slices. */
  private adapt(tookMs: number): void {
    const most = this.settings.sliceEvents ?? mostSliceEvents
    if (tookMs > 2 * sliceMs) this.sliceEvents = Math.max(1, Math.floor((this.sliceEvents * sliceMs) / tookMs))
    else if (tookMs < sliceMs / 2) this.sliceEvents = Math.min(most, 2 * this.sliceEvents)
  }

  private moment(): Moment {
    const { clock } = this.settings
    return { wallMs: clock.now(), elapsedMs: clock.elapsed() }
  }

  private arm(): void {
    this.cancelTimer?.()
    const delay = this.settings.worker.nextDelayMs()
    if (delay === undefined || this.over) return
    this.cancelTimer = this.settings.clock.after(Math.max(1, delay), () => this.command({ kind: 'tick' }))
  }

  private perform(actions: readonly Action[]): void {
    for (const action of actions) this.carryOut(action)
  }

  /** Runs an effect; what it resolves to goes back as a command. Fetches wait for input and do not count as pending work. */
  private effect(work: () => Promise<Command | undefined>, counts = true): void {
    if (counts) this.pending++
    work().then(
      command => {
        if (counts) this.pending--
        if (command !== undefined) this.command(command)
        this.wake()
      },
      error => this.fail(error)
    )
  }

  private carryOut(action: Action): void {
    const { readers, appenders, publishers } = this.settings
    switch (action.kind) {
      case 'fetch': {
        const reader = readers.get(action.stage)
        assert(reader !== undefined, `no reader for stage ${action.stage}`)
        const { stage, partition, position } = action
        return this.effect(async () => {
          const result = await reader.fetch(partition, position, fetchBytes, fetchWaitMs)
          return { kind: 'fetched', stage, partition, result }
        }, false)
      }
      case 'await':
        return this.effect(async () => {
          try {
            await action.promise
            return { kind: 'settled', token: action.token, failure: undefined }
          } catch (error) {
            return { kind: 'settled', token: action.token, failure: { error } }
          }
        })
      case 'load':
        return this.effect(async () => ({
          kind: 'loaded',
          task: action.task,
          entries: await this.keeper().load(action.task, action.keys)
        }))
      case 'page':
        return this.effect(async () => ({
          kind: 'page-loaded',
          task: action.task,
          page: await this.keeper().page(action.task, action.clock, action.after, action.upTo)
        }))
      case 'write':
        return this.effect(() => this.write(action.epoch, action.snapshot))
      case 'forget':
        return this.settings.files.forget(action.epoch)
      case 'send':
        assert(this.settings.send !== undefined, 'a frame without a way to send it')
        return this.settings.send(action.peer, action.frame)
      case 'spill':
        return this.effect(async () => {
          await this.spill().write(action.batch, action.bytes)
          return undefined
        })
      case 'unspill': {
        const { channel, batch } = action
        return this.effect(async () => ({ kind: 'unspilled', channel, batch, bytes: await this.spill().read(batch) }))
      }
      case 'append':
        return this.effect(async () => {
          await appenders.get(action.sink)?.append(action.records)
          this.published.set(action.sink, (this.published.get(action.sink) ?? 0) + action.records.length)
          return { kind: 'appended', sink: action.sink, append: action.append }
        })
      case 'initialise':
        return this.effect(() =>
          this.reach(action.slot, async () => {
            const publisher = publishers.get(action.slot.name.sink)
            assert(publisher !== undefined, `no publisher for sink ${action.slot.name.sink}`)
            this.producers.set(action.slot, await publisher.initialise(action.slot.name))
            return { kind: 'initialised', slot: action.slot }
          })
        )
      case 'read-ledger':
        return this.effect(() =>
          this.reach(action.slot, async () => ({
            kind: 'ledger',
            slot: action.slot,
            entry: await this.producer(action.slot).readLedger()
          }))
        )
      case 'publish':
        return this.effect(async () => {
          const records = action.chunk === undefined ? [] : await this.chunk(action.chunk)
          await this.settings.probe?.('publish')
          const outcome = await this.producer(action.slot).publish(records, action.entry, action.positions)
          await this.settings.probe?.('published')
          const { sink } = action.slot.name
          if (outcome.kind === 'published') this.published.set(sink, (this.published.get(sink) ?? 0) + records.length)
          return { kind: 'published', slot: action.slot, outcome, entry: action.entry }
        })
      case 'note':
        return this.effect(() => this.note(action.slot, action.positions))
    }
  }

  /** Positions that are left out are tried again after a while. */
  private async note(slot: SlotMachine, positions: readonly SourcePosition[]): Promise<Command> {
    const outcome = await this.producer(slot).note?.(positions)
    assert(outcome !== undefined, 'positions for a sink that tells nobody')
    if (outcome.kind === 'published' && outcome.positions === 'left-out') await this.pause()
    return { kind: 'noted', slot, outcome }
  }

  private pause(): Promise<void> {
    return new Promise(resolve => this.settings.clock.after(unreachableMs, resolve))
  }

  /** A sink that cannot be reached is waited for: the slot begins anew after a while. */
  private async reach(slot: SlotMachine, work: () => Promise<Command>): Promise<Command> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'SINK_UNREACHABLE') throw error
      reached('worker shell: a sink that cannot be reached')
      await this.pause()
      return { kind: 'unreachable', slot }
    }
  }

  private keeper(): StoreKeeper {
    assert(this.storeKeeper !== undefined, 'a read of a store that the job does not have')
    return this.storeKeeper
  }

  private spill(): SpillFolder {
    assert(this.settings.spill !== undefined, 'a batch put aside without a place for it')
    return this.settings.spill
  }

  private producer(slot: SlotMachine): Producer {
    const producer = this.producers.get(slot)
    assert(producer !== undefined, 'a slot without a producer')
    return producer
  }

  private async chunk(chunk: DecidedChunk): Promise<ReturnType<typeof decodeChunk>> {
    return decodeChunk(await this.settings.storage.readRange(chunk.file, chunk.offset, chunk.length), chunk.file)
  }

  /** What storage refuses makes the worker decline the epoch; anything else ends the generation. */
  private async write(epoch: number, snapshot: TaskSnapshot): Promise<Command> {
    try {
      await this.settings.files.write(epoch, snapshot)
      return { kind: 'written', epoch, task: snapshot.task }
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
      return { kind: 'write-failed', epoch, message: error.message }
    }
  }

  /** Each partition is told of by the slot whose task reads it, of the sink that tells of its source; else by its reader. */
  private positionsOf(sources: readonly SourceReached[]): Map<SlotMachine, SourcePosition[]> {
    const { worker, publishers, readers, sourceStages } = this.settings
    const positions = new Map<SlotMachine, SourcePosition[]>()
    for (const { name: source, partitions } of sources) {
      const own = partitions.filter(({ partition }) => worker.ownsSlot(partition % worker.assignment.slots.length))
      if (own.length === 0) continue
      const sink = [...publishers].find(([, publisher]) => publisher.sources?.includes(source) === true)?.[0]
      if (sink === undefined) readers.get(sourceStages.get(source) ?? -1)?.reached?.(own)
      for (const { partition, position } of sink === undefined ? [] : own) {
        const number = partition % worker.assignment.slots.length
        const slot = [...worker.slots.values()].find(({ name }) => name.sink === sink && name.slot === number)
        if (slot === undefined) continue
        const known = positions.get(slot)
        if (known === undefined) positions.set(slot, [{ source, partition, position }])
        else known.push({ source, partition, position })
      }
    }
    return positions
  }

  private chunksOf(outboxes: readonly OutboxRef[], manifestHash: string): Map<SlotMachine, DecidedChunk[]> {
    const { worker } = this.settings
    const chunks = new Map<SlotMachine, DecidedChunk[]>()
    for (const [key, decided] of decidedChunks(outboxes, manifestHash)) {
      const slot = worker.slots.get(key)
      if (slot === undefined && !worker.ownsSlot(decided.slot)) continue
      if (slot === undefined) throw sinkGone(key, decided)
      chunks.set(slot, decided.chunks)
    }
    return chunks
  }
}
