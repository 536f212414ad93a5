/**
 * Carries out what the checkpoint leader asks: stores the manifest, appends the decision, tells the workers. One instance per
 * generation. It decides nothing.
 */
import type { CheckpointAction, CheckpointCommand, CheckpointLeader } from '../core/checkpoint-leader.ts'
import type { Clock } from '../ports/clock.ts'
import { addedBytes, type CheckpointSpans } from './checkpoint-spans.ts'
import type { CheckpointWriter, Head } from './checkpoint-writer.ts'

export interface LeaderShellSettings {
  readonly leader: CheckpointLeader
  readonly writer: CheckpointWriter
  readonly clock: Clock
  /** Tell the workers; again and again where messages may be lost. */
  readonly trigger: (epoch: number, last: boolean) => void
  readonly abandon: (epoch: number) => void
  readonly decided: (head: Head) => void
  readonly ended: (how: 'finished' | 'drained' | 'parked') => void
  /** Nothing can be decided here any more. */
  readonly failed: (error: unknown) => void
  readonly spans: CheckpointSpans
  readonly generation: number
}

export class LeaderShell {
  /** Completed checkpoints of this generation. */
  lastCheckpoint:
    | { readonly epoch: number; readonly completedAt: number; readonly durationMs: number; readonly bytes: number }
    | undefined
  /** Decisions being stored. */
  pending = 0
  private readonly settings: LeaderShellSettings
  private over = false
  private cancelTimer: (() => void) | undefined

  constructor(settings: LeaderShellSettings) {
    this.settings = settings
  }

  /** Why no checkpoint completes at the moment, undefined when all is well. */
  get trouble(): string | undefined {
    return this.settings.leader.trouble ?? this.settings.writer.trouble
  }

  command(command: CheckpointCommand): void {
    if (this.over) return
    const { leader, clock } = this.settings
    try {
      for (const action of leader.step(command, clock.elapsed())) this.carryOut(action)
    } catch (error) {
      this.fail(error)
    }
    this.arm()
  }

  async stop(): Promise<void> {
    this.close()
    await this.settings.writer.settled()
  }

  private close(): void {
    this.over = true
    this.cancelTimer?.()
    this.settings.writer.close()
  }

  private fail(error: unknown): void {
    if (this.over) return
    this.close()
    this.settings.failed(error)
  }

  private arm(): void {
    this.cancelTimer?.()
    const { leader, clock } = this.settings
    const at = leader.nextDeadlineMs()
    if (at === undefined || this.over) return
    this.cancelTimer = clock.after(Math.max(1, at - clock.elapsed()), () => this.command({ kind: 'tick' }))
  }

  private carryOut(action: CheckpointAction): void {
    switch (action.kind) {
      case 'trigger':
        this.settings.spans.triggered(this.settings.generation, action.epoch)
        return this.settings.trigger(action.epoch, action.last)
      case 'abandon':
        this.settings.spans.abandoned(action.epoch)
        return this.settings.abandon(action.epoch)
      case 'ended':
        this.close()
        return this.settings.ended(action.how)
      case 'complete':
        this.pending++
        this.complete(action).then(
          command => {
            this.pending--
            this.command(command)
          },
          (error: unknown) => this.fail(error)
        )
    }
  }

  private async complete(action: Extract<CheckpointAction, { kind: 'complete' }>): Promise<CheckpointCommand> {
    const { epoch, final, savepoints, acknowledgements } = action
    const { writer, clock, leader, decided, spans } = this.settings
    const prepared = await writer.prepare(epoch, final, savepoints, acknowledgements)
    if (prepared.kind === 'refused') return { kind: 'manifest-failed', epoch, message: prepared.message }
    const { head } = prepared
    this.command({ kind: 'attempted', epoch })
    await writer.decide(head)
    this.lastCheckpoint = {
      epoch,
      completedAt: clock.now(),
      durationMs: clock.elapsed() - leader.triggeredAt,
      bytes: addedBytes(head.manifest)
    }
    spans.completed(head.manifest)
    if (!this.over) decided(head)
    return { kind: 'decided', epoch }
  }
}
