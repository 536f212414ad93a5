/**
 * The coordinator: one pending checkpoint, when to trigger the next, and what a failure means.
 *
 *            trigger(n)            all acknowledged              attempted(n)           decided(n)
 *   idle ──────────────► collecting ───────────────► complete ────────────► deciding ────────────► idle
 *                            │ declined, timed out        │ manifest not written
 *                            └────────── abandoned ◄──────┘
 *
 * Invariants
 * 1. One epoch in flight; epoch numbers grow by one and are never used twice within a generation.
 * 2. An epoch completes only when every task has acknowledged it.
 * 3. Once its decision was attempted an epoch is not abandoned (DESIGN 5.2): only `decided` ends it.
 * 4. An abandoned epoch's changes belong to the next one: the caller must give them back to the tasks.
 */
import { assert } from '../runtime/kernel/errors.ts'

/** What a failure of a checkpoint means. */
export type CheckpointFailure = 'timeout' | 'write' | 'manifest' | 'decision'
export const failureTable = {
  /** Something is slow or stuck: its changes join the next epoch. */
  timeout: 'abandon',
  /** A file of a task could not be stored (disk full, no rights): the same. */
  write: 'abandon',
  /** The manifest could not be stored, so no decision was attempted: the same. */
  manifest: 'abandon',
  /** The decision may or may not be there: repeat it unchanged until its place is taken, by whomever. */
  decision: 'repeat'
} as const satisfies Record<CheckpointFailure, 'abandon' | 'repeat'>

export interface CoordinatorOptions {
  readonly intervalMs: number
  /** Between the start and the first trigger; default: `intervalMs`. */
  readonly firstAfterMs?: number
  /** A checkpoint that takes longer is abandoned. */
  readonly timeoutMs: number
  /** Bytes of dirty, sealed and outbox state: half of it asks for a barrier at once. */
  readonly pendingLimitBytes: number
  /** Newest decided epoch. */
  readonly epoch: number
}

/** What the trigger policy looks at. */
export interface TriggerView {
  readonly now: number
  /** Something changed since the last barrier. */
  readonly changed: boolean
  /** Every input is handled and no more will come. */
  readonly ending: boolean
  /** Every slot was fenced and its ledger read. */
  readonly recovered: boolean
  /** Decided epochs that are not published yet. */
  readonly unpublished: number
  readonly pendingBytes: number
}

export interface Pending {
  readonly epoch: number
  readonly triggeredAt: number
  readonly final: boolean
  readonly savepoints: readonly string[]
}

/** Beyond this publishing is too far behind: more decided epochs would only add to what a recovery must publish. */
export const unpublishedLimit = 4
const longestBackoffMs = 30_000

export class Coordinator<Task> {
  /** Newest epoch number used. */
  epoch: number
  /** Failures since the last decided checkpoint. */
  failures = 0
  lastFailure: { readonly reason: CheckpointFailure; readonly message: string } | undefined
  /** Between two triggers from now on. */
  intervalMs: number
  private readonly options: CoordinatorOptions
  private state:
    | (Pending & {
        readonly missing: Set<Task>
        readonly tasks: ReadonlySet<Task>
        step: 'collecting' | 'complete' | 'deciding'
      })
    | undefined
  private lastTriggerAt = -Infinity
  private requested = false
  private savepoints: string[] = []

  constructor(options: CoordinatorOptions) {
    this.options = options
    this.epoch = options.epoch
    this.intervalMs = options.intervalMs
  }

  get pending(): Pending | undefined {
    return this.state
  }

  /** Those who have not acknowledged the epoch in flight. */
  get missing(): readonly Task[] {
    return [...(this.state?.missing ?? [])]
  }

  /** The interval counts from here. */
  started(now: number): void {
    this.lastTriggerAt = now
  }

  /** Somebody wants a checkpoint now. */
  request(savepoint?: string): void {
    this.requested = true
    if (savepoint !== undefined) this.savepoints.push(savepoint)
  }

  shouldTrigger(view: TriggerView): boolean {
    if (this.state !== undefined || !view.recovered) return false
    if (this.failures > 0 && view.now < this.lastTriggerAt + this.backoffMs()) return false
    if (view.ending || this.savepoints.length > 0) return true
    if (!view.changed) {
      this.requested = false
      return false
    }
    if (this.requested) return true
    if (view.unpublished >= unpublishedLimit) return false
    return view.now >= this.lastTriggerAt + this.dueAfterMs || view.pendingBytes * 2 >= this.options.pendingLimitBytes
  }

  /** When time alone may trigger or end a checkpoint. */
  nextDeadlineMs(changed: boolean): number | undefined {
    if (this.state !== undefined)
      return this.state.step === 'collecting' ? this.state.triggeredAt + this.options.timeoutMs : undefined
    if (!changed && this.savepoints.length === 0) return undefined
    return this.lastTriggerAt + (this.failures > 0 ? this.backoffMs() : this.dueAfterMs)
  }

  private get dueAfterMs(): number {
    const { epoch, firstAfterMs = this.intervalMs } = this.options
    return this.epoch === epoch ? firstAfterMs : this.intervalMs
  }

  trigger(now: number, tasks: Iterable<Task>, final: boolean): Pending {
    assert(this.state === undefined, 'one epoch in flight')
    this.requested = false
    this.lastTriggerAt = now
    const all = new Set(tasks)
    const savepoints = this.savepoints.splice(0)
    this.state = {
      epoch: ++this.epoch,
      triggeredAt: now,
      final,
      savepoints,
      missing: new Set(all),
      tasks: all,
      step: 'collecting'
    }
    return this.state
  }

  /** `complete`: this was the last one missing. `discarded`: of an epoch that is not in flight (any more). */
  acknowledge(epoch: number, task: Task): 'complete' | 'accepted' | 'duplicate' | 'unknown' | 'discarded' {
    const state = this.state
    if (state === undefined || state.epoch !== epoch) return 'discarded'
    if (!state.tasks.has(task)) return 'unknown'
    if (!state.missing.delete(task)) return 'duplicate'
    if (state.missing.size > 0) return 'accepted'
    state.step = 'complete'
    return 'complete'
  }

  /** From here on the epoch can only be decided. */
  attempted(epoch: number): void {
    assert(this.state?.epoch === epoch && this.state.step === 'complete', `epoch ${epoch} is not complete`)
    this.state.step = 'deciding'
  }

  decided(epoch: number): Pending {
    const state = this.state
    assert(state?.epoch === epoch && state.step !== 'collecting', `decided epoch ${epoch} is not in flight`)
    this.state = undefined
    this.failures = 0
    this.lastFailure = undefined
    return state
  }

  /** Something of epoch n failed. Answers the epoch when it is now abandoned. */
  failed(epoch: number, reason: CheckpointFailure, message: string): number | undefined {
    const state = this.state
    if (state === undefined || state.epoch !== epoch) return undefined
    if (failureTable[reason] === 'repeat' || state.step === 'deciding') return undefined
    this.state = undefined
    this.failures++
    this.lastFailure = { reason, message }
    this.savepoints.unshift(...state.savepoints)
    this.requested = true
    return epoch
  }

  /** The epoch that has just run out of time. */
  timedOut(now: number): number | undefined {
    const state = this.state
    if (state?.step !== 'collecting' || now < state.triggeredAt + this.options.timeoutMs) return undefined
    const message = `${state.missing.size} of ${state.tasks.size} tasks did not finish within ${this.options.timeoutMs} ms`
    return this.failed(state.epoch, 'timeout', message)
  }

  private backoffMs(): number {
    return Math.min(longestBackoffMs, Math.max(100, this.intervalMs) * 2 ** Math.min(this.failures - 1, 10))
  }
}
