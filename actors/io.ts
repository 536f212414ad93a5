/** Inputs and outputs that a job file names. Data only; `deploy` binds them to adapters. */
import type { Codec } from './codecs.ts'
import { json, validated, type Checked, type StandardSchema } from './codecs.ts'
import type { KafkaRecord, SinkHeaders } from './connectors.ts'
import type { Sink, Source } from './stream.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

/** Newline-delimited files; several files are partitions. Each line is one value. */
export function lines<T>(paths: string | readonly string[], codec: Codec<T>): Source<T> {
  return { source: { connector: 'lines', paths: typeof paths === 'string' ? [paths] : paths, codec } }
}

interface CsvOptions {
  /** One character; default a comma. */
  readonly separator?: string
}

/**
 * Comma-separated files (RFC 4180) whose first row names the columns; several files are partitions. A row becomes an object of
 * strings; blank lines are skipped. A quote that is not closed within 1 MiB makes its line malformed, not the rest of the file.
 */
export function csv(paths: string | readonly string[]): Source<Record<string, string>>
/** Each row checked, and converted, by the schema. */
export function csv<S extends StandardSchema>(
  paths: string | readonly string[],
  schema: S,
  options?: CsvOptions
): Source<Checked<S>>
export function csv(
  paths: string | readonly string[],
  schema: undefined,
  options: CsvOptions
): Source<Record<string, string>>
export function csv(
  paths: string | readonly string[],
  schema?: StandardSchema,
  options: CsvOptions = {}
): Source<never> {
  const { separator = ',' } = options
  if (separator.length !== 1 || '"\r\n'.includes(separator) || separator > '~')
    throw new CodedError(
      'OPTION_INVALID',
      `csv: separator is ${JSON.stringify(separator)}; it must be one ASCII character other than quote and newline`
    )
  return {
    source: {
      connector: 'csv',
      paths: typeof paths === 'string' ? [paths] : paths,
      separator,
      make: row => (schema === undefined ? row : validated(schema, row))
    }
  }
}

/** A folder of newline-delimited files, exactly once: one file per publication, in order per slot. */
export function files<T>(folder: string, codec: Codec<T>): Sink<T> {
  return { sink: { connector: 'files', folder, codec } }
}

/**
 * A topic of the job's embedded log (`<storage>/<job>/log`), as a source or as a sink. As a source it must exist
 * (`cairn log append` makes one); a sink makes it.
 */
export function topic<T>(
  name: string,
  options: {
    readonly value: Codec<T>
    /** Sink: records of one key stay in order in one partition. Without it they are spread by slot. */
    readonly key?: (value: T) => string
    /** Sink: headers of the record. A `traceparent` among them takes the place of the one that is carried along. */
    readonly headers?: (value: T) => SinkHeaders | undefined
    /** Sink: how many when the topic is made; default 1. Their number never changes. */
    readonly partitions?: number
    /** Source: where a new job begins; default 'earliest'. */
    readonly from?: 'earliest' | 'latest'
    /** Source: ends when everything in the topic was read, instead of waiting for more; default false. */
    readonly bounded?: boolean
  }
): Source<T> & Sink<T> {
  const { value: codec, key, headers, partitions, from = 'earliest', bounded = false } = options
  return {
    source: { connector: 'log', topic: name, from, bounded, codec },
    sink: { connector: 'log', topic: name, partitions, codec, key, headers }
  }
}

interface KafkaSinkOptions<V> {
  /** It must exist. */
  readonly topic: string
  /** Sink: the record's key, as UTF-8. Records of one key are in one partition, the one where Kafka's own clients put it, in order. */
  readonly key?: (value: V) => string
  /** Sink: headers of the record. A `traceparent` among them takes the place of the one that is carried along. */
  readonly headers?: (value: V) => SinkHeaders | undefined
  /** Sink: batches are written compressed; default: as they are. What is read may be compressed in any way that Kafka knows. */
  readonly compression?: 'gzip'
  /** Source: where a new job begins: at a time, or at an offset for each partition, too; default 'earliest'. */
  readonly from?: 'earliest' | 'latest' | Date | readonly number[]
}

interface KafkaPatternOptions {
  /**
   * Source: all topics whose whole name matches, but for Kafka's own (`__…`). Topics that are made while the job runs are found within ten
   * seconds and read from their beginning; there may be none yet.
   */
  readonly topic: RegExp
  /** Where a new job begins to read the topics that are there; default 'earliest'. */
  readonly from?: 'earliest' | 'latest' | Date
}

interface KafkaSourceOptions<V, T> {
  readonly value: Codec<V>
  /**
   * Source: when the topic has deleted records before they were read: the job fails (the default), or goes on at what is left of them, or
   * at the end of the topic. How many were lost is said. A position behind the end of the topic always fails. Of a pattern: also when a
   * topic itself is gone.
   */
  readonly onMissing?: 'fail' | 'earliest' | 'latest'
  /** Source: what becomes of a record, with its key, headers and place. Without it: its value, which is undefined for a tombstone. */
  readonly read?: (record: KafkaRecord<V>) => T
  /** `host:port,…` of another cluster than the one in the settings. */
  readonly brokers?: string
}

/**
 * A topic of Apache Kafka, as a source or as a sink, or all topics that match a pattern, as a source. Which brokers, and how one gets in, is a
 * setting of whoever runs the job (docs/kafka.md).
 */
export function kafka<V, T = V>(options: KafkaSourceOptions<V, T> & KafkaSinkOptions<V>): Source<T> & Sink<V>
export function kafka<V, T = V>(options: KafkaSourceOptions<V, T> & KafkaPatternOptions): Source<T>
export function kafka<V, T = V>(
  options: KafkaSourceOptions<V, T> & (KafkaSinkOptions<V> | KafkaPatternOptions)
): Source<T> & Sink<V> {
  const { topic, value: codec, from = 'earliest', onMissing = 'fail', brokers } = options
  const { key, headers, compression } = options as Partial<KafkaSinkOptions<V>>
  const named = typeof from === 'string'
  return {
    source: {
      connector: 'kafka',
      topic,
      from: named ? from : 'latest',
      begin: named ? undefined : from instanceof Date ? from.getTime() : from,
      onMissing,
      codec,
      read: options.read as ((record: KafkaRecord<unknown>) => unknown) | undefined,
      brokers
    },
    // A pattern is no name that Kafka knows, and so is refused.
    sink: { connector: 'kafka', topic: String(topic), codec, compression, key, headers, brokers }
  }
}

/**
 * Values made up by `make(sequence, partition)`, which must give the same value for the same arguments. `count`: of each partition.
 * `perSecond`: at most so many of all partitions together, by the wall clock; default: as fast as they are taken. `simulate` takes no
 * notice of it.
 */
export function generator<T>(
  options: { readonly count: number; readonly partitions?: number; readonly perSecond?: number },
  make: (sequence: number, partition: number) => T
): Source<T> {
  return {
    source: {
      connector: 'generator',
      partitions: options.partitions ?? 1,
      count: options.count,
      make,
      perSecond: options.perSecond
    }
  }
}

/** One JSON value per line on standard output, at least once. */
export function stdout(): Sink<unknown> {
  return { sink: { connector: 'stdout', codec: json() } }
}
