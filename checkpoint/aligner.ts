/**
 * Alignment of one task: holds back a channel that has delivered barrier *n* until all have. The recording side (cycles,
 * alignment that lasts too long) takes its place here: instead of `held`, the channel would be recorded.
 *
 * Invariants
 * 1. Between the first and the last barrier *n* no channel that delivered it is read.
 * 2. The barrier of an abandoned epoch, however late, holds back nothing.
 * 3. A channel that has ended counts as having delivered every barrier.
 */
import { assert } from '../runtime/kernel/errors.ts'

export class Aligner {
  private readonly held: boolean[]
  private readonly closed: boolean[]
  private epoch: number | undefined
  private cancelled = 0

  constructor(channels: number) {
    this.held = new Array<boolean>(channels).fill(false)
    this.closed = new Array<boolean>(channels).fill(false)
  }

  /** `aligned`: every channel has delivered it; all are released. */
  barrier(channel: number, epoch: number): 'held' | 'aligned' | 'obsolete' {
    assert(this.closed[channel] === false, 'a barrier after the end of a channel')
    if (epoch <= this.cancelled || (this.epoch !== undefined && epoch < this.epoch)) return 'obsolete'
    if (this.epoch !== undefined && epoch > this.epoch) this.held.fill(false)
    this.epoch = epoch
    this.held[channel] = true
    return this.complete() === undefined ? 'held' : 'aligned'
  }

  /** The epoch that became aligned because this channel had been the last one missing. */
  ended(channel: number): number | undefined {
    this.closed[channel] = true
    return this.epoch === undefined ? undefined : this.complete()
  }

  /** Epochs up to this one were abandoned: their barriers mean nothing any more. */
  cancel(epoch: number): void {
    this.cancelled = Math.max(this.cancelled, epoch)
    if (this.epoch === undefined || this.epoch > epoch) return
    this.epoch = undefined
    this.held.fill(false)
  }

  isHeld(channel: number): boolean {
    return this.held[channel] === true
  }

  get allEnded(): boolean {
    return this.closed.every(Boolean)
  }

  private complete(): number | undefined {
    if (!this.held.every((held, i) => held || this.closed[i])) return undefined
    const epoch = this.epoch
    this.held.fill(false)
    this.epoch = undefined
    return epoch
  }
}
