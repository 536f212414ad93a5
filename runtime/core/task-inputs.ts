/**
 * The inputs of one keyed task: which channel is read next, and when an epoch is sealed.
 *
 * Invariants
 * 1. A channel that has delivered barrier n is not read until all that belong to no loop have (aligned).
 * 2. A batch is read to its end before another channel gets its turn.
 * 3. A barrier is not taken before the worker was told that its epoch is under way: what became of the one before is known then.
 * 4. What leads into a loop is not read while too much waits in it, and nothing in a loop while too much waits for a checkpoint,
 *    unless a barrier is on its way through.
 */
import { Aligner } from '../../checkpoint/aligner.ts'
import { reached } from '../kernel/marks.ts'
import type { Channel, LoopBacklog } from './channel.ts'
import { MinWatermark } from './watermarks.ts'

export interface TaskInputsSettings {
  readonly channels: readonly Channel[]
  /** An alignment that takes longer ends at once: what is missing is recorded. */
  readonly alignmentLimitMs: number
}

export class TaskInputs {
  readonly channels: readonly Channel[]
  readonly aligner: Aligner
  readonly watermarks: MinWatermark
  /** Of the loop that the task belongs to. */
  readonly loop: LoopBacklog | undefined
  /** Too much waits for a checkpoint: a loop would go on making more. */
  paused = false
  /** Barriers that were waited for on every channel, and how long all of them together. */
  alignments = 0
  alignmentMs = 0
  private readonly alignmentLimitMs: number
  /** Something leads into the loop here; its other tasks get their barriers from those where it does. */
  private readonly hasWayIn: boolean
  private next = 0
  /** The channel of the batch that is half read. */
  private half: number | undefined
  /** The loop was the last one that was read. */
  private loopServed = false
  /** Newest epoch that is known to be under way. */
  private underWay = 0
  /** Newest epoch that was sealed or given up. */
  private over = 0
  private aligningSince = 0

  constructor({ channels, alignmentLimitMs }: TaskInputsSettings) {
    this.channels = channels
    this.alignmentLimitMs = alignmentLimitMs
    const cycle = channels.map(({ place }) => place !== undefined)
    this.loop = channels.find(({ place }) => place !== undefined)?.place?.loop
    this.hasWayIn = cycle.includes(false)
    this.aligner = new Aligner(channels.length, cycle)
    this.watermarks = new MinWatermark(channels.length)
    channels.forEach(({ place }, index) => {
      if (place?.back === true) this.watermarks.ended(index)
    })
  }

  /** Records that wait, loops apart: in the fullest channel, and in all of them. */
  get waiting(): { readonly fullest: number; readonly records: number } {
    let [fullest, records] = [0, 0]
    for (const { place, waiting } of this.channels) {
      records += waiting
      if (place === undefined) fullest = Math.max(fullest, waiting)
    }
    return { fullest, records }
  }

  get empty(): boolean {
    return this.channels.every(channel => channel.empty)
  }

  // ---- reading

  /**
   * The channel to be read now: those of the loop first, in turns with what leads into it.
   * @param waits handlers are in flight: only records may be taken
   */
  toRead(waits: boolean): number | undefined {
    if (this.loop === undefined) return this.firstOf(undefined, waits)
    const half = this.half === undefined ? undefined : this.channels[this.half]?.place !== undefined
    const loopFirst = half ?? !this.loopServed
    const found = this.firstOf(loopFirst, waits)
    // In a loop other channels might keep handlers in flight for ever: what waits for them stops all reading.
    if (found === 'waits') return undefined
    const index = found ?? this.firstOf(!loopFirst, waits)
    if (index === undefined || index === 'waits') return undefined
    this.loopServed = this.channels[index]?.place !== undefined
    return index
  }

  private firstOf(cycle: undefined, waits: boolean): number | undefined
  private firstOf(cycle: boolean, waits: boolean): number | 'waits' | undefined
  private firstOf(cycle: boolean | undefined, waits: boolean): number | 'waits' | undefined {
    const { channels } = this
    const shut = cycle === true ? this.stands : cycle === false && this.shut
    for (let tried = 0; tried < channels.length; tried++) {
      const index = (this.next + tried) % channels.length
      const channel = channels[index] as Channel
      const element = channel.peek()
      if (element === undefined || this.aligner.isHeld(index)) continue
      if (cycle !== undefined && (channel.place !== undefined) !== cycle) continue
      if (shut && element.kind === 'records' && this.half !== index && !this.aligner.isRecorded(index)) continue
      if (element.kind === 'records') return index
      if (element.kind === 'barrier' && element.epoch > this.underWay) {
        reached('task inputs: a barrier that is known elsewhere first')
        continue
      }
      if (!waits) return index
      if (cycle !== undefined) return 'waits'
    }
    return undefined
  }

  /** Too much waits in the loop to let more in. */
  private get shut(): boolean {
    if (this.loop?.over !== true) return false
    reached('task inputs: too much waits in a loop')
    return this.underWay <= this.over
  }

  /** The loop stands still until a checkpoint is decided, or until the next begins. */
  private get stands(): boolean {
    if (!this.paused) return false
    reached('task inputs: a loop stands still')
    return this.underWay <= this.over
  }

  /**
   * Ends go before records, so that a source task without a partition never holds the watermark back: with one partition, what is
   * late depends on its records alone, after a crash too.
   */
  ending(): number | undefined {
    const index = this.channels.findIndex((channel, i) => channel.peek()?.kind === 'end' && !this.aligner.isHeld(i))
    return index === -1 ? undefined : index
  }

  /** A batch of the channel is being read. */
  reading(index: number): void {
    this.next = index
    this.half = index
    // A loop would make the batch grow while it is read.
    if (this.loop !== undefined) this.channels[index]?.cut()
  }

  /** It was read to its end. */
  read(index: number): void {
    this.next = (index + 1) % this.channels.length
    this.half = undefined
  }

  // ---- epochs

  /** The worker was told that the epoch is under way. */
  told(epoch: number): void {
    this.underWay = Math.max(this.underWay, epoch)
  }

  isSealed(epoch: number): boolean {
    return epoch <= this.over
  }

  sealed(epoch: number): void {
    this.over = Math.max(this.over, epoch)
  }

  abandon(epoch: number): void {
    this.aligner.cancel(epoch)
    this.told(epoch)
    this.sealed(epoch)
  }

  barrier(index: number, epoch: number, elapsedMs: number): ReturnType<Aligner['barrier']> {
    const first = this.aligner.aligning !== epoch
    const outcome = this.aligner.barrier(index, epoch)
    if (first && outcome !== 'obsolete') this.aligningSince = elapsedMs
    if (outcome === 'aligned') this.aligned(elapsedMs)
    if (outcome === 'obsolete') reached('task inputs: a barrier of an epoch given up')
    return outcome
  }

  /** The wait that began with the first barrier is over. */
  aligned(elapsedMs: number): void {
    this.alignments++
    this.alignmentMs += elapsedMs - this.aligningSince
  }

  /** The epoch to be sealed though not every barrier has come: alignment takes too long, or only a loop could bring it. */
  overdue(elapsedMs: number): number | undefined {
    const { aligning } = this.aligner
    if (aligning !== undefined) {
      if (elapsedMs < this.aligningSince + this.alignmentLimitMs) return undefined
      reached('task inputs: an alignment cut short')
      return aligning
    }
    const alone = this.loop !== undefined && this.hasWayIn && this.aligner.acyclicEnded
    return alone && this.underWay > this.over ? this.underWay : undefined
  }

  /** How long alignment may still take, undefined when there is none or it may take any time. */
  alignmentLeftMs(elapsedMs: number): number | undefined {
    if (this.aligner.aligning === undefined || this.alignmentLimitMs === Infinity) return undefined
    return this.aligningSince + this.alignmentLimitMs - elapsedMs
  }
}
