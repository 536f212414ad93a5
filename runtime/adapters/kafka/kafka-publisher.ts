/**
 * Exactly-once output to a Kafka topic: one transactional id per slot, records and ledger entry in one transaction. The protocol is
 * `runtime/kafka-protocol/transaction-machine.ts`; here are its options, its names and its errors.
 */
import { constants, gzipSync } from 'node:zlib'
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import { createTopic } from '../../kafka-protocol/create-topic.ts'
import { partitionsOf, topicConfigs } from '../../kafka-protocol/describe-protocol.ts'
import { KafkaRefusal } from '../../kafka-protocol/error-names.ts'
import type { Protocol } from '../../kafka-protocol/protocol.ts'
import { headersSizeBytes } from '../../kernel/record-header.ts'
import { GroupOffsets, type SourceOffset } from '../../kafka-protocol/group-offsets.ts'
import { batchOverheadBytes, type Compression } from '../../kafka-protocol/record-batch.ts'
import { SlotTransactions, type TransactionOutcome } from '../../kafka-protocol/transaction-machine.ts'
import type { OutputRecord } from '../../ports/log.ts'
import type {
  LedgerEntry,
  Producer,
  Publisher,
  PublishOutcome,
  SinkTarget,
  SlotName,
  SourcePosition
} from '../../ports/publisher.ts'
import { KafkaClient, type KafkaClientOptions } from './kafka-client.ts'
import type { Place } from './load-kafka.ts'
import { decodeEntry, encodeEntry, slotKey } from './ledger-records.ts'

export interface KafkaPublisherOptions extends KafkaClientOptions {
  readonly topic: string
  /** Compacted, never deleted, at least as many partitions as the job has slots. */
  readonly ledgerTopic: string
  /** The ledger topic is made when it is missing, with so many partitions; default: TOPIC_MISSING. */
  readonly ledgerPartitions?: number
  /** Slots that share a partition wait for each other's open transactions. Default: the slot's number. */
  readonly ledgerPartition?: (slot: SlotName, partitions: number) => number
  /** Default 60,000. Larger: a dead owner's transaction blocks readers for longer. */
  readonly transactionTimeoutMs?: number
  /** Default 60,000. Larger: a slot that cannot be initialised is noticed later. */
  readonly initialiseMs?: number
  /** Of the records; default: none. */
  readonly compression?: 'gzip' | undefined
  /** Sources whose offsets are told along. */
  readonly told?: ToldSources
}

export interface ToldSources {
  /** The consumer group in which they are kept. */
  readonly group: string
  /** By name of the source; of a pattern, where its partition of that number is. Undefined: not told. */
  readonly topics: ReadonlyMap<string, string | ((partition: number) => Place | undefined)>
  /** They are not wanted there; said once. */
  readonly refused?: (why: Error) => void
}

interface Target {
  readonly partitions: number
  readonly ledgerPartitions: number
  readonly maxBatchBytes: number
  readonly limits: Omit<SinkTarget, 'partitions'>
}

/**
 * The newest entry of each slot is all that counts, and it counts for ever; a leader that lacks the newest would lose it. Entries come
 * uncompressed, and the reader here knows no compression.
 */
export const ledgerConfigs = {
  'cleanup.policy': 'compact',
  'compression.type': 'producer',
  'unclean.leader.election.enable': 'false'
}

/** Fast rather than small: it is done between two slices of work. */
const gzip: Compression = { codec: 1, compress: bytes => gzipSync(bytes, { level: constants.Z_BEST_SPEED }) }

/** A batch's own, and a record's beside its key and value. */
export const overheadBytes = batchOverheadBytes + 39

export class KafkaPublisher implements Publisher {
  private readonly client: KafkaClient
  readonly sources: readonly string[]
  private readonly options: Required<
    Omit<KafkaPublisherOptions, 'ledgerPartitions' | 'compression' | 'told' | keyof KafkaClientOptions>
  >
  private readonly topics: ToldSources['topics']
  private readonly groupOffsets: GroupOffsets | undefined
  private readonly compression: Compression | undefined
  private readonly ledgerPartitions: number | undefined
  private target: Promise<Target> | undefined

  constructor(options: KafkaPublisherOptions) {
    this.client = new KafkaClient(options)
    const { topic, ledgerTopic, transactionTimeoutMs = 60_000, initialiseMs = 60_000 } = options
    const ledgerPartition = options.ledgerPartition ?? (({ slot }, partitions) => slot % partitions)
    this.options = { topic, ledgerTopic, ledgerPartition, transactionTimeoutMs, initialiseMs }
    this.ledgerPartitions = options.ledgerPartitions
    this.compression = options.compression === undefined ? undefined : gzip
    const { told } = options
    this.topics = told?.topics ?? new Map<string, string>()
    this.sources = [...this.topics.keys()]
    if (told === undefined) return
    const { group, refused } = told
    this.groupOffsets = new GroupOffsets({
      view: this.client.view,
      group,
      ...(refused === undefined ? {} : { refused })
    })
  }

  async describe(): Promise<SinkTarget> {
    const { partitions, limits } = await this.look()
    return { partitions, ...limits }
  }

  private async look(): Promise<Target> {
    const { topic, initialiseMs } = this.options
    const { client } = this
    this.target ??= (async () => ({
      partitions: await client.run(now => partitionsOf(client.view, topic, now + initialiseMs)),
      ledgerPartitions: await this.lookAtLedger(),
      ...(await client.run(now => limitsOf(topic, now + initialiseMs)))
    }))()
    try {
      return await this.target
    } catch (cause) {
      this.target = undefined
      throw unreachable(`topic "${topic}" cannot be described`, cause)
    }
  }

  private async lookAtLedger(): Promise<number> {
    const { ledgerTopic: name, initialiseMs } = this.options
    const { client, ledgerPartitions: partitions } = this
    const look = (): Promise<number> => client.run(now => partitionsOf(client.view, name, now + initialiseMs))
    try {
      return await look()
    } catch (error) {
      if (partitions === undefined || !(error instanceof CodedError) || error.code !== 'TOPIC_MISSING') throw error
    }
    reached('kafka: makes the ledger topic')
    await client.run(now => createTopic(client.view, { name, partitions, configs: ledgerConfigs }, now + initialiseMs))
    return client.run(now => partitionsOf(client.view, name, now + initialiseMs, 'expected'))
  }

  async initialise(slot: SlotName): Promise<Producer> {
    const target = await this.look()
    const { ledgerPartition, ...options } = this.options
    const transactions = new SlotTransactions({
      ...options,
      view: this.client.view,
      transactionalId: slotKey(slot),
      ledgerPartition: ledgerPartition(slot, target.ledgerPartitions),
      maxBatchBytes: target.maxBatchBytes,
      ...(this.compression === undefined ? {} : { compression: this.compression }),
      ...(this.groupOffsets === undefined ? {} : { groupOffsets: this.groupOffsets })
    })
    try {
      await this.client.run(now => transactions.initialise(now))
    } catch (cause) {
      reached('kafka: cannot initialise')
      throw unreachable(`slot ${slotKey(slot)} cannot be initialised`, cause)
    }
    return this.producer(slot, target, transactions)
  }

  private producer(slot: SlotName, target: Target, transactions: SlotTransactions): Producer {
    const { client } = this
    return {
      readLedger: async () => {
        let value: Uint8Array | undefined
        try {
          value = await client.run(now => transactions.readLedger(now))
        } catch (cause) {
          throw unreachable(`the ledger of slot ${slotKey(slot)} cannot be read`, cause)
        }
        return value === undefined ? undefined : decodeEntry(value)
      },
      publish: async (
        records: readonly OutputRecord[],
        entry: LedgerEntry,
        positions: readonly SourcePosition[] = []
      ): Promise<PublishOutcome> => {
        const error = this.refusal(records, target)
        if (error !== undefined) return { kind: 'refused', error }
        const value = { timestamp: -1, key: undefined, value: encodeEntry(entry) }
        return outcomeOf(await client.run(now => transactions.publish(records, value, now, this.offsetsOf(positions))))
      },
      note: async (positions: readonly SourcePosition[]) =>
        outcomeOf(await client.run(now => transactions.publish([], undefined, now, this.offsetsOf(positions)))),
      close: () => {
        transactions.close()
        return Promise.resolve()
      }
    }
  }

  private offsetsOf(positions: readonly SourcePosition[]): SourceOffset[] {
    return positions.flatMap(({ source, partition, position }) => {
      const topic = this.topics.get(source)
      const place = typeof topic === 'string' ? { topic, partition } : topic?.(partition)
      return place === undefined ? [] : [{ ...place, offset: position }]
    })
  }

  private refusal(records: readonly OutputRecord[], { partitions, maxBatchBytes }: Target): Error | undefined {
    const { topic } = this.options
    for (const { partition, key, value, headers } of records) {
      if (!Number.isInteger(partition) || partition < 0 || partition >= partitions)
        return new Error(`topic "${topic}" has ${partitions} partitions; a record is for partition ${partition}`)
      const size = (key?.length ?? 0) + (value?.length ?? 0) + headersSizeBytes(headers)
      const limit = maxBatchBytes - overheadBytes
      if (size > limit) return new Error(`topic "${topic}" takes ${limit} bytes; a record has ${size}`)
    }
    return undefined
  }

  close(): Promise<void> {
    this.client.close()
    return Promise.resolve()
  }
}

const outcomeOf = (outcome: TransactionOutcome): PublishOutcome =>
  outcome.kind === 'published' && outcome.offsets !== undefined
    ? { kind: 'published', positions: outcome.offsets }
    : outcome

const ahead = 'message.timestamp.after.max.ms'
const behind = 'message.timestamp.before.max.ms'
/** Brokers before 3.6: either way. */
const difference = 'message.timestamp.difference.max.ms'
const largest = 'max.message.bytes'
/** Clocks differ: what is nearly too far ahead here is too far there. */
const clockMarginMs = 60_000

/** What a topic takes; all of it is the broker's to judge, when it may be too late. */
export function* limitsOf(
  topic: string,
  deadline: number
): Protocol<{ readonly maxBatchBytes: number; readonly limits: Omit<SinkTarget, 'partitions'> }> {
  const names = [largest, 'cleanup.policy', 'message.timestamp.type', ahead, behind, difference]
  const configs = yield* topicConfigs(topic, names, deadline)
  const maxBatchBytes = Number(configs.get(largest))
  if (!Number.isSafeInteger(maxBatchBytes) || maxBatchBytes <= overheadBytes)
    throw new Error(`${largest} of "${topic}" is ${configs.get(largest)}`)
  const isStamped = configs.get('message.timestamp.type') === 'LogAppendTime'
  // The usual value is the largest there is, which means none.
  const within = (name: string): number | undefined => {
    const ms = Number(configs.get(name) ?? configs.get(difference) ?? NaN)
    return !isStamped && Number.isSafeInteger(ms) ? ms : undefined
  }
  const [mostAhead, mostBehindMs] = [within(ahead), within(behind)]
  return {
    maxBatchBytes,
    limits: {
      maxRecordBytes: maxBatchBytes - overheadBytes,
      ...(configs.get('cleanup.policy')?.includes('compact') === true ? { needsKey: true } : {}),
      ...(mostAhead === undefined ? {} : { mostAheadMs: mostAhead - Math.min(clockMarginMs, mostAhead / 10) }),
      ...(mostBehindMs === undefined ? {} : { mostBehindMs })
    }
  }
}

/** Code 35 comes from our own side: the broker named no version that both know. */
const unsupportedVersion = 35
/** Rights, credentials, and settings of the cluster: nothing changes by waiting. */
const refusals = [17, 29, 30, 31, 33, 34, 37, 38, 40, 44, 50, 53, 58, unsupportedVersion]

/** What a failed question to a cluster means for a sink. */
export function unreachable(message: string, cause: unknown): CodedError {
  if (cause instanceof CodedError && cause.code !== 'CORRUPT') return cause
  const why = cause instanceof Error ? cause.message : String(cause)
  if (!(cause instanceof KafkaRefusal) || !refusals.includes(cause.code))
    return new CodedError('SINK_UNREACHABLE', `${message}: ${why}`, { cause })
  const old = cause.code === unsupportedVersion ? '; transactions need Apache Kafka 2.5 or newer' : ''
  return new CodedError('KAFKA_REFUSED', `${message}: ${why}${old}`, { cause })
}
