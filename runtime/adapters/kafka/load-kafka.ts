/**
 * The named Kafka client is an optional package with a native addon: it is loaded when a job first reads or writes a topic with it. Its own
 * types omit methods and are not there where it is not: what is used of it is typed here.
 */
import { loadAddon } from '../../packages/addon-package.ts'

/** `code` is librdkafka's number; below -100 they are of the client itself. */
export interface ClientError extends Error {
  readonly code: number
  readonly isFatal?: boolean
}
type Callback<T> = (error: ClientError | null | undefined, result: T) => void

export interface Place {
  readonly topic: string
  readonly partition: number
}
export interface PlaceAt extends Place {
  readonly offset: number
}

export interface ClientMessage extends PlaceAt {
  readonly key: Uint8Array | null | undefined
  readonly value: Uint8Array | null | undefined
  /** -1 where the record has none. */
  readonly timestamp: number
  /** Each an object of one name. */
  readonly headers?: readonly Readonly<Record<string, Uint8Array | string | null>>[]
}

export interface ClientMetadata {
  readonly topics: readonly { readonly name: string; readonly partitions: readonly { readonly id: number }[] }[]
}

export interface Client {
  connect(options: ClientMetadataOptions, callback: Callback<ClientMetadata>): void
  disconnect(callback: () => void): void
  getMetadata(options: ClientMetadataOptions, callback: Callback<ClientMetadata>): void
  queryWatermarkOffsets(
    topic: string,
    partition: number,
    timeoutMs: number,
    callback: Callback<{ readonly lowOffset: number; readonly highOffset: number }>
  ): void
  offsetsForTimes(
    places: readonly PlaceAt[],
    timeoutMs: number,
    callback: Callback<readonly (PlaceAt & { readonly error?: ClientError })[]>
  ): void
  on(event: 'event.error', listener: (error: ClientError) => void): void
}

export interface ClientMetadataOptions {
  readonly topic?: string
  readonly timeout: number
  readonly allTopics: boolean
}

export interface ConsumerClient extends Client {
  on(event: 'event.error', listener: (error: ClientError) => void): void
  on(event: 'partition.eof', listener: (place: PlaceAt) => void): void
  on(event: 'data', listener: (message: ClientMessage) => void): void
  setDefaultConsumeTimeout(ms: number): void
  incrementalAssign(places: readonly PlaceAt[]): void
  incrementalUnassign(places: readonly Place[]): void
  unassign(): void
  pause(places: readonly Place[]): void
  resume(places: readonly Place[]): void
  consume(count: number, callback: Callback<readonly ClientMessage[]>): void
  /** Throws while nothing is known. */
  getWatermarkOffsets(topic: string, partition: number): { readonly lowOffset: number; readonly highOffset: number }
}

export interface ProducerClient extends Client {
  on(event: 'event.error', listener: (error: ClientError) => void): void
  on(
    event: 'delivery-report',
    listener: (error: ClientError | null | undefined, report: { readonly partition: number }) => void
  ): void
  setPollInBackground(on: boolean): void
  /** Throws; ERR__QUEUE_FULL when it must wait. */
  produce(
    topic: string,
    partition: number,
    value: Uint8Array | null,
    key: Uint8Array | null,
    timestamp: number,
    opaque: undefined,
    headers?: readonly Readonly<Record<string, Uint8Array>>[]
  ): void
  flush(timeoutMs: number, callback: (error: ClientError | null | undefined) => void): void
}

export type ClientConfig = Readonly<Record<string, string | number | boolean | ((...args: never[]) => void)>>

export interface KafkaPackage {
  readonly KafkaConsumer: new (config: ClientConfig, topicConfig: ClientConfig) => ConsumerClient
  readonly Producer: new (config: ClientConfig, topicConfig: ClientConfig) => ProducerClient
  readonly librdkafkaVersion: string
}

let loaded: KafkaPackage | undefined

/** Throws PACKAGE_MISSING, which says what was tried. */
export function loadKafka(load?: (name: string) => unknown): KafkaPackage {
  loaded ??= loadAddon<KafkaPackage>(
    {
      name: '@confluentinc/kafka-javascript',
      variable: 'CAIRN_KAFKA_CLIENT',
      // One for each version of Node's own interface: it is built there.
      cache: `kafka-client-${process.versions.modules}`,
      exported: 'KafkaConsumer',
      who: 'Kafka',
      remedy:
        'In a clone of Cairn: npm run services -- install kafka-client. Elsewhere: npm install @confluentinc/kafka-javascript@1.10; where its binary cannot be downloaded, docs/kafka.md says how it is built.'
    },
    load
  )
  return loaded
}
