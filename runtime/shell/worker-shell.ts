/**
 * The loop that carries out what the worker machine asks, through ports. It decides nothing: every completion goes back as a
 * command. One instance per incarnation of the job; after a failure it is thrown away.
 */
import { sha256Hex } from '../kernel/checksum.ts'
import { assert } from '../kernel/errors.ts'
import { decodeChunk } from '../../checkpoint/outbox-file.ts'
import type { DecisionLog } from '../../checkpoint/decision-log.ts'
import {
  encodeManifest,
  manifestFormat,
  type Manifest,
  type OutboxRef,
  type PartitionPosition,
  type StateFileRef
} from '../../checkpoint/manifest.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { loadStage } from '../../checkpoint/recovery.ts'
import { StateFileWriter } from '../../checkpoint/state-file.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { CodedError } from '../kernel/errors.ts'
import type { DecidedChunk, SlotMachine } from '../core/slot-machine.ts'
import { slotKey, type Action, type Command, type TaskSnapshot, type Worker } from '../core/worker.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import type { Clock } from '../ports/clock.ts'
import type { Appender, LogReader } from '../ports/log.ts'
import type { Producer, Publisher } from '../ports/publisher.ts'

/** What a fault injector may interrupt; production passes nothing. */
export type Probe = (
  point: 'delta' | 'before-decision' | 'after-decision' | 'publish' | 'published'
) => void | Promise<void>

export interface ShellSettings {
  readonly worker: Worker
  readonly graph: StageGraph
  readonly clock: Clock
  readonly storage: CheckpointStorage
  readonly log: DecisionLog
  readonly head: { readonly manifest: Manifest; readonly hash: string } | undefined
  readonly generation: number
  readonly lineage: number
  readonly schemas: ReadonlyMap<string, readonly unknown[]>
  readonly readers: ReadonlyMap<number, LogReader>
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly appenders: ReadonlyMap<string, Appender>
  readonly nonce: () => string
  readonly probe?: Probe
}

/** How long one fetch waits for something to come. */
const fetchWaitMs = 1000
const fetchBytes = 1024 * 1024
/** Events handled before the event loop gets a turn. */
const sliceEvents = 4096
/** More files per stage and task would make a restore read too many; they are merged into one. */
const filesPerTask = 32

export class WorkerShell {
  readonly ended: Promise<'finished' | 'drained' | 'stopped'>
  /** Completed checkpoints of this incarnation. */
  checkpoint:
    | { readonly epoch: number; readonly completedAt: number; readonly durationMs: number; readonly bytes: number }
    | undefined
  readonly published = new Map<string, number>()
  private readonly settings: ShellSettings
  private readonly producers = new Map<SlotMachine, Producer>()
  private readonly acknowledged: {
    snapshot: TaskSnapshot
    state: StateFileRef | undefined
    outbox: OutboxRef | undefined
  }[] = []
  private head: { readonly manifest: Manifest; readonly hash: string } | undefined
  private readonly retained: Manifest[] = []
  private settle!: { resolve(how: 'finished' | 'drained' | 'stopped'): void; reject(error: unknown): void }
  private over = false
  private scheduled = false
  private cancelTimer: (() => void) | undefined
  private triggeredAt = 0
  private waiters: (() => void)[] = []

  constructor(settings: ShellSettings) {
    this.settings = settings
    this.head = settings.head
    if (settings.head !== undefined) this.retained.push(settings.head.manifest)
    this.ended = new Promise((resolve, reject) => (this.settle = { resolve, reject }))
    this.ended.catch(() => undefined)
  }

  start(): void {
    const { manifest, hash } = this.head ?? {}
    if (manifest !== undefined && hash !== undefined)
      this.guard(() => {
        for (const [slot, chunks] of this.chunksOf(manifest.outboxes, hash)) slot.decided(manifest.epoch, chunks)
      })
    this.command({ kind: 'tick' })
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
    for (const reader of this.settings.readers.values()) await reader.close()
    for (const producer of this.producers.values()) await producer.close()
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
      case 'write':
        return this.effect(() => this.write(action.epoch, action.snapshot))
      case 'append':
        return this.effect(async () => {
          await appenders.get(action.sink)?.append(action.records)
          this.published.set(action.sink, (this.published.get(action.sink) ?? 0) + action.records.length)
          return { kind: 'appended', sink: action.sink }
        })
      case 'complete':
        return this.effect(() => this.complete(action.epoch, action.final))
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

  private producer(slot: SlotMachine): Producer {
    const producer = this.producers.get(slot)
    assert(producer !== undefined, 'a slot without a producer')
    return producer
  }

  private async chunk(chunk: DecidedChunk): Promise<ReturnType<typeof decodeChunk>> {
    return decodeChunk(await this.settings.storage.readRange(chunk.file, chunk.offset, chunk.length), chunk.file)
  }

  private async create(name: string, bytes: Uint8Array): Promise<{ name: string; sizeBytes: number; sha256: string }> {
    if ((await this.settings.storage.create(name, bytes)) === 'exists')
      throw new CodedError('CORRUPT', `"${name}" exists though its name is new`)
    return { name, sizeBytes: bytes.length, sha256: sha256Hex(bytes) }
  }

  private async write(epoch: number, snapshot: TaskSnapshot): Promise<Command> {
    const stage = this.settings.graph.stages[snapshot.stage]
    assert(stage !== undefined, 'a snapshot of an unknown stage')
    let state: StateFileRef | undefined
    let outbox: OutboxRef | undefined
    if (snapshot.state !== undefined) {
      const name = objectNames.delta(epoch, stage.name, snapshot.task, this.settings.nonce())
      state = {
        ...(await this.create(name, snapshot.state.finish())),
        task: snapshot.task,
        epoch,
        records: snapshot.state.records
      }
      await this.settings.probe?.('delta')
    }
    if (snapshot.outbox !== undefined) {
      const { bytes, sections } = snapshot.outbox.finish()
      const name = objectNames.outbox(epoch, stage.name, snapshot.task, this.settings.nonce())
      outbox = { stage: stage.name, task: snapshot.task, epoch, file: await this.create(name, bytes), sections }
    }
    this.acknowledged.push({ snapshot, state, outbox })
    return { kind: 'written', stage: snapshot.stage, task: snapshot.task }
  }

  private async complete(epoch: number, final: boolean): Promise<Command> {
    const manifest = await this.manifest(epoch, final)
    const { bytes, hash } = encodeManifest(manifest)
    const name = objectNames.manifest(epoch, this.settings.nonce())
    await this.create(name, bytes)
    await this.settings.probe?.('before-decision')
    const { generation } = this.settings
    const outcome = await this.settings.log.append({
      kind: 'completed',
      epoch,
      generation,
      manifest: { name, hash },
      final
    })
    if (outcome.kind === 'lost') throw new CodedError('FENCED', `epoch ${epoch}: another owner wrote the decision log`)
    await this.settings.probe?.('after-decision')
    const outboxes = this.acknowledged.splice(0).flatMap(each => each.outbox ?? [])
    this.head = { manifest, hash }
    const now = this.settings.clock.now()
    this.checkpoint = { epoch, completedAt: now, durationMs: Math.max(0, now - this.triggeredAt), bytes: bytes.length }
    await this.retain(manifest)
    return { kind: 'decided', epoch, chunks: this.chunksOf(outboxes, hash) }
  }

  private async manifest(epoch: number, final: boolean): Promise<Manifest> {
    const { graph, worker, generation, lineage } = this.settings
    const { plan } = graph
    const previous = this.head?.manifest
    const stages = []
    for (const stage of graph.stages) {
      if (stage.kind !== 'keyed') continue
      const known = previous?.stages.find(each => each.name === stage.name)
      const acks = this.acknowledged
        .filter(each => each.snapshot.stage === stage.index)
        .sort((a, b) => a.snapshot.task - b.snapshot.task)
      let files = [...(known?.files ?? []), ...acks.flatMap(each => each.state ?? [])]
      const schemas = this.settings.schemas.get(stage.name) ?? []
      const draft = {
        name: stage.name,
        schemas,
        watermarks: acks.map(each => (Number.isFinite(each.snapshot.watermark) ? each.snapshot.watermark : null)),
        finished: acks.map(each => each.snapshot.finished)
      }
      if (files.length > filesPerTask * plan.parallelism) files = [await this.merge(epoch, { ...draft, files })]
      stages.push({ ...draft, files })
    }
    const sources = graph.stages
      .filter(stage => stage.kind === 'source')
      .map(stage => ({
        name: stage.name,
        partitions: this.acknowledged
          .filter(each => each.snapshot.stage === stage.index)
          .flatMap(each => each.snapshot.positions as readonly PartitionPosition[])
          .sort((a, b) => a.partition - b.partition)
      }))
    const isPublished = (ref: OutboxRef): boolean =>
      ref.sections.every(section => {
        const ledger = worker.slots.get(slotKey({ sink: section.sink, stage: ref.stage, slot: section.slot }))?.ledger
        const last = section.chunks.length - 1
        return (
          ledger !== undefined && (ledger.epoch > ref.epoch || (ledger.epoch === ref.epoch && ledger.chunk >= last))
        )
      })
    const ledgers = [...worker.slots.values()].map(({ name, ledger }) => {
      assert(ledger !== undefined, 'a checkpoint before a slot was recovered')
      return { sink: name.sink, stage: name.stage, slot: name.slot, epoch: ledger.epoch, chunk: ledger.chunk }
    })
    return {
      format: manifestFormat,
      job: plan.job,
      lineage,
      generation,
      epoch,
      previous: this.head === undefined ? null : { epoch: this.head.manifest.epoch, hash: this.head.hash },
      final,
      keyGroups: plan.keyGroups,
      slots: plan.slots,
      parallelism: plan.parallelism,
      stages,
      sources,
      outboxes: [
        ...(previous?.outboxes ?? []).filter(ref => !isPublished(ref)),
        ...this.acknowledged.flatMap(each => each.outbox ?? [])
      ],
      ledgers
    }
  }

  /** One file in place of many; the old ones stay until no retained manifest names them. */
  private async merge(epoch: number, stage: Manifest['stages'][number]): Promise<StateFileRef> {
    const writer = new StateFileWriter()
    for (const record of await loadStage(this.settings.storage, stage))
      writer.add(record.keyGroup, record.key, record.value)
    const name = objectNames.delta(epoch, stage.name, 0, this.settings.nonce())
    return { ...(await this.create(name, writer.finish())), task: 0, epoch, records: writer.records }
  }

  /** Deletes what only manifests older than the three newest name. */
  private async retain(manifest: Manifest): Promise<void> {
    this.retained.push(manifest)
    if (this.retained.length <= 3) return
    const gone = this.retained.shift() as Manifest
    const kept = new Set(this.retained.flatMap(filesOf))
    for (const name of filesOf(gone)) if (!kept.has(name)) await this.settings.storage.remove(name)
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
            `epoch ${ref.epoch} has unpublished output for slot ${key}, which the job no longer has`
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

function filesOf(manifest: Manifest): string[] {
  return [
    ...manifest.stages.flatMap(stage => stage.files.map(file => file.name)),
    ...manifest.outboxes.map(ref => ref.file.name)
  ]
}
