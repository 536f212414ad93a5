/**
 * The Publisher over the simulated log at the level of requests (RELIABILITY.md, page one).
 *
 *     initialise ─▶ InitProducerId … ─▶ end of the ledger partition ─▶ read it committed up to there ─▶ Producer
 *     publish    ─▶ (version 1: InitProducerId, only if still ours) ─▶ Produce records + entry ─▶ EndTxn, once
 *
 * 1. The ledger is read after the fence, up to an end asked for after the fence: the high watermark, since a foreign transaction may
 *    hold the last stable offset below our own newest entry.
 * 2. Records and entry are of one transaction.
 * 3. Anything but definite success ends the producer; nothing is asked twice once a transaction is open.
 * 4. Version 1: no two transactions share a producer epoch.
 */
import { CodedError } from '../../runtime/kernel/errors.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { LedgerEntry, Producer, Publisher, PublishOutcome, SlotName } from '../../runtime/ports/publisher.ts'
import { type BrokerClient, BrokerRefusal } from './broker-client.ts'
import { decodeEntry, encodeEntry, slotKey } from './ledger-records.ts'
import { visibleRecords } from './read-committed.ts'
import type { BrokerError, NewBatch, TopicPartition } from './requests.ts'

export interface BrokerPublisherOptions {
  readonly topic: string
  /** Compacted, never deleted. */
  readonly ledgerTopic: string
  readonly transactionVersion: 1 | 2
  /** Larger: a dead owner's transaction blocks readers for longer. */
  readonly transactionTimeoutMs?: number
  /** Larger: a slot whose markers never arrive is noticed later. */
  readonly initialiseMs?: number
}

const fencing: readonly BrokerError[] = ['PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING']
const refusing: readonly BrokerError[] = [
  'MESSAGE_TOO_LARGE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'TOPIC_AUTHORIZATION_FAILED'
]
/** Header of a batch and of its only record. */
const overheadBytes = 100

export class BrokerPublisher implements Publisher {
  private readonly client: BrokerClient
  private readonly options: Required<BrokerPublisherOptions>
  private target: Promise<{ partitions: number; maxRecordBytes: number; ledgerPartitions: number }> | undefined

  constructor(client: BrokerClient, options: BrokerPublisherOptions) {
    this.client = client
    this.options = { transactionTimeoutMs: 15_000, initialiseMs: 20_000, ...options }
  }

  async describe(): Promise<{ readonly partitions: number; readonly maxRecordBytes: number }> {
    const { partitions, maxRecordBytes } = await this.look()
    return { partitions, maxRecordBytes }
  }

  private async look(): Promise<{ partitions: number; maxRecordBytes: number; ledgerPartitions: number }> {
    const ask = async (): Promise<{ partitions: number; maxRecordBytes: number; ledgerPartitions: number }> => {
      const { topic, ledgerTopic } = this.options
      const deadline = this.client.clock.elapsed() + this.options.initialiseMs
      const { configs } = await this.client.settle('DescribeConfigs', { topic }, ({ error }) => error, deadline)
      return {
        partitions: await this.client.partitions(topic),
        ledgerPartitions: await this.client.partitions(ledgerTopic),
        maxRecordBytes: Number(configs['max.message.bytes']) - overheadBytes
      }
    }
    this.target ??= ask()
    try {
      return await this.target
    } catch (cause) {
      this.target = undefined
      if (cause instanceof CodedError) throw cause
      throw new CodedError('SINK_UNREACHABLE', `topic "${this.options.topic}" did not answer`, { cause })
    }
  }

  async initialise(slot: SlotName): Promise<Producer> {
    const target = await this.look()
    const transactionalId = slotKey(slot)
    const { clock } = this.client
    const deadline = clock.elapsed() + this.options.initialiseMs
    const ledger = { topic: this.options.ledgerTopic, partition: slot.slot % target.ledgerPartitions }
    const request = { transactionalId, timeoutMs: this.options.transactionTimeoutMs, producerId: -1, producerEpoch: -1 }
    try {
      const fenced = await this.client.settle('InitProducerId', request, ({ error }) => error, deadline)
      const identity = { producerId: fenced.producerId, producerEpoch: fenced.producerEpoch }
      return new BrokerProducer(this.client, this.options, target, ledger, transactionalId, identity)
    } catch (cause) {
      reached('publisher: cannot initialise')
      throw new CodedError('SINK_UNREACHABLE', `slot ${transactionalId} was not initialised`, { cause })
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

interface Identity {
  readonly producerId: number
  readonly producerEpoch: number
}

class BrokerProducer implements Producer {
  private readonly client: BrokerClient
  private readonly options: Required<BrokerPublisherOptions>
  private readonly target: { partitions: number; maxRecordBytes: number }
  private readonly ledger: TopicPartition
  private readonly transactionalId: string
  private identity: Identity
  /** Version 1: the epoch has seen a transaction. */
  private used = false
  private dead: PublishOutcome | undefined
  private known: { readonly next: number; readonly entry: LedgerEntry | undefined } = { next: -1, entry: undefined }

  constructor(
    client: BrokerClient,
    options: Required<BrokerPublisherOptions>,
    target: { partitions: number; maxRecordBytes: number },
    ledger: TopicPartition,
    transactionalId: string,
    identity: Identity
  ) {
    this.client = client
    this.options = options
    this.target = target
    this.ledger = ledger
    this.transactionalId = transactionalId
    this.identity = identity
  }

  async readLedger(): Promise<LedgerEntry | undefined> {
    const deadline = this.client.clock.elapsed() + this.options.initialiseMs
    try {
      const start = this.known.next < 0 ? await this.endpoint('earliest', deadline) : this.known.next
      const end = await this.endpoint('latest', deadline)
      let { entry } = this.known
      let next = start
      while (next < end) {
        const request = { ...this.ledger, offset: next, readCommitted: true, maxBytes: 1 << 20, maxWaitMs: 100 }
        const reply = await this.client.settle('Fetch', request, ({ error }) => error, deadline)
        const seen = visibleRecords(reply, next)
        for (const { key, value } of seen.records)
          if (value !== undefined && new TextDecoder().decode(key) === this.transactionalId) entry = decodeEntry(value)
        // Nothing new is not the end: a foreign transaction may be open before it.
        if (seen.next === next) {
          reached('publisher: waits for the ledger to become stable')
          if (this.client.clock.elapsed() > deadline) throw new Error(`nothing decided behind offset ${next} of ${end}`)
        }
        next = seen.next
      }
      this.known = { next, entry }
      return entry
    } catch (cause) {
      if (cause instanceof CodedError) throw cause
      const { topic, partition } = this.ledger
      throw new CodedError('SINK_UNREACHABLE', `the ledger ${topic}/${partition} was not read to its end`, { cause })
    }
  }

  private async endpoint(at: 'earliest' | 'latest', deadline: number): Promise<number> {
    const request = { ...this.ledger, readCommitted: false, at }
    const { offset } = await this.client.settle('ListOffsets', request, ({ error }) => error, deadline)
    return offset
  }

  async publish(records: readonly OutputRecord[], entry: LedgerEntry): Promise<PublishOutcome> {
    if (this.dead !== undefined) return this.dead
    const error = this.refusal(records)
    if (error !== undefined) return { kind: 'refused', error }
    try {
      if (this.used && this.options.transactionVersion === 1) await this.renew()
      this.used = true
      await this.write(records, entry)
      await this.end(true)
      return { kind: 'published' }
    } catch (error) {
      return this.failed(error as Error)
    }
  }

  private failed(error: Error): PublishOutcome {
    const code = error instanceof BrokerRefusal ? error.error : undefined
    if (code !== undefined && fencing.includes(code)) {
      reached('publisher: fenced')
      return (this.dead = { kind: 'fenced' })
    }
    reached('publisher: unknown outcome')
    this.dead = { kind: 'unknown', error }
    // Only ever said about records, before any end was asked for: nothing of it can become visible.
    if (code !== undefined && refusing.includes(code)) return { kind: 'refused', error }
    return this.dead
  }

  private refusal(records: readonly OutputRecord[]): Error | undefined {
    for (const { partition, key, value } of records) {
      if (!Number.isInteger(partition) || partition < 0 || partition >= this.target.partitions)
        return new Error(`topic "${this.options.topic}" has no partition ${partition}`)
      const size = (key?.length ?? 0) + (value?.length ?? 0)
      if (size > this.target.maxRecordBytes)
        return new Error(`a record of ${size} bytes; topic "${this.options.topic}" takes ${this.target.maxRecordBytes}`)
    }
    return undefined
  }

  /** A new epoch, only if nobody has taken over in between. */
  private async renew(): Promise<void> {
    const { transactionalId, identity } = this
    const deadline = this.client.clock.elapsed() + this.options.initialiseMs
    const request = { transactionalId, timeoutMs: this.options.transactionTimeoutMs, ...identity }
    const { producerId, producerEpoch } = await this.client.settle(
      'InitProducerId',
      request,
      ({ error }) => error,
      deadline
    )
    this.identity = { producerId, producerEpoch }
  }

  private async write(records: readonly OutputRecord[], entry: LedgerEntry): Promise<void> {
    const { transactionalId, identity } = this
    const version = this.options.transactionVersion
    const batches = this.batchesOf(records, entry)
    if (version === 1) {
      const partitions = batches.map(({ topic, partition }) => ({ topic, partition }))
      const { error } = await this.client.call('AddPartitionsToTxn', { transactionalId, ...identity, partitions })
      if (error !== 'NONE') throw new BrokerRefusal('AddPartitionsToTxn', error)
    }
    const deadline = this.client.clock.elapsed() + this.options.initialiseMs
    for (let left = batches; left.length > 0;) {
      const { partitions } = await this.client.call('Produce', { transactionalId, version, batches: left })
      const errors = partitions.map(({ error }) => error)
      const isBusy = (error: BrokerError | undefined): boolean => version === 2 && error === 'CONCURRENT_TRANSACTIONS'
      const bad = errors.filter(error => error !== 'NONE' && !isBusy(error))
      const worst = bad.find(error => fencing.includes(error)) ?? bad[0]
      if (worst !== undefined) throw new BrokerRefusal('Produce', worst)
      left = left.filter((_, i) => isBusy(errors[i]))
      if (left.length === 0) return
      // Definitely not written: the markers of the transaction before are still on their way.
      reached('publisher: waits for its own last transaction')
      if (this.client.clock.elapsed() > deadline) throw new BrokerRefusal('Produce', 'CONCURRENT_TRANSACTIONS')
      await this.client.pause(10)
    }
  }

  /** One batch a partition; the entry goes to the slot's partition of the ledger. */
  private batchesOf(records: readonly OutputRecord[], entry: LedgerEntry): NewBatch[] {
    const byPartition = new Map<number, OutputRecord[]>()
    for (const record of records) {
      const known = byPartition.get(record.partition)
      if (known === undefined) byPartition.set(record.partition, [record])
      else known.push(record)
    }
    const batch = (at: TopicPartition, records: NewBatch['records']): NewBatch => ({
      ...at,
      ...this.identity,
      baseSequence: 0,
      transactional: true,
      records,
      sizeBytes: records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0) + 20, 61)
    })
    const key = new TextEncoder().encode(this.transactionalId)
    const ledgerRecord = { timestamp: this.client.clock.elapsed(), key, value: encodeEntry(entry) }
    return [
      ...[...byPartition].map(([partition, list]) => batch({ topic: this.options.topic, partition }, list)),
      batch(this.ledger, [ledgerRecord])
    ]
  }

  /** Asked once: a second question could decide the next transaction (KAFKA-17754). */
  private async end(commit: boolean): Promise<void> {
    const { transactionalId, identity } = this
    const version = this.options.transactionVersion
    const reply = await this.client.call('EndTxn', { transactionalId, ...identity, version, commit })
    if (reply.error !== 'NONE') throw new BrokerRefusal('EndTxn', reply.error)
    if (version === 2) this.identity = { producerId: reply.producerId, producerEpoch: reply.producerEpoch }
  }

  close(): Promise<void> {
    this.dead ??= { kind: 'unknown', error: new Error('the producer is closed') }
    return Promise.resolve()
  }
}
