/**
 * Reading a partitioned log, Kafka-shaped. Files, generators and the embedded log are read through the same port.
 *
 * A *position* is where the next read begins: a Kafka offset, a byte offset in a file, a sequence number of a generator.
 * Positions only grow; they may have gaps (transaction markers, compaction).
 */
import type { RecordHeader } from '../kernel/record-header.ts'

/** Records with positional access: never one object per record. Valid until the next fetch of the same partition. */
export interface RecordBatch {
  readonly count: number
  /** Position of record *i*. */
  offset(i: number): number
  /** Milliseconds since 1970; NaN where the source has none. */
  timestamp(i: number): number
  /** Raw key bytes, undefined when absent. */
  key(i: number): Uint8Array | undefined
  /** Raw value bytes, undefined for a tombstone. */
  value(i: number): Uint8Array | undefined
  /** In their order; for sources whose records may have some. */
  headers?(i: number): readonly RecordHeader[] | undefined
  /** For sources that decode by themselves (generator, driver, CSV): the value, a fresh object at each call. May throw, as a codec may. */
  valueObject?(i: number): unknown
  /** Total bytes of keys and values: what back-pressure counts. */
  readonly sizeBytes: number
}

export type Fetched =
  /** Records; the next read begins at `next`, which lies after the last record and after any gap behind it. `end` is the stable end as known now. */
  | { readonly kind: 'records'; readonly batch: RecordBatch; readonly next: number; readonly end: number }
  /** Nothing there now; more may come. `next` may lie beyond the position asked for (gaps). */
  | {
      readonly kind: 'caught-up'
      readonly next: number
      /** Promise of the source itself: no earlier event will come. */ readonly watermark?: number
    }
  /** A bounded partition: nothing will ever come after this position. */
  | { readonly kind: 'finished' }
  /** The position is not in the log (any more, or yet): the log lost what a checkpoint relies on. */
  | { readonly kind: 'out-of-range'; readonly earliest: number; readonly end: number }

export interface LogReader {
  /** Partitions may be added while it is read: it is asked for them so often. */
  readonly lookAgainMs?: number
  /**
   * Stable identities of the partitions. A name (file name, "0", "1") appears in errors and status; the number is the index where none is given.
   */
  partitions(): Promise<readonly { readonly name: string; readonly number?: number }[]>
  /** Partitions of the checkpoint that are not there any more: whether one goes on without them. Default: no. */
  gone?(names: readonly string[]): Promise<boolean>
  /** The position at which a new job starts reading the partition. */
  start(partition: number, from: 'earliest' | 'latest'): Promise<number>
  /**
   * Read committed records from `position`. Waits up to `waitMs` for something to come, then answers `caught-up`.
   * At most about `maxBytes`, but always at least one record. Throws CodedError (INPUT_MISSING, TOPIC_MISSING, CORRUPT …).
   */
  fetch(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched>
  /** A decided checkpoint says so: for whoever watches from outside. Never fails, and is not waited for. */
  reached?(positions: readonly { readonly partition: number; readonly position: number }[]): void
  close(): Promise<void>
}

/** A record on its way out: final bytes, nothing left to decide. */
export interface OutputRecord {
  readonly partition: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  /** Where the sink has none, they are left out. */
  readonly headers?: readonly RecordHeader[]
}

/** At-least-once output: every record is written one or more times. */
export interface Appender {
  /** So many batches may be under way at a time; default 1. */
  readonly atOnce?: number
  /** Resolves when the records can no longer be lost. Called with batches, in order. */
  append(records: readonly OutputRecord[]): Promise<void>
  close(): Promise<void>
}
