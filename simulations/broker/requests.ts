/** Requests and replies of the simulated log as objects, and Kafka's errors by name: what lies behind the byte-level front end. */
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import type { StoredBatch } from './partition.ts'

/** Kafka's numbers, so that the front end has one table. */
export const brokerErrors = {
  NONE: 0,
  UNKNOWN_SERVER_ERROR: -1,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  MESSAGE_TOO_LARGE: 10,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  UNSUPPORTED_SASL_MECHANISM: 33,
  UNSUPPORTED_VERSION: 35,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  INVALID_TRANSACTION_TIMEOUT: 50,
  CONCURRENT_TRANSACTIONS: 51,
  TRANSACTION_COORDINATOR_FENCED: 52,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  KAFKA_STORAGE_ERROR: 56,
  SASL_AUTHENTICATION_FAILED: 58,
  UNKNOWN_PRODUCER_ID: 59,
  OFFSET_NOT_AVAILABLE: 78,
  UNSTABLE_OFFSET_COMMIT: 88,
  PRODUCER_FENCED: 90,
  TRANSACTION_ABORTABLE: 120
} as const

export type BrokerError = keyof typeof brokerErrors

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** The end of a transaction, on its way from the coordinator to who holds a part of it. */
export interface Marker {
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly commit: boolean
}

/** A record on its way in. */
export interface NewRecord {
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers?: readonly RecordHeader[]
}

export interface NewBatch extends TopicPartition {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly transactional: boolean
  readonly records: readonly NewRecord[]
  /** What it takes on the wire; compared with the topic's largest batch. */
  readonly sizeBytes: number
  /** Its check is wrong; nothing else is known of it. */
  readonly corrupt?: boolean
}

interface OfProducer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

/** Request and reply of each kind. `version` = the transaction version the client speaks. */
export interface Calls {
  Metadata: {
    /** Undefined: all. */
    request: { readonly topics: readonly string[] | undefined }
    reply: {
      readonly brokers: readonly number[]
      readonly topics: readonly {
        readonly topic: string
        readonly error: BrokerError
        readonly partitions: readonly {
          readonly error: BrokerError
          readonly leader: number
          readonly leaderEpoch: number
        }[]
      }[]
    }
  }
  DescribeConfigs: {
    request: { readonly topic: string }
    reply: { readonly error: BrokerError; readonly configs: Readonly<Record<string, string>> }
  }
  FindCoordinator: {
    request: { readonly transactionalId: string } | { readonly group: string }
    reply: { readonly error: BrokerError; readonly broker: number }
  }
  InitProducerId: {
    request: OfProducer & { readonly timeoutMs: number }
    reply: { readonly error: BrokerError; readonly producerId: number; readonly producerEpoch: number }
  }
  AddPartitionsToTxn: {
    request: OfProducer & { readonly partitions: readonly TopicPartition[] }
    reply: { readonly error: BrokerError }
  }
  AddOffsetsToTxn: {
    request: OfProducer & { readonly group: string }
    reply: { readonly error: BrokerError }
  }
  Produce: {
    request: {
      readonly transactionalId: string | undefined
      readonly version: 1 | 2
      readonly batches: readonly NewBatch[]
    }
    reply: {
      readonly partitions: readonly (TopicPartition & { readonly error: BrokerError; readonly baseOffset: number })[]
    }
  }
  TxnOffsetCommit: {
    request: OfProducer & {
      readonly group: string
      readonly version: 1 | 2
      readonly offsets: readonly (TopicPartition & { readonly offset: number })[]
    }
    reply: { readonly error: BrokerError }
  }
  OffsetCommit: {
    request: { readonly group: string; readonly offsets: readonly (TopicPartition & { readonly offset: number })[] }
    reply: { readonly error: BrokerError }
  }
  EndTxn: {
    request: OfProducer & { readonly version: 1 | 2; readonly commit: boolean }
    reply: { readonly error: BrokerError; readonly producerId: number; readonly producerEpoch: number }
  }
  ListOffsets: {
    /** A number: of the first record of that time or later; -1 where there is none. */
    request: TopicPartition & { readonly readCommitted: boolean; readonly at: 'earliest' | 'latest' | number }
    reply: { readonly error: BrokerError; readonly offset: number }
  }
  Fetch: {
    request: {
      readonly places: readonly FetchPlace[]
      readonly readCommitted: boolean
      /** Of all together. */
      readonly maxBytes: number
      readonly maxWaitMs: number
    }
    /** In the order of the places. */
    reply: { readonly partitions: readonly FetchedPartition[] }
  }
}

export interface FetchPlace extends TopicPartition {
  readonly offset: number
  readonly maxBytes: number
}

export interface FetchedPartition {
  readonly error: BrokerError
  /** Whole batches: the first may begin before the offset asked for; aborted records and markers are among them. */
  readonly batches: readonly StoredBatch[]
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[]
  readonly logStart: number
  readonly highWatermark: number
  readonly lastStable: number
}

export type CallKind = keyof Calls
export type Request<K extends CallKind> = Calls[K]['request']
export type Reply<K extends CallKind> = Calls[K]['reply']
