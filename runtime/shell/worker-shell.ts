/**
 * The loop that carries out what the worker machine asks, through ports. It decides nothing: every completion goes back as a
 * command. One instance per incarnation of the job; after a failure it is thrown away.
 */
import { assert, CodedError } from '../kernel/errors.ts'
import { decodeChunk } from '../../checkpoint/outbox-file.ts'
import type { OutboxRef } from '../../checkpoint/manifest.ts'
import type { StateStore } from '../../checkpoint/state-store.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import type { DecidedChunk, SlotMachine } from '../core/slot-machine.ts'
import { slotKey } from '../core/topology.ts'
import type { Action, Command, Worker } from '../core/worker.ts'
import type { Clock } from '../ports/clock.ts'
import type { Appender, LogReader } from '../ports/log.ts'
import type { Producer, Publisher } from '../ports/publisher.ts'
import type { CheckpointWriter, Probe } from './checkpoint-writer.ts'
import { StoreKeeper } from './store-keeper.ts'

export interface ShellSettings {
  readonly worker: Worker
  readonly writer: CheckpointWriter
  readonly clock: Clock
  readonly storage: CheckpointStorage
  /** By index of the stage. */
  readonly readers: ReadonlyMap<number, LogReader>
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly appenders: ReadonlyMap<string, Appender>
  /** Absent: everything stays in memory. */
  readonly store?: StateStore
  readonly probe?: Probe
}

/** How long one fetch waits for something to come. */
const fetchWaitMs = 1000
const fetchBytes = 1024 * 1024
/** Events handled before the event loop gets a turn. */
const sliceEvents = 1024

export class WorkerShell {
  readonly ended: Promise<'finished' | 'drained' | 'stopped'>
  /** Completed checkpoints of this incarnation. */
  lastCheckpoint:
    | { readonly epoch: number; readonly completedAt: number; readonly durationMs: number; readonly bytes: number }
    | undefined
  readonly published = new Map<string, number>()
  private readonly settings: ShellSettings
  private readonly producers = new Map<SlotMachine, Producer>()
  private readonly storeKeeper: StoreKeeper | undefined
  private settle!: { resolve(how: 'finished' | 'drained' | 'stopped'): void; reject(error: unknown): void }
  private over = false
  private scheduled = false
  private cancelTimer: (() => void) | undefined
  private decisions: { readonly done: (savepoints: readonly string[]) => boolean }[] = []
  private waiters: (() => void)[] = []

  constructor(settings: ShellSettings) {
    this.settings = settings
    const { store, clock } = settings
    if (store !== undefined)
      this.storeKeeper = new StoreKeeper(
        store,
        clock,
        epoch => this.command({ kind: 'applied', epoch }),
        error => this.fail(error)
      )
    this.ended = new Promise((resolve, reject) => (this.settle = { resolve, reject }))
    this.ended.catch(() => undefined)
  }

  start(): void {
    const { head } = this.settings.writer
    if (head !== undefined)
      this.guard(() => {
        for (const [slot, chunks] of this.chunksOf(head.manifest.outboxes, head.hash))
          slot.decided(head.manifest.epoch, chunks)
      })
    this.command({ kind: 'tick' })
  }

  /** A checkpoint of everything read so far. Resolves with its epoch; with the newest one when nothing has changed since. */
  checkpoint(): Promise<number> {
    const { worker, writer } = this.settings
    const newest = (): number => writer.head?.manifest.epoch ?? 0
    const after = worker.pendingEpoch ?? newest()
    if (worker.pendingEpoch === undefined && !worker.changed) return Promise.resolve(newest())
    const decided = this.whenDecided(() => (newest() > after || !worker.changed ? newest() : undefined))
    this.command({ kind: 'checkpoint' })
    return decided
  }

  /** A checkpoint that stays until it is dropped. */
  async savepoint(name: string): Promise<{ readonly name: string; readonly epoch: number }> {
    const { writer } = this.settings
    const { savepointNames = [], savepoints = [] } = writer.head?.manifest ?? {}
    const taken = savepointNames.includes(name) || savepoints.some(each => each.name === name)
    if (taken || this.requestedSavepoints.has(name))
      throw new CodedError('OPTION_INVALID', `there is a savepoint "${name}" already; choose another name`)
    this.requestedSavepoints.add(name)
    const decided = this.whenDecided(savepoints =>
      savepoints.includes(name) ? (writer.head?.manifest.epoch ?? 0) : undefined
    )
    this.command({ kind: 'checkpoint', savepoint: name })
    return { name, epoch: await decided }
  }

  private readonly requestedSavepoints = new Set<string>()

  private whenDecided(epochOf: (savepoints: readonly string[]) => number | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      this.decisions.push({
        done: savepoints => {
          const epoch = epochOf(savepoints)
          if (epoch !== undefined) resolve(epoch)
          return epoch !== undefined
        }
      })
      this.ended.then(
        how => reject(new CodedError('NOT_RUNNING', `the job ended (${how}) before the checkpoint was decided`)),
        reject
      )
    })
  }

  /** Why no checkpoint completes at the moment, undefined when all is well. */
  get trouble(): string | undefined {
    return this.settings.worker.trouble ?? this.settings.writer.trouble ?? this.storeKeeper?.trouble
  }

  command(command: Command): void {
    if (this.over) return
    this.guard(() => this.perform(this.settings.worker.step(command, this.settings.clock.now())))
    this.schedule()
  }

  get isOver(): boolean {
    return this.over
  }

  /** Resolves when no effect is under way and no work is scheduled: only input or time can move it on. */
  async quiet(): Promise<void> {
    while (!this.over && (this.scheduled || this.pending > 0))
      await new Promise<void>(resolve => this.waiters.push(resolve))
  }

  async stop(): Promise<void> {
    if (!this.over) this.close('stopped')
    this.settings.writer.close()
    for (const reader of this.settings.readers.values()) await reader.close()
    for (const producer of this.producers.values()) await producer.close()
    await this.settings.writer.settled()
    await this.storeKeeper?.close()
  }

  private pending = 0

  private close(how: 'finished' | 'drained' | 'stopped'): void {
    this.over = true
    this.cancelTimer?.()
    this.wake()
    this.settle.resolve(how)
  }

  private fail(error: unknown): void {
    if (this.over) return
    this.over = true
    this.cancelTimer?.()
    this.wake()
    this.settle.reject(error)
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
        const { busy, actions } = this.settings.worker.work(sliceEvents, this.settings.clock.now())
        this.perform(actions)
        if (busy) this.schedule()
        else this.arm()
      })
      this.wake()
    })
  }

  private arm(): void {
    this.cancelTimer?.()
    const at = this.settings.worker.nextDeadlineMs()
    if (at === undefined || this.over) return
    this.cancelTimer = this.settings.clock.after(Math.max(1, at - this.settings.clock.now()), () =>
      this.command({ kind: 'tick' })
    )
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
        return this.stored(action.epoch, 'write', async () => {
          await this.settings.writer.write(action.epoch, action.snapshot)
          return { kind: 'written', epoch: action.epoch, task: action.snapshot.task }
        })
      case 'abandon':
        return this.settings.writer.abandon(action.epoch)
      case 'append':
        return this.effect(async () => {
          await appenders.get(action.sink)?.append(action.records)
          this.published.set(action.sink, (this.published.get(action.sink) ?? 0) + action.records.length)
          return { kind: 'appended', sink: action.sink }
        })
      case 'complete':
        return this.stored(action.epoch, 'manifest', () => this.complete(action.epoch, action.final, action.savepoints))
      case 'initialise':
        return this.effect(async () => {
          const publisher = publishers.get(action.slot.name.sink)
          assert(publisher !== undefined, `no publisher for sink ${action.slot.name.sink}`)
          this.producers.set(action.slot, await publisher.initialise(action.slot.name))
          return { kind: 'initialised', slot: action.slot }
        })
      case 'read-ledger':
        return this.effect(async () => ({
          kind: 'ledger',
          slot: action.slot,
          entry: await this.producer(action.slot).readLedger()
        }))
      case 'publish':
        return this.effect(async () => {
          const records = action.chunk === undefined ? [] : await this.chunk(action.chunk)
          await this.settings.probe?.('publish')
          const outcome = await this.producer(action.slot).publish(records, action.entry)
          await this.settings.probe?.('published')
          const { sink } = action.slot.name
          if (outcome.kind === 'published') this.published.set(sink, (this.published.get(sink) ?? 0) + records.length)
          return { kind: 'published', slot: action.slot, outcome, entry: action.entry }
        })
      case 'finished':
        return this.close(action.how)
    }
  }

  private keeper(): StoreKeeper {
    assert(this.storeKeeper !== undefined, 'a read of a store that the job does not have')
    return this.storeKeeper
  }

  private producer(slot: SlotMachine): Producer {
    const producer = this.producers.get(slot)
    assert(producer !== undefined, 'a slot without a producer')
    return producer
  }

  private async chunk(chunk: DecidedChunk): Promise<ReturnType<typeof decodeChunk>> {
    return decodeChunk(await this.settings.storage.readRange(chunk.file, chunk.offset, chunk.length), chunk.file)
  }

  /** What storage refuses abandons the epoch; the job goes on and tries again. Anything else ends the generation. */
  private stored(epoch: number, what: 'write' | 'manifest', work: () => Promise<Command>): void {
    this.effect(async () => {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
        return { kind: 'write-failed', epoch, what, message: error.message }
      }
    })
  }

  private async complete(epoch: number, final: boolean, savepoints: readonly string[]): Promise<Command> {
    const { writer, clock, worker } = this.settings
    const head = await writer.prepare(epoch, final, savepoints)
    this.command({ kind: 'attempted', epoch })
    const { outboxes, snapshots } = await writer.decide(head)
    this.storeKeeper?.decided(epoch, snapshots)
    const now = clock.now()
    const bytes = head.manifest.stages.reduce(
      (sum, stage) => sum + stage.files.reduce((all, file) => all + (file.epoch === epoch ? file.sizeBytes : 0), 0),
      0
    )
    this.lastCheckpoint = { epoch, completedAt: now, durationMs: Math.max(0, now - worker.triggeredAt), bytes }
    this.decisions = this.decisions.filter(({ done }) => !done(savepoints))
    return { kind: 'decided', epoch, chunks: this.chunksOf(outboxes, head.hash) }
  }

  private chunksOf(outboxes: readonly OutboxRef[], manifestHash: string): Map<SlotMachine, DecidedChunk[]> {
    const chunks = new Map<SlotMachine, DecidedChunk[]>()
    for (const ref of [...outboxes].sort((a, b) => a.epoch - b.epoch))
      for (const section of ref.sections) {
        const key = slotKey({ sink: section.sink, stage: ref.stage, slot: section.slot })
        const slot = this.settings.worker.slots.get(key)
        if (slot === undefined)
          throw new CodedError(
            'RECOVERY_HALTED',
            `epoch ${ref.epoch} has unpublished output for slot ${key}, whose sink the job no longer has: run it once more with that sink, or start over with --fresh`
          )
        const list = chunks.get(slot) ?? []
        chunks.set(slot, list)
        section.chunks.forEach((chunk, i) =>
          list.push({
            epoch: ref.epoch,
            chunk: i,
            last: chunk.last,
            manifestHash,
            file: ref.file.name,
            offset: chunk.offset,
            length: chunk.length
          })
        )
      }
    return chunks
  }
}
