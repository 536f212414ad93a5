/**
 * Alignment of one task: holds back a channel that has delivered barrier *n* until the others have, then says that the snapshot is
 * to be taken; from then on, what channels that have not delivered it still bring is to be recorded (Chandy and Lamport, 1985).
 *
 *          first barrier n           every acyclic channel has it          every channel has it
 *   idle ──────────────────► aligning ───────────────────────────► recording ──────────────────► idle
 *     └───────────── `force(n)`: at once ──────────────────────────────┘
 *
 * Channels of a cycle are never waited for: they could only deliver a barrier that this task has passed on. Without any, and without
 * `force`, nothing is ever recorded.
 *
 * Invariants
 * 1. While it aligns no channel that delivered barrier n is read.
 * 2. Once the snapshot is taken, what comes on a channel before its barrier n is recorded, and nothing after it.
 * 3. The barrier of an abandoned epoch, however late, holds back and records nothing.
 * 4. A channel that has ended counts as having delivered every barrier.
 */
import { assert } from '../runtime/kernel/errors.ts'

export class Aligner {
  private readonly cycle: readonly boolean[]
  private readonly delivered: boolean[]
  private readonly closed: boolean[]
  private epoch: number | undefined
  private sealed = false
  private cancelled = 0

  /** @param cycle which of the channels belong to a cycle */
  constructor(channels: number, cycle: readonly boolean[] = []) {
    this.cycle = cycle
    this.delivered = new Array<boolean>(channels).fill(false)
    this.closed = new Array<boolean>(channels).fill(false)
  }

  /** `aligned`: the snapshot is to be taken now. `recorded`: this channel is recorded no more. */
  barrier(channel: number, epoch: number): 'held' | 'aligned' | 'recorded' | 'obsolete' {
    assert(this.closed[channel] === false, 'a barrier after the end of a channel')
    if (epoch <= this.cancelled || (this.epoch !== undefined && epoch < this.epoch)) return 'obsolete'
    this.begin(epoch)
    this.delivered[channel] = true
    if (!this.sealed) return this.align() === undefined ? 'held' : 'aligned'
    this.settle()
    return 'recorded'
  }

  /** The epoch that became aligned because this channel had been the last one missing. */
  ended(channel: number): number | undefined {
    this.closed[channel] = true
    if (this.epoch === undefined) return undefined
    if (!this.sealed) return this.align()
    this.settle()
    return undefined
  }

  /** The snapshot of `epoch` is taken now, whatever has not come. */
  force(epoch: number): void {
    assert(epoch > this.cancelled && epoch >= (this.epoch ?? 0), `epoch ${epoch} is past`)
    this.begin(epoch)
    this.sealed = true
    this.settle()
  }

  /** Epochs up to this one were abandoned: their barriers mean nothing any more. */
  cancel(epoch: number): void {
    this.cancelled = Math.max(this.cancelled, epoch)
    if (this.epoch !== undefined && this.epoch <= epoch) this.reset()
  }

  isHeld(channel: number): boolean {
    return !this.sealed && this.delivered[channel] === true
  }

  isRecorded(channel: number): boolean {
    return this.sealed && this.delivered[channel] === false && this.closed[channel] === false
  }

  /** The epoch whose barrier some channels have delivered and others are waited for. */
  get aligning(): number | undefined {
    return this.sealed ? undefined : this.epoch
  }
  /** The snapshot is taken and not complete: something is still recorded. */
  get recording(): boolean {
    return this.sealed
  }
  get allEnded(): boolean {
    return this.closed.every(Boolean)
  }
  /** No barrier will come but by a cycle. */
  get acyclicEnded(): boolean {
    return this.closed.every((closed, i) => closed || this.cycle[i] === true)
  }

  private begin(epoch: number): void {
    if (this.epoch === epoch) return
    this.reset()
    this.epoch = epoch
  }

  private align(): number | undefined {
    const { epoch } = this
    if (!this.delivered.every((delivered, i) => delivered || this.closed[i] || this.cycle[i])) return undefined
    this.sealed = true
    this.settle()
    return epoch
  }

  private settle(): void {
    if (this.delivered.every((delivered, i) => delivered || this.closed[i])) this.reset()
  }

  private reset(): void {
    this.epoch = undefined
    this.sealed = false
    this.delivered.fill(false)
  }
}
