/** A partitioned log in an array: a position is an index. Bounded: what was appended before `end` is all there is. */
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import type { Fetched, LogReader, RecordBatch } from '../../runtime/ports/log.ts'

export interface LogRecord {
  readonly timestamp: number
  readonly value: Uint8Array
  readonly headers?: readonly RecordHeader[]
  /** Of a source that decodes by itself: a fresh object at each call. All records of a partition have it, or none. */
  readonly object?: () => unknown
}

export interface MemoryLogOptions {
  /** Records in one batch at most: small ones move barriers between them. */
  readonly batch?: number
  /** Runs before a fetch answers: where a world puts its latency. */
  readonly before?: (partition: number, position: number) => Promise<void>
}

export class MemoryLog implements LogReader {
  private readonly records: readonly (readonly LogRecord[])[]
  private readonly options: MemoryLogOptions

  constructor(records: readonly (readonly LogRecord[])[], options: MemoryLogOptions = {}) {
    this.records = records
    this.options = options
  }

  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve(this.records.map((_, partition) => ({ name: String(partition) })))
  }

  start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    return Promise.resolve(from === 'earliest' ? 0 : (this.records[partition]?.length ?? 0))
  }

  async fetch(partition: number, position: number, maxBytes: number): Promise<Fetched> {
    await this.options.before?.(partition, position)
    const records = this.records[partition] ?? []
    if (position > records.length) return { kind: 'out-of-range', earliest: 0, end: records.length }
    if (position === records.length) return { kind: 'finished' }
    const most = position + (this.options.batch ?? Infinity)
    let next = position
    let sizeBytes = 0
    while (next < records.length && next < most && (next === position || sizeBytes < maxBytes))
      sizeBytes += records[next++]?.value.length ?? 0
    return { kind: 'records', batch: batchOf(records, position, next, sizeBytes), next, end: records.length }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function batchOf(records: readonly LogRecord[], from: number, to: number, sizeBytes: number): RecordBatch {
  return {
    count: to - from,
    sizeBytes,
    offset: i => from + i,
    timestamp: i => records[from + i]?.timestamp ?? NaN,
    key: () => undefined,
    value: i => records[from + i]?.value,
    headers: i => records[from + i]?.headers,
    ...(records[from]?.object === undefined ? {} : { valueObject: (i: number) => records[from + i]?.object?.() })
  }
}
