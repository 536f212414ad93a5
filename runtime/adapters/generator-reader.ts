/** Values made up by a function of (sequence, partition): a bounded log whose positions are sequence numbers. */
import type { Clock } from '../ports/clock.ts'
import type { Fetched, LogReader, RecordBatch } from '../ports/log.ts'
import { nodeClock } from './node-clock.ts'

const batchRecords = 1024
/** Where a rate is kept, records come in handfuls: one by one each would be a batch. */
const handfulMs = 10

export interface GeneratorOptions {
  readonly partitions: number
  /** Per partition. */
  readonly count: number
  readonly make: (sequence: number, partition: number) => unknown
  /** Of all partitions together; undefined: as fast as they are taken. */
  readonly perSecond?: number | undefined
}

export class GeneratorReader implements LogReader {
  private readonly options: GeneratorOptions
  private readonly clock: Clock
  /** By partition: where it began here, and when. */
  private readonly began = new Map<number, { readonly position: number; readonly at: number }>()
  private readonly waiting = new Set<() => void>()

  constructor(options: GeneratorOptions, clock: Clock = nodeClock) {
    this.options = options
    this.clock = clock
  }
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve(Array.from({ length: this.options.partitions }, (_, i) => ({ name: String(i) })))
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  async fetch(partition: number, position: number, _maxBytes?: number, waitMs = 0): Promise<Fetched> {
    const { count, make, perSecond } = this.options
    if (position > count) return { kind: 'out-of-range', earliest: 0, end: count }
    if (position === count) return { kind: 'finished' }
    const most = perSecond === undefined ? Infinity : await this.due(partition, position, perSecond, waitMs)
    if (most === 0) return { kind: 'caught-up', next: position }
    const next = Math.min(count, position + Math.min(batchRecords, most))
    const batch: RecordBatch = {
      count: next - position,
      sizeBytes: next - position,
      offset: i => position + i,
      timestamp: () => NaN,
      key: () => undefined,
      value: () => undefined,
      valueObject: i => make(position + i, partition)
    }
    return { kind: 'records', batch, next, end: count }
  }
  close(): Promise<void> {
    for (const end of [...this.waiting]) end()
    return Promise.resolve()
  }

  /** How many may be read, after a wait if there are none. */
  private async due(partition: number, position: number, perSecond: number, waitMs: number): Promise<number> {
    const began = this.began.get(partition) ?? { position, at: this.clock.elapsed() }
    this.began.set(partition, began)
    const perMs = perSecond / 1000 / this.options.partitions
    const due = (): number => Math.floor((this.clock.elapsed() - began.at) * perMs) - (position - began.position)
    const now = due()
    if (now > 0) return now
    await new Promise<void>(resolve => {
      const end = (): void => {
        cancel()
        this.waiting.delete(end)
        resolve()
      }
      const cancel = this.clock.after(Math.min(waitMs, Math.max(handfulMs, (1 - now) / perMs)), end)
      this.waiting.add(end)
    })
    return Math.max(0, due())
  }
}
