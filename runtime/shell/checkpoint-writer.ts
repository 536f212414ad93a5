/**
 * Writes what a checkpoint consists of: state and outbox files of each task, the manifest, the decision. Then, off the critical
 * path and one at a time: merges small state files, and deletes what no retained checkpoint names.
 *
 * Invariants
 * 1. A manifest names only files that are durable; a decision names only a durable manifest.
 * 2. A decision is repeated unchanged until its place in the log is known (DESIGN 5.2).
 * 3. Files that are being merged, or were merged and not adopted yet, are not deleted.
 */
import { planCompaction } from '../../checkpoint/compaction.ts'
import type { Completed, DecisionLog } from '../../checkpoint/decision-log.ts'
import {
  encodeManifest,
  manifestFormat,
  type FileRef,
  type Manifest,
  type OutboxRef,
  type StageManifest,
  type StateFileRef
} from '../../checkpoint/manifest.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { filesOf, type Retained } from '../../checkpoint/retention.ts'
import { mergeFiles } from '../../checkpoint/state-reader.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { slotKey } from '../core/topology.ts'
import type { SlotMachine } from '../core/slot-machine.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import type { TaskSnapshot } from '../core/worker.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import type { Clock } from '../ports/clock.ts'

/** What a fault injector may interrupt; production passes nothing. */
export type Probe = (
  point: 'sealed' | 'delta' | 'before-decision' | 'after-decision' | 'publish' | 'published' | 'base'
) => void | Promise<void>

export interface Head {
  /** Object name of the manifest. */
  readonly name: string
  readonly manifest: Manifest
  readonly hash: string
}

export interface CheckpointWriterSettings {
  readonly graph: StageGraph
  readonly storage: CheckpointStorage
  readonly log: DecisionLog
  readonly head: Head | undefined
  /** Newest first, savepoints included. */
  readonly retained: readonly Retained[]
  readonly generation: number
  readonly lineage: number
  readonly schemas: ReadonlyMap<string, readonly unknown[]>
  readonly slots: ReadonlyMap<string, SlotMachine>
  readonly clock: Clock
  readonly nonce: () => string
  readonly sha256: (bytes: Uint8Array) => Promise<string>
  readonly probe?: Probe
}

/** More state files per stage and task would make a restore read too many. */
const filesPerTask = 32
/** Checkpoints kept besides savepoints: an older one serves when the newest turns out to be damaged. */
export const retainedCheckpoints = 3
/** Decisions between two prunings of the log. */
const pruneEvery = 100
const firstRetryMs = 100
const longestRetryMs = 10_000

interface Acknowledged {
  readonly snapshot: TaskSnapshot
  readonly state: StateFileRef | undefined
  readonly outbox: OutboxRef | undefined
}

interface Merge {
  readonly stage: string
  readonly replaces: readonly StateFileRef[]
  made: readonly StateFileRef[] | undefined
}

export class CheckpointWriter {
  head: Head | undefined
  /** The last thing that went wrong off the critical path. */
  trouble: string | undefined
  private readonly settings: CheckpointWriterSettings
  private epoch = 0
  private acknowledged: Acknowledged[] = []
  private retained: Retained[]
  private merge: Merge | undefined
  /** The merge that the manifest under way adopts. */
  private adopting: Merge | undefined
  private housekeeping: Promise<void> | undefined
  /** To be deleted, files before manifests. */
  private readonly doomed: string[] = []
  private closed = false

  constructor(settings: CheckpointWriterSettings) {
    this.settings = settings
    this.head = settings.head
    this.retained = [...settings.retained]
  }

  /** Checkpoint 0: where every partition begins, so that a job started at "latest" and killed at once has a place to return to. */
  async start(sources: Manifest['sources']): Promise<void> {
    const manifest = { ...this.manifest(0, false, []), sources }
    const { bytes, hash } = encodeManifest(manifest)
    const { name } = await this.create(objectNames.manifest(0, this.settings.nonce()), bytes)
    const head = { name, manifest, hash }
    const { log } = this.settings
    if ((await log.append(this.decisionOf(head))).kind === 'lost')
      throw new CodedError('FENCED', 'another owner wrote the decision log')
    this.head = head
    this.retain(head)
  }

  /** Rejects when storage does; the epoch is then to be abandoned. */
  async write(epoch: number, snapshot: TaskSnapshot): Promise<void> {
    if (epoch > this.epoch) this.begin(epoch)
    const { probe, nonce } = this.settings
    const stage = snapshot.task.settings.stage.name
    const { task } = snapshot.task.settings
    const made: string[] = []
    try {
      await probe?.('sealed')
      let state: StateFileRef | undefined
      if (snapshot.state !== undefined) {
        const bytes = snapshot.state.finish(this.metaOf(epoch, stage))
        const file = await this.create(objectNames.delta(epoch, stage, task, nonce()), bytes)
        state = { ...file, epoch, records: snapshot.state.records, base: false }
        made.push(file.name)
        await probe?.('delta')
      }
      let outbox: OutboxRef | undefined
      if (snapshot.outbox !== undefined) {
        const { bytes, sections } = snapshot.outbox.finish()
        const file = await this.create(objectNames.outbox(epoch, stage, task, nonce()), bytes)
        outbox = { stage, task, epoch, file, sections }
        made.push(file.name)
      }
      if (epoch === this.epoch) this.acknowledged.push({ snapshot, state, outbox })
      else this.doom(made)
    } catch (error) {
      this.doom(made)
      throw error
    }
  }

  /** The epoch was abandoned: what was written for it is of no use. */
  abandon(epoch: number): void {
    if (epoch !== this.epoch) return
    this.doom(this.acknowledged.flatMap(each => [each.state?.name ?? [], each.outbox?.file.name ?? []].flat()))
    this.begin(epoch + 1)
    this.tidy()
  }

  /** Stores the manifest. Rejects when storage does; the epoch is then to be abandoned. */
  async prepare(epoch: number, final: boolean, savepoints: readonly string[]): Promise<Head> {
    assert(epoch === this.epoch, `epoch ${epoch} is not being written`)
    this.adopting = this.merge?.made === undefined ? undefined : this.merge
    const manifest = this.manifest(epoch, final, savepoints)
    const { bytes, hash } = encodeManifest(manifest)
    const { name } = await this.create(objectNames.manifest(epoch, this.settings.nonce()), bytes)
    return { name, manifest, hash }
  }

  /** Answers once the decision stands; the outboxes of the epoch may be published from then on. */
  async decide(
    head: Head
  ): Promise<{ readonly outboxes: readonly OutboxRef[]; readonly snapshots: readonly TaskSnapshot[] }> {
    const { probe } = this.settings
    await probe?.('before-decision')
    await this.append(head)
    await probe?.('after-decision')
    const { acknowledged } = this
    if (this.adopting !== undefined) this.merge = undefined
    this.head = head
    this.begin(head.manifest.epoch + 1)
    this.retain(head)
    this.tidy()
    return {
      outboxes: acknowledged.flatMap(each => each.outbox ?? []),
      snapshots: acknowledged.map(each => each.snapshot)
    }
  }

  /** Resolves when no merge or deletion is under way. */
  async settled(): Promise<void> {
    while (this.housekeeping !== undefined) await this.housekeeping
  }

  close(): void {
    this.closed = true
  }

  private begin(epoch: number): void {
    this.epoch = epoch
    this.acknowledged = []
  }

  private async append(head: Head): Promise<void> {
    const { log, clock } = this.settings
    const { manifest } = head
    const decision = this.decisionOf(head)
    for (let delayMs = firstRetryMs; ; delayMs = Math.min(2 * delayMs, longestRetryMs)) {
      try {
        const outcome = await log.append(decision)
        this.trouble = undefined
        if (outcome.kind === 'appended') return
        throw new CodedError('FENCED', `epoch ${manifest.epoch}: another owner wrote the decision log`)
      } catch (error) {
        if (this.closed || (error instanceof CodedError && error.code !== 'STORAGE_FAILED')) throw error
        this.trouble = `the decision of epoch ${manifest.epoch} cannot be stored: ${messageOf(error)}`
        await new Promise<void>(resolve => clock.after(delayMs, resolve))
      }
    }
  }

  private decisionOf({ manifest, name, hash }: Head): Completed {
    const { epoch, generation, final, savepointNames } = manifest
    return { kind: 'completed', epoch, generation, manifest: { name, hash }, final, savepoints: savepointNames }
  }

  private async create(name: string, bytes: Uint8Array): Promise<FileRef> {
    const sha256 = await this.settings.sha256(bytes)
    if ((await this.settings.storage.create(name, bytes)) === 'exists')
      throw new CodedError('CORRUPT', `"${name}" exists though its name is new`)
    return { name, sizeBytes: bytes.length, sha256 }
  }

  private metaOf(epoch: number, stage: string) {
    const { graph, lineage, generation } = this.settings
    return { job: graph.plan.job, lineage, generation, epoch, stage }
  }

  // ---- the manifest

  private manifest(epoch: number, final: boolean, savepointNames: readonly string[]): Manifest {
    const { graph, generation, lineage } = this.settings
    const { job, keyGroups, slots, parallelism } = graph.plan
    const previous = this.head?.manifest
    const stages = graph.stages.flatMap(stage => (stage.kind === 'keyed' ? this.stage(stage.name, slots) : []))
    const sources = graph.stages
      .filter(stage => stage.kind === 'source')
      .map(({ name }) => ({
        name,
        partitions: this.acksOf(name)
          .flatMap(each => each.snapshot.positions)
          .sort((a, b) => a.partition - b.partition)
      }))
    const ledgers = [...this.settings.slots.values()].flatMap(({ name, ledger }) => {
      if (ledger === undefined && epoch === 0) return []
      assert(ledger !== undefined, 'a checkpoint before a slot was recovered')
      return { sink: name.sink, stage: name.stage, slot: name.slot, epoch: ledger.epoch, chunk: ledger.chunk }
    })
    return {
      format: manifestFormat,
      job,
      lineage,
      generation,
      epoch,
      previous: this.head === undefined ? null : { epoch: this.head.manifest.epoch, hash: this.head.hash },
      final,
      savepointNames,
      savepoints: savepointsBefore(this.head),
      keyGroups,
      slots,
      parallelism,
      stages,
      sources,
      outboxes: [
        ...(previous?.outboxes ?? []).filter(ref => !this.isPublished(ref)),
        ...this.acknowledged.flatMap(each => each.outbox ?? [])
      ],
      ledgers
    }
  }

  private acksOf(stage: string): Acknowledged[] {
    return this.acknowledged
      .filter(each => each.snapshot.task.settings.stage.name === stage)
      .sort((a, b) => a.snapshot.task.settings.task - b.snapshot.task.settings.task)
  }

  private stage(name: string, slots: number): StageManifest {
    const known = this.head?.manifest.stages.find(each => each.name === name)
    const acks = this.acksOf(name)
    const watermarks = new Array<number | null>(slots).fill(null)
    for (const { snapshot } of acks)
      for (const { slot, time } of snapshot.watermarks) watermarks[slot] = Number.isFinite(time) ? time : null
    return {
      name,
      schemas: this.settings.schemas.get(name) ?? [],
      watermarks,
      finished: acks.length > 0 && acks.every(each => each.snapshot.finished),
      files: [...this.adopt(name, known?.files ?? []), ...acks.flatMap(each => each.state ?? [])]
    }
  }

  /** Puts merged files in the place of those that they were made from. */
  private adopt(stage: string, files: readonly StateFileRef[]): readonly StateFileRef[] {
    const merge = this.adopting
    if (merge?.made === undefined || merge.stage !== stage) return files
    const from = files.findIndex(file => file.name === merge.replaces[0]?.name)
    assert(from >= 0, 'merged files are not in the manifest')
    return files.toSpliced(from, merge.replaces.length, ...merge.made)
  }

  private isPublished(ref: OutboxRef): boolean {
    return ref.sections.every(section => {
      const key = slotKey({ sink: section.sink, stage: ref.stage, slot: section.slot })
      const ledger = this.settings.slots.get(key)?.ledger
      if (ledger === undefined) return false
      return ledger.epoch > ref.epoch || (ledger.epoch === ref.epoch && ledger.chunk >= section.chunks.length - 1)
    })
  }

  // ---- housekeeping

  private retain(head: Head): void {
    this.retained.unshift({ name: head.name, manifest: head.manifest })
    const savepoints = new Set(head.manifest.savepoints.map(each => each.manifest.name))
    const newest = this.retained.slice(0, retainedCheckpoints)
    const gone = this.retained.slice(retainedCheckpoints).filter(each => !savepoints.has(each.name))
    this.retained = [...newest, ...this.retained.slice(retainedCheckpoints).filter(each => savepoints.has(each.name))]
    const kept = new Set(this.retained.flatMap(each => filesOf(each.manifest)))
    for (const each of gone) this.doom([...filesOf(each.manifest).filter(name => !kept.has(name)), each.name])
  }

  private doom(names: readonly string[]): void {
    for (const name of names) if (!this.doomed.includes(name)) this.doomed.push(name)
  }

  private tidy(): void {
    if (this.closed) return
    this.housekeeping ??= this.keepHouse()
      .catch((error: unknown) => {
        this.merge = undefined
        this.trouble = messageOf(error)
      })
      .finally(() => (this.housekeeping = undefined))
  }

  private async keepHouse(): Promise<void> {
    const { storage, log } = this.settings
    for (let name = this.doomed[0]; name !== undefined && !this.closed; name = this.doomed[0]) {
      await storage.remove(name)
      this.doomed.shift()
    }
    if ((this.head?.manifest.epoch ?? 0) % pruneEvery === 0) await log.prune()
    if (this.merge === undefined) await this.mergeSome()
  }

  private async mergeSome(): Promise<void> {
    const { graph, storage, probe, nonce } = this.settings
    for (const stage of this.head?.manifest.stages ?? []) {
      const run = planCompaction(stage.files, filesPerTask * graph.plan.parallelism)
      if (run === undefined) continue
      const merge: Merge = { stage: stage.name, replaces: stage.files.slice(run.from, run.to), made: undefined }
      this.merge = merge
      const epoch = Math.max(...merge.replaces.map(file => file.epoch))
      const made: string[] = []
      try {
        const files = await mergeFiles(
          storage,
          merge.replaces,
          this.metaOf(epoch, stage.name),
          run.base,
          async (bytes, records) => {
            if (this.closed) throw new CodedError('STORAGE_FAILED', 'the job is being stopped')
            const file = await this.create(objectNames.base(epoch, stage.name, nonce()), bytes)
            made.push(file.name)
            await probe?.('base')
            return { ...file, epoch, records, base: run.base }
          },
          () => new Promise(resolve => this.settings.clock.yield(resolve))
        )
        merge.made = files
      } catch (error) {
        this.doom(made)
        throw error
      }
      return
    }
  }
}

function savepointsBefore(head: Head | undefined): Manifest['savepoints'] {
  if (head === undefined) return []
  const { epoch, savepointNames, savepoints } = head.manifest
  return [
    ...savepoints,
    ...savepointNames.map(name => ({ name, epoch, manifest: { name: head.name, hash: head.hash } }))
  ]
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
