/** A cluster of one: the leader and the only worker of a job in one process, joined by calls. */
import { hasSavepoint } from '../../checkpoint/manifest.ts'
import type { CheckpointLeader } from '../core/checkpoint-leader.ts'
import type { PaceGauges } from '../core/checkpoint-pace.ts'
import type { QuarantineAnswer, QuarantineCommand } from '../core/quarantine.ts'
import type { Worker } from '../core/worker.ts'
import type { GenerationGauges } from '../core/worker-gauges.ts'
import { CodedError } from '../kernel/errors.ts'
import { keyText } from '../kernel/keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { CheckpointSpans } from './checkpoint-spans.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import { LeaderShell } from './leader-shell.ts'
import type { WorkerShell } from './worker-shell.ts'

export interface EmbeddedSettings {
  readonly name: string
  readonly worker: Worker
  readonly shell: WorkerShell
  readonly leader: CheckpointLeader
  readonly writer: CheckpointWriter
  readonly clock: Clock
  readonly spans: CheckpointSpans
  readonly generation: number
}

export class EmbeddedShell {
  readonly ended: Promise<'finished' | 'drained' | 'parked' | 'stopped'>
  private readonly settings: EmbeddedSettings
  private readonly leaderShell: LeaderShell
  private readonly requestedSavepoints = new Set<string>()
  private decisions: { readonly done: (savepoints: readonly string[]) => boolean }[] = []
  /** Commands of operators that wait for an answer. */
  private readonly operating = new Set<QuarantineCommand>()
  private settle!: (how: 'finished' | 'drained' | 'parked') => void

  constructor(settings: EmbeddedSettings) {
    this.settings = settings
    const { name, shell, leader, writer, clock, spans, generation } = settings
    this.leaderShell = new LeaderShell({
      leader,
      writer,
      clock,
      spans,
      generation,
      trigger: (epoch, last) => shell.command({ kind: 'trigger', epoch, last }),
      abandon: epoch => shell.command({ kind: 'abandon', epoch }),
      decided: ({ manifest, hash }) => {
        shell.decided(manifest.epoch, hash, manifest.loops ?? [])
        this.decisions = this.decisions.filter(({ done }) => !done(manifest.savepointNames))
      },
      ended: how => {
        this.settle(how)
        shell.halt()
      },
      failed: error => shell.fail(error)
    })
    shell.onStep = () => {
      this.leaderShell.command({ kind: 'report', worker: name, report: shell.report })
      for (const command of this.operating)
        // Carried out: a checkpoint is to hold it soon, whatever the interval is.
        if (settings.worker.keyedTaskOf(command)?.state.quarantine.answered(command) === true)
          this.leaderShell.command({ kind: 'checkpoint' })
    }
    const how = new Promise<'finished' | 'drained' | 'parked'>(resolve => (this.settle = resolve))
    this.ended = Promise.race([how, shell.ended.then(() => 'stopped' as const)])
    this.ended.catch(() => undefined)
  }

  start(): void {
    this.settings.shell.start()
  }

  /** A checkpoint of everything read so far. Resolves with its epoch; with the newest one when nothing has changed since. */
  checkpoint(): Promise<number> {
    const { worker, writer, leader } = this.settings
    const newest = (): number => writer.head?.manifest.epoch ?? 0
    const after = leader.pendingEpoch ?? newest()
    if (leader.pendingEpoch === undefined && !worker.changed) return Promise.resolve(newest())
    const decided = this.whenDecided(() => (newest() > after || !worker.changed ? newest() : undefined))
    this.leaderShell.command({ kind: 'checkpoint' })
    return decided
  }

  /** A checkpoint that stays until it is dropped. */
  async savepoint(name: string): Promise<{ readonly name: string; readonly epoch: number }> {
    const { writer } = this.settings
    if (hasSavepoint(writer.head?.manifest, name) || this.requestedSavepoints.has(name))
      throw new CodedError('OPTION_INVALID', `there is a savepoint "${name}" already; choose another name`)
    this.requestedSavepoints.add(name)
    const decided = this.whenDecided(savepoints =>
      savepoints.includes(name) ? (writer.head?.manifest.epoch ?? 0) : undefined
    )
    this.leaderShell.command({ kind: 'checkpoint', savepoint: name })
    return { name, epoch: await decided }
  }

  /**
   * Has a parked key retried, edited or dropped; resolves once that is decided. The same command again does nothing again, and is answered
   * the same. Throws NOT_FOUND.
   */
  async operate(command: QuarantineCommand): Promise<QuarantineAnswer> {
    const { worker, shell } = this.settings
    const quarantine = worker.keyedTaskOf(command)?.state.quarantine
    const known = quarantine?.answerOf(command)
    if (known !== undefined) return known
    if (quarantine?.holds(command) !== true)
      throw new CodedError('NOT_FOUND', `stage "${command.stage}" has no key ${keyText(command.key)} in quarantine`)
    const decided = this.whenDecided(() => quarantine.answerOf(command))
    this.operating.add(command)
    try {
      shell.command({ kind: 'operate', command })
      return await decided
    } finally {
      this.operating.delete(command)
    }
  }

  /** Reads no more, takes a last checkpoint, publishes it and ends. */
  drain(): void {
    this.settings.shell.command({ kind: 'drain' })
    this.leaderShell.command({ kind: 'drain' })
  }

  tick(): void {
    this.settings.shell.command({ kind: 'tick' })
  }

  get lastCheckpoint(): LeaderShell['lastCheckpoint'] {
    return this.leaderShell.lastCheckpoint
  }
  /** How often checkpoints are taken. */
  get pace(): PaceGauges {
    return this.settings.leader.pace
  }
  get gauges(): GenerationGauges {
    return this.settings.shell.gauges
  }
  get published(): ReadonlyMap<string, number> {
    return this.settings.shell.published
  }
  get isOver(): boolean {
    return this.settings.shell.isOver
  }

  /** Why no checkpoint completes at the moment, undefined when all is well. */
  get trouble(): string | undefined {
    return this.leaderShell.trouble ?? this.settings.shell.trouble
  }

  /** Resolves when no effect is under way and no work is scheduled: only input or time can move it on. */
  async quiet(): Promise<void> {
    do await this.settings.shell.quiet()
    while (!this.isOver && this.leaderShell.pending > 0 && (await this.nextTurn()))
  }

  async stop(): Promise<void> {
    await this.settings.shell.stop()
    await this.leaderShell.stop()
  }

  private nextTurn(): Promise<true> {
    return new Promise(resolve => this.settings.clock.yield(() => resolve(true)))
  }

  private whenDecided<T>(found: (savepoints: readonly string[]) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      this.decisions.push({
        done: savepoints => {
          const answer = found(savepoints)
          if (answer !== undefined) resolve(answer)
          return answer !== undefined
        }
      })
      this.ended.then(
        how => reject(new CodedError('NOT_RUNNING', `the job ended (${how}) before that was decided`)),
        reject
      )
    })
  }
}
