/** Values made up by a function of (sequence, partition): a bounded log whose positions are sequence numbers. */
import type { Fetched, LogReader, RecordBatch } from '../ports/log.ts'

const batchRecords = 1024

export interface GeneratorOptions {
  readonly partitions: number
  /** Per partition. */
  readonly count: number
  readonly make: (sequence: number, partition: number) => unknown
}

export class GeneratorReader implements LogReader {
  private readonly options: GeneratorOptions

  constructor(options: GeneratorOptions) {
    this.options = options
  }
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve(Array.from({ length: this.options.partitions }, (_, i) => ({ name: String(i) })))
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  fetch(partition: number, position: number): Promise<Fetched> {
    const { count, make } = this.options
    if (position > count) return Promise.resolve({ kind: 'out-of-range', earliest: 0, end: count })
    if (position === count) return Promise.resolve({ kind: 'finished' })
    const next = Math.min(count, position + batchRecords)
    const batch: RecordBatch = {
      count: next - position,
      sizeBytes: next - position,
      offset: i => position + i,
      timestamp: () => NaN,
      key: () => undefined,
      value: () => undefined,
      valueObject: i => make(position + i, partition)
    }
    return Promise.resolve({ kind: 'records', batch, next, end: count })
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}
