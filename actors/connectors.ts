/**
 * What a job file says about its inputs and outputs: pure data plus codecs. `deploy` binds each `connector` to an adapter.
 */
import type { ByteWriter } from '../runtime/kernel/bytes.ts'

/** Reads and writes one value. `decode` throws on bytes it cannot take; `encode` throws on values it cannot. Both are pure. */
export interface ValueCodec {
  readonly name: string
  decode(bytes: Uint8Array): unknown
  encode(value: unknown): Uint8Array
  /** The same bytes as of `encode`, behind what is written already: spares objects for each record. Where it throws, nothing was written. */
  readonly encodeTo?: (value: unknown, to: ByteWriter) => void
  /** Its schemas are in a registry: what it must know is told before it decodes and encodes. */
  readonly registry?: RegistryPart
}

export interface RegistryPart {
  /** Its own, as JSON. */
  readonly schema: string
  readonly subject: string | undefined
  readonly register: boolean
  /** The number of the schema that must be learnt before this can be decoded. */
  unknown(bytes: Uint8Array): number | undefined
  /** `before`: the schemas whose names it uses, each after those whose names it uses itself. */
  learn(id: number, schema: string, before?: readonly string[]): void
  /** What was written with it cannot be decoded, for that reason. */
  refuse(id: number, why: string): void
  /** The number of its own. */
  writeAs(id: number): void
}

/** A record of a Kafka topic as it was read. */
export interface KafkaRecord<V> {
  /** As UTF-8; undefined where the record has none. */
  readonly key: string | undefined
  readonly keyBytes: Uint8Array | undefined
  /** Undefined: a tombstone. */
  readonly value: V | undefined
  /** In their order; a name may come several times. */
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array | undefined }[]
  /** Milliseconds since 1970; NaN where the record has none. */
  readonly timestamp: number
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export type SourceSpec =
  | { readonly connector: 'lines'; readonly paths: readonly string[]; readonly codec: ValueCodec }
  | {
      readonly connector: 'csv'
      readonly paths: readonly string[]
      readonly separator: string
      /** What a row becomes; throws when it is refused. */
      readonly make: (row: Readonly<Record<string, string>>) => unknown
    }
  | {
      readonly connector: 'log'
      readonly topic: string
      readonly from: 'earliest' | 'latest'
      readonly bounded: boolean
      readonly codec: ValueCodec
    }
  | {
      readonly connector: 'generator'
      readonly partitions: number
      readonly count: number
      readonly make: (sequence: number, partition: number) => unknown
      readonly perSecond: number | undefined
    }
  | {
      readonly connector: 'kafka'
      /** A pattern is of the whole name. */
      readonly topic: string | RegExp
      /** Of partitions of a new job that `begin` says nothing about. */
      readonly from: 'earliest' | 'latest'
      /** With `from: 'latest'`: ms since 1970, or the offset of each partition. */
      readonly begin: number | readonly number[] | undefined
      /** When records were deleted before they were read. */
      readonly onMissing: 'fail' | 'earliest' | 'latest'
      readonly codec: ValueCodec
      /** What becomes of a record; absent: its value. Throws when it refuses it. */
      readonly read: ((record: KafkaRecord<unknown>) => unknown) | undefined
      readonly brokers: string | undefined
    }

/** Headers of a record that is written, by name; what is undefined is left out. */
export type SinkHeaders = Readonly<Record<string, string | Uint8Array | undefined>>

export type SinkSpec =
  | { readonly connector: 'files'; readonly folder: string; readonly codec: ValueCodec }
  | {
      readonly connector: 'log'
      readonly topic: string
      readonly partitions: number | undefined
      readonly codec: ValueCodec
      readonly key: ((value: never) => string) | undefined
      readonly headers?: ((value: never) => SinkHeaders | undefined) | undefined
    }
  | { readonly connector: 'stdout'; readonly codec: ValueCodec }
  | {
      readonly connector: 'kafka'
      readonly topic: string
      readonly codec: ValueCodec
      readonly compression?: 'gzip' | undefined
      readonly key: ((value: never) => string) | undefined
      readonly headers?: ((value: never) => SinkHeaders | undefined) | undefined
      readonly brokers: string | undefined
    }

/** The best delivery a connector can give: the default of `to()`. */
export const bestDelivery = {
  files: 'exactly-once',
  log: 'exactly-once',
  kafka: 'exactly-once',
  stdout: 'at-least-once'
} as const satisfies Record<SinkSpec['connector'], 'exactly-once' | 'at-least-once'>
