/**
 * The leader's side of the checkpoints of one generation: hears what its workers report, has barriers triggered, and says when a
 * checkpoint is complete and when the job has ended. Reports and directives carry whole states, so a lost, repeated or late one does
 * no harm.
 *
 *   reports ─► trigger n ─► … every worker acknowledges n ─► complete n (manifest, then decision, by the shell) ─► decided n
 *                 └────────── a worker declines, time runs out ─► abandon n; its changes belong to n+1
 *
 * Invariants
 * 1. No epoch is triggered before every slot of every worker was fenced and its ledger read.
 * 2. An epoch completes only on acknowledgements of every worker of the generation, for that very epoch.
 * 3. The job ends only when the last epoch is decided and every worker that knows of it has published everything.
 */
import type { ResolvedLatencyGoal } from '../../actors/interval.ts'
import type { Acknowledgement } from '../../checkpoint/acknowledgement.ts'
import { Coordinator } from '../../checkpoint/coordinator.ts'
import { reached } from '../kernel/marks.ts'
import { CheckpointPace, type PaceGauges } from './checkpoint-pace.ts'

/** Everything the leader needs to know of a worker of its generation. */
export interface WorkerReport {
  /** Something changed since the worker's last barrier. */
  readonly changed: boolean
  /** Every task has handled all its input, and no more will come. */
  readonly finished: boolean
  /** All input is handled, and what is left to end is a loop: only a checkpoint can tell, so it is not worth waiting for the next. */
  readonly resting: boolean
  /** All input is handled and nothing has changed since the last barrier. */
  readonly standing: boolean
  /** In quarantine. */
  readonly parkedKeys: number
  /** Every slot was fenced and its ledger read. */
  readonly recovered: boolean
  /** Nothing is left to publish of what the worker knows to be decided. */
  readonly settled: boolean
  /** Newest decided epoch the worker knows of. */
  readonly decided: number
  readonly unpublished: number
  readonly pendingBytes: number
  /** Of the newest epoch that the worker has written. */
  readonly acknowledged?: Acknowledgement
  /** The newest epoch whose files the worker could not write. */
  readonly declined?: { readonly epoch: number; readonly message: string }
}

/** After a generation began, until its first checkpoint may: there was no output for a while. Sooner: it holds next to nothing. */
export const firstCheckpointMs = 100

export interface CheckpointLeaderSettings {
  readonly workers: readonly string[]
  /** Newest decided epoch. */
  readonly epoch: number
  /** It is final: nothing is left but to publish it. */
  readonly final?: boolean
  /** Everything was read before: where keys are parked it waits for operators, instead of ending again. */
  readonly waits?: boolean
  readonly intervalMs: number
  /** The interval follows from what checkpoints take; `intervalMs` holds until the first. */
  readonly latencyGoal?: ResolvedLatencyGoal | undefined
  /** Until the first; default: `intervalMs`. */
  readonly firstAfterMs?: number
  readonly timeoutMs: number
  readonly pendingLimitBytes: number
}

export type CheckpointCommand =
  | { readonly kind: 'report'; readonly worker: string; readonly report: WorkerReport }
  /** The manifest could not be stored; no decision was attempted. */
  | { readonly kind: 'manifest-failed'; readonly epoch: number; readonly message: string }
  /** The manifest is durable and its decision is being attempted. */
  | { readonly kind: 'attempted'; readonly epoch: number }
  | { readonly kind: 'decided'; readonly epoch: number }
  | { readonly kind: 'checkpoint'; readonly savepoint?: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'tick' }

export type CheckpointAction =
  /** `last`: sources read nothing any more. */
  | { readonly kind: 'trigger'; readonly epoch: number; readonly last: boolean }
  /** Forget the epoch: its changes belong to the next one. */
  | { readonly kind: 'abandon'; readonly epoch: number }
  | {
      readonly kind: 'complete'
      readonly epoch: number
      readonly final: boolean
      readonly savepoints: readonly string[]
      readonly acknowledgements: readonly Acknowledgement[]
    }
  /** `parked`: all input is handled, and what is left is in quarantine. */
  | { readonly kind: 'ended'; readonly how: 'finished' | 'drained' | 'parked' }

export class CheckpointLeader {
  /** When the newest barrier was triggered. */
  triggeredAt = 0
  /** Every slot of every worker was fenced and its ledger read. */
  recovered = false
  private readonly settings: CheckpointLeaderSettings
  private readonly coordinator: Coordinator<string>
  private readonly pacing: CheckpointPace | undefined
  private readonly reports = new Map<string, WorkerReport>()
  private started = false
  private draining = false
  /** The epoch in flight is the last of this generation: nothing is read any more. */
  private lastTriggered = false
  private lastDecided: number | undefined
  private newestDecided: number | undefined
  /** As the workers' newest acknowledgements say. */
  private workBefore: readonly (number | undefined)[] = []
  private final = false
  private over = false

  constructor(settings: CheckpointLeaderSettings) {
    this.settings = settings
    this.coordinator = new Coordinator(settings)
    if (settings.latencyGoal !== undefined) this.pacing = new CheckpointPace(settings.latencyGoal)
    if (settings.final !== true) return
    // A checkpoint more would be one behind the last.
    reached('checkpoint leader: a generation that only publishes')
    this.final = true
    this.lastDecided = settings.epoch
  }

  /** Why no checkpoint completes at the moment, undefined when all is well. */
  get trouble(): string | undefined {
    return this.coordinator.lastFailure?.message
  }
  get pendingEpoch(): number | undefined {
    return this.coordinator.pending?.epoch
  }
  /** Workers whose acknowledgement of the epoch in flight is missing. */
  get missing(): readonly string[] {
    return this.coordinator.missing
  }
  get pace(): PaceGauges {
    const { pacing, settings, coordinator } = this
    const { latencyGoal } = settings
    if (pacing === undefined || latencyGoal === undefined)
      return { intervalMs: coordinator.intervalMs, goal: undefined }
    const { expectedMs, kept } = pacing
    return { intervalMs: coordinator.intervalMs, goal: { ...latencyGoal, expectedMs, kept } }
  }
  get changed(): boolean {
    return [...this.reports.values()].some(report => report.changed)
  }

  step(command: CheckpointCommand, now: number): CheckpointAction[] {
    if (!this.started) this.coordinator.started(now)
    this.started = true
    const actions: CheckpointAction[] = []
    switch (command.kind) {
      case 'report':
        if (this.settings.workers.includes(command.worker)) this.heard(command.worker, command.report, now, actions)
        break
      case 'manifest-failed':
        this.abandon(this.coordinator.failed(command.epoch, 'manifest', command.message), now, actions)
        break
      case 'attempted':
        this.coordinator.attempted(command.epoch)
        break
      case 'decided':
        this.coordinator.decided(command.epoch)
        this.newestDecided = command.epoch
        this.pacing?.decided(now)
        if (this.lastTriggered) this.lastDecided = command.epoch
        break
      case 'checkpoint':
        this.coordinator.request(command.savepoint)
        break
      case 'drain':
        this.draining = true
        break
      case 'tick':
        break
    }
    this.abandon(this.coordinator.timedOut(now), now, actions)
    this.paced(now)
    this.trigger(now, actions)
    this.end(actions)
    return actions
  }

  nextDeadlineMs(): number | undefined {
    return this.over ? undefined : this.coordinator.nextDeadlineMs(this.changed)
  }

  private heard(worker: string, report: WorkerReport, now: number, actions: CheckpointAction[]): void {
    this.reports.set(worker, report)
    const { declined, acknowledged } = report
    if (declined !== undefined)
      this.abandon(this.coordinator.failed(declined.epoch, 'write', declined.message), now, actions)
    if (acknowledged === undefined) return
    const outcome = this.coordinator.acknowledge(acknowledged.epoch, worker)
    if (outcome === 'discarded') reached('checkpoint leader: acknowledgement of an epoch not in flight')
    if (outcome !== 'complete') return
    const { epoch, savepoints } = this.coordinator.pending as { epoch: number; savepoints: readonly string[] }
    const acknowledgements = this.settings.workers.map(each => this.reports.get(each)?.acknowledged as Acknowledgement)
    this.pacing?.written(now, this.workOf(acknowledgements))
    actions.push({ kind: 'complete', epoch, final: this.final, savepoints, acknowledgements })
  }

  /** What checkpoints took of the busiest worker since the one before; undefined where one does not tell. */
  private workOf(acknowledgements: readonly Acknowledgement[]): number | undefined {
    const { workBefore } = this
    this.workBefore = acknowledgements.map(({ workMs }) => workMs)
    const each = this.workBefore.map((workMs = NaN, worker) => workMs - (workBefore[worker] ?? 0))
    const most = Math.max(...each)
    return Number.isNaN(most) ? undefined : most
  }

  private trigger(now: number, actions: CheckpointAction[]): void {
    if (this.over || this.lastDecided !== undefined || this.coordinator.pending !== undefined) return
    const reports = this.settings.workers.map(worker => this.reports.get(worker))
    this.recovered ||= reports.every(report => report?.recovered === true)
    const finished = reports.every(report => report?.finished === true)
    const ending = this.draining || finished || this.parked(reports)
    if (reports.every(report => report?.resting === true)) this.coordinator.request()
    const view = {
      now,
      changed: this.changed,
      ending,
      recovered: this.recovered,
      unpublished: Math.max(0, ...reports.map(report => report?.unpublished ?? 0)),
      pendingBytes: Math.max(0, ...reports.map(report => report?.pendingBytes ?? 0))
    }
    if (!this.coordinator.shouldTrigger(view)) return
    this.lastTriggered = ending
    this.final = finished
    this.triggeredAt = now
    this.pacing?.triggered(now)
    const { epoch } = this.coordinator.trigger(now, this.settings.workers, finished)
    actions.push({ kind: 'trigger', epoch, last: ending })
  }

  /** Nothing is left but parked keys. Whoever starts the job again can have them released. */
  private parked(reports: readonly (WorkerReport | undefined)[]): boolean {
    if (this.settings.waits === true) return false
    const over = reports.every(report => report?.finished === true || report?.standing === true)
    return over && reports.some(report => (report?.parkedKeys ?? 0) > 0)
  }

  private abandon(epoch: number | undefined, now: number, actions: CheckpointAction[]): void {
    if (epoch === undefined) return
    reached('checkpoint leader: an epoch abandoned')
    this.pacing?.abandoned(now)
    actions.push({ kind: 'abandon', epoch })
  }

  /** The interval follows from what has been heard. */
  private paced(now: number): void {
    const { pacing, newestDecided } = this
    if (pacing === undefined) return
    if (pacing.publishing && newestDecided !== undefined && this.published(newestDecided)) pacing.published(now)
    this.coordinator.intervalMs = pacing.intervalMs
  }

  /** Every worker knows that the epoch is decided, and has nothing left to publish. */
  private published(epoch: number): boolean {
    return this.settings.workers.every(worker => {
      const report = this.reports.get(worker)
      return report !== undefined && report.decided >= epoch && report.settled
    })
  }

  private end(actions: CheckpointAction[]): void {
    const { lastDecided } = this
    if (this.over || lastDecided === undefined || !this.published(lastDecided)) return
    this.over = true
    actions.push({ kind: 'ended', how: this.final ? 'finished' : this.draining ? 'drained' : 'parked' })
  }
}
