/** A LogReader over a topic of the simulated log: read committed. Stands where the named client stands in production. */
import { CodedError } from '../../runtime/kernel/errors.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import type { Fetched, LogReader, RecordBatch } from '../../runtime/ports/log.ts'
import { type BrokerClient, BrokerRefusal } from './broker-client.ts'
import type { StoredRecord } from './partition.ts'
import { visibleRecords } from './read-committed.ts'

export class BrokerReader implements LogReader {
  private readonly client: BrokerClient
  private readonly topic: string
  private closed = false
  private readonly waiting = new Set<() => void>()

  constructor(client: BrokerClient, topic: string) {
    this.client = client
    this.topic = topic
  }

  async partitions(): Promise<readonly { readonly name: string }[]> {
    const count = await this.insist(() => this.client.partitions(this.topic))
    return Array.from({ length: count }, (_, i) => ({ name: String(i) }))
  }

  async start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    const request = { topic: this.topic, partition, readCommitted: true, at: from }
    const reply = await this.insist(() =>
      this.client.settle('ListOffsets', request, ({ error }) => error, this.client.clock.elapsed() + 10_000)
    )
    return reply.offset
  }

  /** A reader has nothing to lose by asking again; only `close` ends it. */
  private async insist<T>(ask: () => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await ask()
      } catch (error) {
        if (this.closed || error instanceof CodedError) throw error
        if (error instanceof BrokerRefusal && error.error === 'UNKNOWN_TOPIC_OR_PARTITION')
          throw new CodedError('TOPIC_MISSING', `no topic "${this.topic}" or no such partition`, { cause: error })
        reached('reader: asks again')
        await this.client.pause(100)
      }
  }

  async fetch(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    let closing = (): void => undefined
    const closed = new Promise<Fetched>(resolve => {
      closing = () => resolve({ kind: 'caught-up', next: position })
    })
    if (this.closed) return { kind: 'caught-up', next: position }
    this.waiting.add(closing)
    try {
      return await Promise.race([this.read(partition, position, maxBytes, waitMs), closed])
    } finally {
      this.waiting.delete(closing)
    }
  }

  private async read(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    const { clock } = this.client
    const until = clock.elapsed() + waitMs
    for (let at = position; ;) {
      const left = Math.max(0, until - clock.elapsed())
      const places = [{ topic: this.topic, partition, offset: at, maxBytes }]
      const request = { places, readCommitted: true, maxBytes, maxWaitMs: left }
      const reply = await this.client.call('Fetch', request, left + 2000).then(
        ({ partitions }) => partitions[0],
        () => undefined
      )
      if (reply?.error === 'UNKNOWN_TOPIC_OR_PARTITION')
        throw new CodedError('TOPIC_MISSING', `no topic "${this.topic}" with partition ${partition}`)
      if (reply?.error === 'OFFSET_OUT_OF_RANGE')
        return { kind: 'out-of-range', earliest: reply.logStart, end: reply.lastStable }
      if (reply?.error === 'NONE') {
        const { records, next } = visibleRecords(reply, at)
        if (records.length > 0) return { kind: 'records', batch: batchOf(records), next, end: reply.lastStable }
        // Markers and aborted records: perhaps something lies behind them.
        const moved = next > at
        at = next
        if (moved) continue
      } else reached('reader: fetch failed')
      if (this.closed || clock.elapsed() >= until) return { kind: 'caught-up', next: at }
      if (reply?.error !== 'NONE') await this.client.pause(Math.min(100, until - clock.elapsed()))
    }
  }

  close(): Promise<void> {
    this.closed = true
    for (const closing of this.waiting) closing()
    return Promise.resolve()
  }
}

function batchOf(records: readonly StoredRecord[]): RecordBatch {
  const at = (i: number): StoredRecord => {
    const record = records[i]
    if (record === undefined) throw new RangeError(`record ${i} of ${records.length}`)
    return record
  }
  return {
    count: records.length,
    offset: i => at(i).offset,
    timestamp: i => at(i).timestamp,
    key: i => at(i).key,
    value: i => at(i).value,
    headers: i => at(i).headers,
    sizeBytes: records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
  }
}
