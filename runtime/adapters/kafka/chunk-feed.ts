/** A feed of what brokers answered: records are handed on where they stand. */
import type { FetchedRecords } from '../../kafka-protocol/fetched-records.ts'
import type { RecordHeader } from '../../kernel/record-header.ts'
import type { RecordBatch } from '../../ports/log.ts'
import { Feed, type Taken } from './feed.ts'

/** Records of one answer, from the one that is next. */
interface Chunk {
  readonly records: FetchedRecords
  taken: number
}

export class ChunkFeed extends Feed {
  /** Where the broker is asked next; undefined: not known yet whether that is within the partition. */
  asksAt: number | undefined
  /** Last stable offset, as it was heard last. */
  stable = -1
  /** Since when nobody has led it, or has known of it. */
  deniedSince: number | undefined
  private chunks: Chunk[] = []

  get isEmpty(): boolean {
    return this.chunks.length === 0
  }

  put(records: FetchedRecords): void {
    if (records.count === 0) return
    this.chunks.push({ records, taken: 0 })
    this.bytes += records.sizeBytes
  }

  take(maxBytes: number): Taken {
    const [chunk] = this.chunks as [Chunk]
    const { records, taken } = chunk
    let size = 0
    let end = taken
    if (taken === 0 && records.sizeBytes <= maxBytes) [size, end] = [records.sizeBytes, records.count]
    else while (end < records.count && (end === taken || size < maxBytes)) size += records.size(end++)
    this.bytes -= size
    chunk.taken = end
    const isWhole = end === records.count
    if (isWhole) this.chunks.shift()
    return {
      batch: new FetchedBatch(records, taken, end, size),
      next: isWhole ? records.next : records.offset(end - 1) + 1
    }
  }

  override clear(position: number): void {
    super.clear(position)
    this.chunks = []
    this.asksAt = this.deniedSince = undefined
  }
}

class FetchedBatch implements RecordBatch {
  readonly count: number
  readonly sizeBytes: number
  private readonly records: FetchedRecords
  private readonly first: number

  constructor(records: FetchedRecords, first: number, end: number, sizeBytes: number) {
    this.records = records
    this.first = first
    this.count = end - first
    this.sizeBytes = sizeBytes
  }
  offset(i: number): number {
    return this.records.offset(this.first + i)
  }
  timestamp(i: number): number {
    const time = this.records.timestamp(this.first + i)
    return time < 0 ? NaN : time
  }
  key(i: number): Uint8Array | undefined {
    return this.records.key(this.first + i)
  }
  value(i: number): Uint8Array | undefined {
    return this.records.value(this.first + i)
  }
  headers(i: number): readonly RecordHeader[] | undefined {
    return this.records.headers(this.first + i)
  }
}
