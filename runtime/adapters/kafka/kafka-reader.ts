/** A topic, or all that match a pattern, as a log: partitions, read committed, over a consumer that readers of other topics may share. */
import { assert, CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import type { RecordHeader } from '../../kernel/record-header.ts'
import type { Fetched, LogReader, RecordBatch } from '../../ports/log.ts'
import type { KafkaReaders, Lease } from './kafka-readers.ts'
import { UnreadableRecords, type Feed } from './feed.ts'
import type { Place } from './load-kafka.ts'
import { TopicPartitions } from './topic-partitions.ts'

export interface KafkaRecordParts {
  readonly key: string | undefined
  readonly keyBytes: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers: readonly RecordHeader[]
  readonly timestamp: number
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

interface PartitionReached {
  readonly partition: number
  readonly position: number
}

export interface KafkaReaderOptions {
  /** Of the whole name; matching topics are found while it is read. */
  readonly topic: string | RegExp
  /** What has been found of it; default: nothing. */
  readonly partitions?: TopicPartitions
  /** Where "latest" is: ms since 1970, or the offset of each partition. */
  readonly begin?: number | readonly number[] | undefined
  /** What a record becomes; absent: its bytes are decoded by whoever reads. */
  readonly make?: ((record: KafkaRecordParts) => unknown) | undefined
  /** Where to go on when records were deleted before they were read; default: nowhere. */
  readonly onMissing?: 'earliest' | 'latest' | undefined
  /** Told how many those were, which topics are gone, and that a pattern has found none. */
  readonly told?: ((error: CodedError) => void) | undefined
  /** Told how far decided checkpoints are. */
  readonly reached?: ((positions: readonly PartitionReached[]) => void) | undefined
}

/** Larger: partitions that were added are read later. Smaller: brokers are asked more often. */
const lookAgainMs = 10_000
/** Brokers that start deny topics for a while. Larger: that one is gone is noticed later. */
const goneMs = 5_000
const askAgainMs = 500

export class KafkaReader implements LogReader {
  readonly lookAgainMs = lookAgainMs
  private readonly readers: Pick<KafkaReaders, 'clock' | 'lease'>
  private readonly found: TopicPartitions
  private readonly options: KafkaReaderOptions
  private readonly feeds = new Map<number, Feed>()
  private lease: Lease | undefined
  private closed = false
  private saidNone = false

  constructor(readers: Pick<KafkaReaders, 'clock' | 'lease'>, options: KafkaReaderOptions) {
    this.readers = readers
    this.options = options
    this.found = options.partitions ?? new TopicPartitions(options.topic)
  }

  /** Undefined: there may be several. */
  private get topic(): string | undefined {
    const { topic } = this.found
    return typeof topic === 'string' ? topic : undefined
  }

  private get what(): string {
    return this.topic === undefined ? `topics ${String(this.found.topic)}` : `topic "${this.topic}"`
  }

  private place(number: number): Place {
    const place = this.found.place(number)
    assert(place !== undefined, `${this.what}: nobody has found partition ${number}`)
    return place
  }

  private get consumer(): Lease['consumer'] {
    if (this.closed) throw new CodedError('SOURCE_UNREACHABLE', `${this.what}: the reader is closed`)
    return (this.lease ??= this.readers.lease(this.found.topic)).consumer
  }

  async partitions(): Promise<readonly { readonly name: string; readonly number: number }[]> {
    const { consumer, topic } = this
    if (topic !== undefined) return this.found.find(new Map([[topic, await consumer.partitions(topic)]]))
    const found = this.found.find(await consumer.metadata())
    if (found.length === 0 && !this.saidNone) {
      this.saidNone = true
      const message = `no topic's whole name matches ${String(this.found.topic)} yet, or none that this user may see; the source looks again`
      this.options.told?.(new CodedError('TOPIC_MISSING', message))
    }
    return found
  }

  /** Partitions that a pattern had found. Throws SOURCE_UNREACHABLE where some are there again. */
  async gone(names: readonly string[]): Promise<boolean> {
    if (this.topic !== undefined) return false
    const { clock } = this.readers
    for (const until = clock.elapsed() + goneMs; clock.elapsed() < until;) {
      const there = new Set((await this.partitions()).map(({ name }) => name))
      const back = names.find(name => there.has(name))
      if (back !== undefined)
        throw new CodedError('SOURCE_UNREACHABLE', `${this.what}: the brokers did not know of ${back} for a moment`)
      await new Promise<void>(resolve => clock.after(askAgainMs, resolve))
    }
    if (this.options.onMissing === undefined) return false
    const message = `${this.what}: ${names.join(', ')} is gone, and what was not read of it`
    this.options.told?.(new CodedError('INPUT_SKIPPED', message))
    return true
  }

  async start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    const { begin } = this.options
    const place = this.place(partition)
    if (from === 'latest' && typeof begin === 'object') {
      const offset = begin[partition]
      if (offset === undefined)
        throw new CodedError('OPTION_INVALID', `${this.what}: from names no offset for partition ${partition}`)
      return offset
    }
    const { earliest, end } = await this.consumer.bounds(place)
    if (from === 'earliest') return earliest
    return begin === undefined ? end : this.consumer.offsetAt(place, begin as number, end)
  }

  async fetch(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    const { consumer } = this
    await consumer.connect(this.topic)
    if (this.closed) return { kind: 'caught-up', next: position }
    const feed = this.feed(partition)
    if (feed.at !== position) consumer.seek(feed, position)
    if (feed.isEmpty && feed.failure === undefined && feed.outside === undefined)
      if (feed.eof === undefined || waitMs > 0) await this.more(feed, waitMs)
    // While the broker has not told how the partition stands, it is not known that nothing is there.
    while (feed.isEmpty && feed.eof === undefined && feed.failure === undefined && feed.outside === undefined) {
      if (this.closed) return { kind: 'caught-up', next: position }
      await new Promise<void>(resolve => (feed.wake = resolve))
    }
    if (this.closed) return { kind: 'caught-up', next: position }
    if (feed.failure instanceof UnreadableRecords) {
      await this.changeClient()
      return { kind: 'caught-up', next: position }
    }
    if (feed.failure !== undefined) throw feed.failure
    if (feed.outside !== undefined) {
      const { earliest, end } = feed.outside
      // It may be back by the time somebody asks again.
      feed.at = -1
      const { onMissing } = this.options
      if (onMissing === undefined || position > end) return { kind: 'out-of-range', earliest, end }
      const next = onMissing === 'earliest' ? earliest : end
      this.options.told?.(
        new CodedError(
          'INPUT_SKIPPED',
          `topic "${feed.topic}", partition ${feed.partition}: ${next - position} records from offset ${position} on are gone before they were read, or passed over; it goes on at ${next}`
        )
      )
      return { kind: 'caught-up', next }
    }
    if (!feed.isEmpty) return this.handOut(feed, maxBytes)
    feed.at = Math.max(position, feed.eof ?? position)
    return { kind: 'caught-up', next: feed.at }
  }

  reached(positions: readonly PartitionReached[]): void {
    this.options.reached?.(positions)
  }

  private feed(partition: number): Feed {
    let feed = this.feeds.get(partition)
    if (feed === undefined) {
      feed = this.consumer.feed(this.place(partition))
      this.feeds.set(partition, feed)
    }
    return feed
  }

  /** Until something comes, or the time is over. */
  private more(feed: Feed, waitMs: number): Promise<void> {
    return new Promise(resolve => {
      const cancel = this.readers.clock.after(waitMs, () => {
        feed.wake = undefined
        resolve()
      })
      const look = (): void => {
        // The end of the partition is no reason to stop waiting for more.
        if (feed.isEmpty && feed.failure === undefined && feed.outside === undefined && !this.closed) {
          feed.wake = look
          return
        }
        cancel()
        resolve()
      }
      feed.wake = look
    })
  }

  private handOut(feed: Feed, maxBytes: number): Fetched {
    const { make } = this.options
    const { batch, next: behind } = feed.take(maxBytes)
    const next = feed.isEmpty ? Math.max(behind, feed.eof ?? behind) : behind
    feed.at = next
    this.consumer.eased(feed)
    return {
      kind: 'records',
      batch: make === undefined ? batch : new MadeBatch(batch, feed, make),
      next,
      end: Math.max(next, feed.eof ?? this.consumer.knownEnd(feed))
    }
  }

  /** What one client cannot read, the other one can: from here on it does. */
  private async changeClient(): Promise<void> {
    const { lease } = this
    reached('kafka: the other client goes on')
    for (const feed of this.feeds.values()) lease?.consumer.drop(feed)
    this.feeds.clear()
    this.lease = this.readers.lease(this.found.topic, 'confluent')
    await lease?.release()
  }

  /** Whoever waits is answered at once. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    for (const feed of this.feeds.values()) {
      this.lease?.consumer.drop(feed)
      feed.told()
    }
    await this.lease?.release()
  }
}

const decoder = new TextDecoder()

/** What the user's code makes of each record. */
class MadeBatch implements RecordBatch {
  readonly count: number
  readonly sizeBytes: number
  private readonly batch: RecordBatch
  private readonly place: Place
  private readonly make: (record: KafkaRecordParts) => unknown

  constructor(batch: RecordBatch, place: Place, make: (record: KafkaRecordParts) => unknown) {
    this.batch = batch
    this.place = place
    this.make = make
    this.count = batch.count
    this.sizeBytes = batch.sizeBytes
  }
  offset(i: number): number {
    return this.batch.offset(i)
  }
  timestamp(i: number): number {
    return this.batch.timestamp(i)
  }
  key(i: number): Uint8Array | undefined {
    return this.batch.key(i)
  }
  value(i: number): Uint8Array | undefined {
    return this.batch.value(i)
  }
  headers(i: number): readonly RecordHeader[] | undefined {
    return this.batch.headers?.(i)
  }
  valueObject(i: number): unknown {
    const { topic, partition } = this.place
    const keyBytes = this.key(i)
    return this.make({
      key: keyBytes === undefined ? undefined : decoder.decode(keyBytes),
      keyBytes,
      value: this.value(i),
      headers: this.headers(i) ?? [],
      timestamp: this.timestamp(i),
      topic,
      partition,
      offset: this.offset(i)
    })
  }
}
