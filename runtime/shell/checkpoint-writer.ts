/**
 * The leader's hand: stores the manifest of a complete epoch, then its decision. Then, off the critical path and one at a time: merges
 * small state files, and deletes what no retained checkpoint names.
 *
 * Invariants
 * 1. A manifest names only files that are durable; a decision names only a durable manifest.
 * 2. A decision is repeated unchanged until its place in the log is known (DESIGN 5.2).
 * 3. Files that are being merged, or were merged and not adopted yet, are not deleted: not by another leader either, because the name
 *    of a merged file belongs to an epoch that is not decided yet.
 */
import type { Acknowledgement, SlotLedger, TaskAcknowledgement } from '../../checkpoint/acknowledgement.ts'
import { planCompaction } from '../../checkpoint/compaction.ts'
import { appendUntilKnown, type Completed, type DecisionLog } from '../../checkpoint/decision-log.ts'
import {
  encodeManifest,
  epochHere,
  manifestFormat,
  type Manifest,
  type OutboxRef,
  type StageManifest,
  type StateFileRef
} from '../../checkpoint/manifest.ts'
import { loopSteps } from '../../checkpoint/loop-ends.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { filesOf, retainedCheckpoints, type Retained } from '../../checkpoint/retention.ts'
import { mergeFiles } from '../../checkpoint/state-reader.ts'
import { slotKey } from '../core/topology.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import type { Clock } from '../ports/clock.ts'
import { createFile, type FileSettings } from './task-files.ts'

export interface Head {
  /** Object name of the manifest. */
  readonly name: string
  readonly manifest: Manifest
  readonly hash: string
}

/** What became of a manifest that was to be stored. */
export type Prepared =
  { readonly kind: 'stored'; readonly head: Head } | { readonly kind: 'refused'; readonly message: string }

export interface CheckpointWriterSettings extends FileSettings {
  readonly graph: StageGraph
  /** Tasks of a stage. */
  readonly tasks: number
  readonly log: DecisionLog
  readonly head: Head | undefined
  /** Newest first, savepoints included. */
  readonly retained: readonly Retained[]
  readonly schemas: ReadonlyMap<string, readonly unknown[]>
  readonly clock: Clock
}

/** More state files per stage and task would make a restore read too many. */
const filesPerTask = 32
/** Decisions between two prunings of the log. */
const pruneEvery = 100

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
  private retained: Retained[]
  private merge: Merge | undefined
  /** The merge that the manifest under way adopts. */
  private adopting: Merge | undefined
  private housekeeping: Promise<void> | undefined
  /** To be deleted: the groups in order, the names of a group at once. */
  private readonly doomed: string[][] = []
  private closed = false

  constructor(settings: CheckpointWriterSettings) {
    this.settings = settings
    this.head = settings.head
    this.retained = [...settings.retained]
  }

  /** Those that are kept, newest first, savepoints included. */
  get checkpoints(): readonly Retained[] {
    return this.retained
  }

  /** Checkpoint 0: where every partition begins, so that a job started at "latest" and killed at once has a place to return to. */
  async start(sources: Manifest['sources']): Promise<void> {
    const manifest = { ...this.manifest(0, false, [], []), sources }
    const { bytes, hash } = encodeManifest(manifest)
    const { name } = await createFile(this.settings, objectNames.manifest(0, this.settings.nonce()), bytes)
    const head = { name, manifest, hash }
    const { log } = this.settings
    if ((await log.append(this.decisionOf(head))).kind === 'lost')
      throw new CodedError('FENCED', 'another owner wrote the decision log')
    this.head = head
    this.retain(head)
  }

  /** Stores the manifest. When storage refuses it, the epoch is to be abandoned. */
  async prepare(
    epoch: number,
    final: boolean,
    savepoints: readonly string[],
    acknowledgements: readonly Acknowledgement[]
  ): Promise<Prepared> {
    this.adopting = this.merge?.made === undefined ? undefined : this.merge
    for (const each of acknowledgements)
      assert(each.epoch === epoch, `an acknowledgement of epoch ${each.epoch} for epoch ${epoch}`)
    const manifest = this.manifest(epoch, final, savepoints, acknowledgements)
    const { bytes, hash } = encodeManifest(manifest)
    try {
      const { name } = await createFile(this.settings, objectNames.manifest(epoch, this.settings.nonce()), bytes)
      return { kind: 'stored', head: { name, manifest, hash } }
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
      return { kind: 'refused', message: error.message }
    }
  }

  /** Answers once the decision stands; the outboxes of the epoch may be published from then on. */
  async decide(head: Head): Promise<void> {
    const { probe } = this.settings
    await probe?.('before-decision')
    await this.append(head)
    await probe?.('after-decision')
    if (this.adopting !== undefined) this.merge = undefined
    this.head = head
    this.retain(head)
    this.tidy()
  }

  /** Resolves when no merge or deletion is under way. */
  async settled(): Promise<void> {
    while (this.housekeeping !== undefined) await this.housekeeping
  }

  close(): void {
    this.closed = true
  }

  private async append(head: Head): Promise<void> {
    const { log, clock } = this.settings
    const { manifest } = head
    const outcome = await appendUntilKnown(log, this.decisionOf(head), {
      wait: ms => new Promise(resolve => clock.after(ms, resolve)),
      given: () => this.closed,
      troubled: message => (this.trouble = message)
    })
    if (outcome.kind === 'lost')
      throw new CodedError('FENCED', `epoch ${manifest.epoch}: another owner wrote the decision log`)
  }

  private decisionOf({ manifest, name, hash }: Head): Completed {
    const { epoch, generation, final, savepointNames } = manifest
    return { kind: 'completed', epoch, generation, manifest: { name, hash }, final, savepoints: savepointNames }
  }

  private metaOf(epoch: number, stage: string) {
    const { job, lineage, generation } = this.settings
    return { job, lineage, generation, epoch, stage }
  }

  // ---- the manifest

  private manifest(
    epoch: number,
    final: boolean,
    savepointNames: readonly string[],
    acknowledgements: readonly Acknowledgement[]
  ): Manifest {
    const { graph, generation, lineage, tasks } = this.settings
    const { job, keyGroups, slots } = graph.plan
    const acks = acknowledgements.flatMap(each => each.tasks).sort((a, b) => a.task - b.task)
    const ledgers = acknowledgements.flatMap(each => each.ledgers)
    const of = (name: string): TaskAcknowledgement[] => acks.filter(each => each.stage === name)
    const previous = this.head?.manifest
    const loops = loopSteps(
      graph.loops.map(stages => stages.map(stage => graph.stages[stage]?.name ?? '')),
      acks
    )
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
      parallelism: tasks,
      stages: graph.stages.flatMap(({ kind, name }) => (kind === 'keyed' ? this.stage(name, slots, of(name)) : [])),
      ...(loops.length === 0 ? {} : { loops }),
      sources: graph.stages
        .filter(stage => stage.kind === 'source')
        .map(({ name }) => ({
          name,
          partitions: of(name)
            .flatMap(each => each.positions)
            .sort((a, b) => a.partition - b.partition)
        })),
      outboxes: [
        ...(previous?.outboxes ?? []).filter(ref => !isPublished(ref, ledgers)),
        ...acks.flatMap(each => each.outbox ?? [])
      ],
      ledgers
    }
  }

  private stage(name: string, slots: number, acks: readonly TaskAcknowledgement[]): StageManifest {
    const known = this.head?.manifest.stages.find(each => each.name === name)
    const watermarks = new Array<number | null>(slots).fill(null)
    for (const ack of acks) for (const { slot, time } of ack.watermarks) watermarks[slot] = time
    return {
      name,
      schemas: this.settings.schemas.get(name) ?? [],
      watermarks,
      finished: acks.length > 0 && acks.every(each => each.finished),
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

  // ---- housekeeping

  private retain(head: Head): void {
    this.retained.unshift({ name: head.name, manifest: head.manifest })
    const savepoints = new Set(head.manifest.savepoints.map(each => each.manifest.name))
    const newest = this.retained.slice(0, retainedCheckpoints)
    const gone = this.retained.slice(retainedCheckpoints).filter(each => !savepoints.has(each.name))
    this.retained = [...newest, ...this.retained.slice(retainedCheckpoints).filter(each => savepoints.has(each.name))]
    const kept = new Set(this.retained.flatMap(each => filesOf(each.manifest)))
    // Files before manifests.
    this.doom(gone.flatMap(each => filesOf(each.manifest)).filter(name => !kept.has(name)))
    this.doom(gone.map(each => each.name))
  }

  private doom(names: readonly string[]): void {
    const known = new Set(this.doomed.flat())
    const group = [...new Set(names)].filter(name => !known.has(name))
    if (group.length > 0) this.doomed.push(group)
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
    for (let group = this.doomed[0]; group !== undefined && !this.closed; group = this.doomed[0]) {
      await Promise.all(group.map(name => storage.remove(name)))
      this.doomed.shift()
    }
    if ((this.head?.manifest.epoch ?? 0) % pruneEvery === 0) await log.prune()
    if (this.merge === undefined) await this.mergeSome()
  }

  private async mergeSome(): Promise<void> {
    const { storage, probe, nonce, tasks } = this.settings
    for (const stage of this.head?.manifest.stages ?? []) {
      const run = planCompaction(stage.files, filesPerTask * tasks)
      if (run === undefined) continue
      const merge: Merge = { stage: stage.name, replaces: stage.files.slice(run.from, run.to), made: undefined }
      this.merge = merge
      const epoch = Math.max(...merge.replaces.map(epochHere))
      const undecided = (this.head?.manifest.epoch ?? 0) + 1
      const made: string[] = []
      try {
        const files = await mergeFiles(
          storage,
          merge.replaces,
          this.metaOf(epoch, stage.name),
          run.base,
          async (bytes, records) => {
            if (this.closed) throw stopped()
            const file = await createFile(this.settings, objectNames.base(undecided, stage.name, nonce()), bytes)
            made.push(file.name)
            await probe?.('base')
            return { ...file, epoch, records, base: run.base }
          },
          async () => {
            await new Promise<void>(resolve => this.settings.clock.yield(resolve))
            // Who waits for it begins the next generation.
            if (this.closed) throw stopped()
          }
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

const stopped = (): CodedError => new CodedError('STORAGE_FAILED', 'the job is being stopped')

function isPublished(ref: OutboxRef, ledgers: readonly SlotLedger[]): boolean {
  const known = new Map(ledgers.map(ledger => [slotKey(ledger), ledger]))
  return ref.sections.every(section => {
    const ledger = known.get(slotKey({ sink: section.sink, stage: ref.stage, slot: section.slot }))
    if (ledger === undefined) return false
    return ledger.epoch > ref.epoch || (ledger.epoch === ref.epoch && ledger.chunk >= section.chunks.length - 1)
  })
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
