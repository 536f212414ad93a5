/** Exactly-once output to a topic: one transaction holds the records and the ledger entry, in one synced write. */
import { CodedError } from '../../kernel/errors.ts'
import { headersSizeBytes } from '../../kernel/record-header.ts'
import type { OutputRecord } from '../../ports/log.ts'
import type { LedgerEntry, Producer, Publisher, PublishOutcome, SlotName } from '../../ports/publisher.ts'
import type { EmbeddedLog } from './embedded-log.ts'
import { byPartition } from './log-entry.ts'
import type { TransactionalProducer } from './transactional-producer.ts'

/** A larger record would make every fetch that meets it hold as much at once. */
const maxRecordBytes = 16 * 1024 * 1024

export class LogPublisher implements Publisher {
  private readonly log: EmbeddedLog
  private readonly topic: string
  private readonly partitions: number | undefined

  constructor(log: EmbeddedLog, topic: string, partitions: number | undefined) {
    this.log = log
    this.topic = topic
    this.partitions = partitions
  }

  async describe(): Promise<{ readonly partitions: number; readonly maxRecordBytes: number }> {
    const partitions = this.partitions ?? this.log.topic(this.topic)?.partitions ?? 1
    await this.log.createTopic(this.topic, partitions)
    return { partitions, maxRecordBytes }
  }

  async initialise(slot: SlotName): Promise<Producer> {
    await this.describe()
    const id = [slot.job, slot.lineage, slot.sink, slot.stage, slot.slot].join('.')
    return new LogProducer(this.log, this.topic, await this.log.producer(id))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

class LogProducer implements Producer {
  private readonly log: EmbeddedLog
  private readonly topic: string
  private readonly producer: TransactionalProducer

  constructor(log: EmbeddedLog, topic: string, producer: TransactionalProducer) {
    this.log = log
    this.topic = topic
    this.producer = producer
  }

  readLedger(): Promise<LedgerEntry | undefined> {
    return Promise.resolve(this.log.ledger(this.producer.id))
  }

  async publish(records: readonly OutputRecord[], entry: LedgerEntry): Promise<PublishOutcome> {
    const error = this.refusal(records)
    if (error !== undefined) return { kind: 'refused', error }
    try {
      if (this.producer.begin() === 'fenced') return { kind: 'fenced' }
      for (const [partition, part] of byPartition(records)) this.producer.append(this.topic, partition, part)
      const outcome = await this.producer.commit(() => this.log.setLedger(this.producer.id, entry))
      return outcome === 'done' ? { kind: 'published' } : { kind: 'fenced' }
    } catch (error) {
      return { kind: 'unknown', error: error as Error }
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  private refusal(records: readonly OutputRecord[]): CodedError | undefined {
    const { partitions } = this.log.find(this.topic)
    for (const { partition, key, value, headers } of records) {
      const size = (key?.length ?? 0) + (value?.length ?? 0) + headersSizeBytes(headers)
      if (!Number.isSafeInteger(partition) || partition < 0 || partition >= partitions)
        return new CodedError(
          'RECORD_REFUSED',
          `topic "${this.topic}" has no partition ${partition}, only ${partitions}`
        )
      if (size > maxRecordBytes)
        return new CodedError(
          'RECORD_REFUSED',
          `a record of ${size} bytes for topic "${this.topic}", which takes at most ${maxRecordBytes}`
        )
    }
    return undefined
  }
}
