/** Reads one topic, committed records only, in pages of stored entries. */
import { CodedError } from '../../kernel/errors.ts'
import type { Fetched, LogReader, RecordBatch } from '../../ports/log.ts'
import type { RecordHeader } from '../../kernel/record-header.ts'
import type { EmbeddedLog } from './embedded-log.ts'
import { entryKey, LogEntry } from './log-entry.ts'
import type { LogPartition } from './log-partition.ts'
import { readFailure } from './log-store.ts'

/** Entries asked for at once; more would hold more than the bytes that were asked for. */
const pageEntries = 1024

export class TopicReader implements LogReader {
  private readonly log: EmbeddedLog
  private readonly topic: string
  private readonly bounded: boolean
  private closed = false
  private readonly waiting = new Set<LogPartition>()

  constructor(log: EmbeddedLog, topic: string, bounded: boolean) {
    this.log = log
    this.topic = topic
    this.bounded = bounded
  }

  async partitions(): Promise<readonly { readonly name: string }[]> {
    const numbers = Array.from({ length: this.log.find(this.topic).partitions }, (_, i) => i)
    return numbers.map(i => ({ name: String(i) }))
  }

  async start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    return from === 'earliest' ? 0 : this.log.partition(this.topic, partition).stable
  }

  async fetch(number: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    const partition = this.log.partition(this.topic, number)
    let at = position
    for (let waited = false; ; waited = true) {
      if (this.closed) return { kind: 'caught-up', next: at }
      this.log.store.check()
      if (at > partition.visibleEnd) return { kind: 'out-of-range', earliest: 0, end: partition.visibleEnd }
      while (at < partition.stable) {
        const { batch, next } = await this.read(partition, at, partition.stable, maxBytes)
        if (batch.count > 0) return { kind: 'records', batch, next, end: partition.stable }
        at = next
      }
      if (this.bounded && at >= partition.visibleEnd) return { kind: 'finished' }
      if (waited || waitMs <= 0 || this.closed) return { kind: 'caught-up', next: at }
      this.waiting.add(partition)
      await partition.more(this.log.clock, waitMs)
      this.waiting.delete(partition)
    }
  }

  /** Whoever waits is answered at once. */
  close(): Promise<void> {
    this.closed = true
    for (const partition of this.waiting) partition.wake()
    return Promise.resolve()
  }

  private async read(
    partition: LogPartition,
    position: number,
    until: number,
    maxBytes: number
  ): Promise<{ batch: LogBatch; next: number }> {
    const what = `topic "${this.topic}", partition ${partition.place.partition}`
    const { database } = this.log.store
    const batch = new LogBatch()
    let next = position
    const take = (entry: LogEntry): void => {
      if (entry.offset > next) throw new CodedError('CORRUPT', `${what}: offset ${next} is missing`)
      const skip = next - entry.offset
      next = entry.offset + entry.count
      if (!entry.isMarker && !partition.isAborted(entry.producer, entry.offset)) batch.add(entry, skip)
    }
    const limits = { highWaterMarkBytes: maxBytes, fillCache: false }
    const iterator = database.iterator({
      gte: entryKey(partition.place, position),
      lt: entryKey(partition.place, until),
      ...limits
    })
    try {
      let page = await iterator.nextv(pageEntries)
      let first = page[0] === undefined ? undefined : new LogEntry(page[0][0], page[0][1], what)
      if (first?.offset !== position) {
        const before = await this.before(partition, position, what)
        if (before !== undefined) take(before)
      }
      while (page.length > 0 && batch.sizeBytes < maxBytes) {
        for (const [key, value] of page) {
          take(first ?? new LogEntry(key, value, what))
          first = undefined
          if (batch.sizeBytes >= maxBytes) break
        }
        page = batch.sizeBytes < maxBytes ? await iterator.nextv(pageEntries) : []
      }
    } catch (error) {
      this.log.store.check()
      throw error instanceof CodedError ? error : readFailure(error, `${what}, offset ${next}`)
    } finally {
      await iterator.close()
    }
    if (batch.sizeBytes < maxBytes && next < until)
      throw new CodedError('CORRUPT', `${what}: offset ${next} is missing`)
    return { batch, next }
  }

  /** The entry that holds `position` behind its first record. */
  private async before(partition: LogPartition, position: number, what: string): Promise<LogEntry | undefined> {
    const { database } = this.log.store
    const range = { gte: entryKey(partition.place, 0), lt: entryKey(partition.place, position) }
    for await (const [key, value] of database.iterator({ ...range, reverse: true, limit: 1 })) {
      const entry = new LogEntry(key, value, what)
      return entry.offset + entry.count > position ? entry : undefined
    }
    return undefined
  }
}

class LogBatch implements RecordBatch {
  count = 0
  sizeBytes = 0
  private readonly entries: LogEntry[] = []
  /** Index of the first record of each entry; records before it are skipped. */
  private readonly starts: number[] = []
  private readonly skips: number[] = []
  private current = 0

  add(entry: LogEntry, skip: number): void {
    this.entries.push(entry)
    this.starts.push(this.count)
    this.skips.push(skip)
    this.count += entry.count - skip
    this.sizeBytes += entry.sizeBytes
  }
  offset(i: number): number {
    const entry = this.entryOf(i)
    return entry.offset + this.within(i)
  }
  timestamp(i: number): number {
    return this.entryOf(i).timestamp(this.within(i))
  }
  key(i: number): Uint8Array | undefined {
    return this.entryOf(i).key(this.within(i))
  }
  value(i: number): Uint8Array | undefined {
    return this.entryOf(i).value(this.within(i))
  }
  headers(i: number): readonly RecordHeader[] | undefined {
    return this.entryOf(i).headers(this.within(i))
  }

  /** Reading is nearly always in order, so the entry is near the last one. */
  private entryOf(i: number): LogEntry {
    while (i < (this.starts[this.current] as number)) this.current--
    while (i >= (this.starts[this.current + 1] ?? Infinity)) this.current++
    return this.entries[this.current] as LogEntry
  }
  /** After `entryOf`. */
  private within(i: number): number {
    return i - (this.starts[this.current] as number) + (this.skips[this.current] as number)
  }
}
