/**
 * What a job file says about its inputs and outputs: pure data plus codecs. `deploy` binds each `connector` to an adapter.
 */

/** Reads and writes one value. `decode` throws on bytes it cannot take; `encode` throws on values it cannot. Both are pure. */
export interface ValueCodec {
  readonly name: string
  decode(bytes: Uint8Array): unknown
  encode(value: unknown): Uint8Array
  /** Where the encoding is well-formed text: the same as UTF-16, which spares a copy for each record. */
  readonly encodeText?: (value: unknown) => string
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
      readonly topic: string
      readonly from: 'earliest' | 'latest'
      readonly codec: ValueCodec
      readonly brokers: string | undefined
    }

export type SinkSpec =
  | { readonly connector: 'files'; readonly folder: string; readonly codec: ValueCodec }
  | {
      readonly connector: 'log'
      readonly topic: string
      readonly partitions: number | undefined
      readonly codec: ValueCodec
      readonly key: ((value: never) => string) | undefined
    }
  | { readonly connector: 'stdout'; readonly codec: ValueCodec }
  | {
      readonly connector: 'kafka'
      readonly topic: string
      readonly codec: ValueCodec
      readonly key: ((value: never) => string) | undefined
      readonly brokers: string | undefined
    }

/** The best delivery a connector can give: the default of `to()`. */
export const bestDelivery = {
  files: 'exactly-once',
  log: 'exactly-once',
  kafka: 'exactly-once',
  stdout: 'at-least-once'
} as const satisfies Record<SinkSpec['connector'], 'exactly-once' | 'at-least-once'>
