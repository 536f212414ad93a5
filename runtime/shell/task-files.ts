/**
 * Writes the files of a worker's tasks for one epoch, and remembers them until the epoch is decided or given up.
 *
 * Invariants
 * 1. What is acknowledged is durable, and named with its hash.
 * 2. Files of an epoch that was given up before its decision was attempted are of no use to anybody: they are deleted.
 */
import type { TaskAcknowledgement } from '../../checkpoint/acknowledgement.ts'
import type { FileRef, OutboxRef, StateFileRef } from '../../checkpoint/manifest.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import type { TaskSnapshot } from '../core/worker.ts'
import { CodedError } from '../kernel/errors.ts'

/** What a fault injector may interrupt; production passes nothing. */
export type Probe = (
  point: 'sealed' | 'delta' | 'before-decision' | 'after-decision' | 'publish' | 'published' | 'base'
) => void | Promise<void>

export interface FileSettings {
  readonly job: string
  readonly lineage: number
  readonly generation: number
  readonly storage: CheckpointStorage
  readonly nonce: () => string
  readonly sha256: (bytes: Uint8Array) => Promise<string>
  readonly probe?: Probe
  /** A clock for what is counted only; absent: nothing is measured. */
  readonly measure?: () => number
}

export interface Written {
  readonly acknowledgement: TaskAcknowledgement
  readonly snapshot: TaskSnapshot
}

/** Stores an object whose name nobody else uses. Rejects when storage does. */
export async function createFile(settings: FileSettings, name: string, bytes: Uint8Array): Promise<FileRef> {
  const sha256 = await settings.sha256(bytes)
  if ((await settings.storage.create(name, bytes)) === 'exists')
    throw new CodedError('CORRUPT', `"${name}" exists though its name is new`)
  return { name, sizeBytes: bytes.length, sha256 }
}

export class TaskFiles {
  private readonly settings: FileSettings
  private readonly byEpoch = new Map<number, Written[]>()
  /** Epochs up to this one are over. */
  private over = 0
  /** Spent on putting files together. */
  finishMs = 0

  constructor(settings: FileSettings) {
    this.settings = settings
  }

  /** Rejects when storage does; the epoch is then to be abandoned. */
  async write(epoch: number, snapshot: TaskSnapshot): Promise<void> {
    const { probe, nonce, job, lineage, generation } = this.settings
    const { task, stage } = snapshot.task.settings
    const made: string[] = []
    try {
      await probe?.('sealed')
      let state: StateFileRef | undefined
      if (snapshot.state !== undefined) {
        const writer = snapshot.state
        const bytes = this.timed(() => writer.finish({ job, lineage, generation, epoch, stage: stage.name }))
        const file = await createFile(this.settings, objectNames.delta(epoch, stage.name, task, nonce()), bytes)
        state = { ...file, epoch, records: snapshot.state.records, base: false }
        made.push(file.name)
        await probe?.('delta')
      }
      let outbox: OutboxRef | undefined
      if (snapshot.outbox !== undefined) {
        const writer = snapshot.outbox
        const { bytes, sections } = this.timed(() => writer.finish())
        const file = await createFile(this.settings, objectNames.outbox(epoch, stage.name, task, nonce()), bytes)
        outbox = { stage: stage.name, task, epoch, file, sections }
        made.push(file.name)
      }
      const acknowledgement = {
        stage: stage.name,
        task,
        ...(state === undefined ? {} : { state }),
        ...(outbox === undefined ? {} : { outbox }),
        positions: snapshot.positions,
        watermarks: snapshot.watermarks.map(({ slot, time }) => ({ slot, time: Number.isFinite(time) ? time : null })),
        finished: snapshot.finished,
        ...(snapshot.loop === undefined ? {} : { loop: snapshot.loop })
      }
      if (epoch <= this.over) return this.remove(made)
      const written = this.byEpoch.get(epoch)
      if (written === undefined) this.byEpoch.set(epoch, [{ acknowledgement, snapshot }])
      else written.push({ acknowledgement, snapshot })
    } catch (error) {
      this.remove(made)
      throw error
    }
  }

  private timed<T>(finish: () => T): T {
    const { measure = () => 0 } = this.settings
    const began = measure()
    const finished = finish()
    this.finishMs += measure() - began
    return finished
  }

  written(epoch: number): readonly Written[] {
    return this.byEpoch.get(epoch) ?? []
  }

  /** The epoch is decided: its files belong to the checkpoint. */
  take(epoch: number): readonly Written[] {
    const written = this.written(epoch)
    this.byEpoch.delete(epoch)
    this.over = Math.max(this.over, epoch)
    return written
  }

  /** The epoch was abandoned. */
  forget(epoch: number): void {
    for (const { acknowledgement } of this.take(epoch)) {
      const { state, outbox } = acknowledgement
      this.remove([state?.name ?? [], outbox?.file.name ?? []].flat())
    }
  }

  /** What cannot be deleted now is collected when the next generation begins. */
  private remove(names: readonly string[]): void {
    for (const name of names) this.settings.storage.remove(name).catch(() => undefined)
  }
}
