/**
 * Exactly-once output (RELIABILITY.md, page one). A *slot* of (sink, stage) is published by chunk: one short transaction in the
 * sink's own system holds the records and the ledger entry. Implementations: embedded log, files, Kafka, simulated.
 */
import type { OutputRecord } from './log.ts'

/** One slot = one transactional identity = one ledger entry, for ever. */
export interface SlotName {
  readonly job: string
  readonly lineage: number
  readonly sink: string
  readonly stage: string
  readonly slot: number
}

/** How far a source is read: told to whoever watches from outside, never read back. */
export interface SourcePosition {
  readonly source: string
  readonly partition: number
  readonly position: number
}

/** `epoch 0, chunk 0` is written once, before the slot's first outbox is decided. */
export interface LedgerEntry {
  readonly epoch: number
  /** Chunks of an epoch count from 0; `last` marks the final one of its epoch. */
  readonly chunk: number
  readonly last: boolean
  readonly generation: number
  readonly manifestHash: string
  readonly owner: string
}

/** A producer that has fenced every older owner of its slot. Dead after anything but success. */
export interface Producer {
  /**
   * The slot's newest ledger entry, read committed, up to the stable end asked for after this producer was initialised.
   * `undefined` = the ledger holds no entry for the slot (never "nothing published": the caller halts unless the slot is new).
   */
  readLedger(): Promise<LedgerEntry | undefined>
  /** One transaction: the records byte for byte, in order, and the entry. Never retries inside. */
  publish(
    records: readonly OutputRecord[],
    entry: LedgerEntry,
    /** In the same transaction, or left out when they alone are refused. */
    positions?: readonly SourcePosition[]
  ): Promise<PublishOutcome>
  /** One transaction of positions alone. Of publishers that name `sources`. */
  note?(positions: readonly SourcePosition[]): Promise<PublishOutcome>
  close(): Promise<void>
}

export type PublishOutcome =
  | { readonly kind: 'published'; /** Not now; another attempt may succeed. */ readonly positions?: 'left-out' }
  /** A newer owner exists. */
  | { readonly kind: 'fenced' }
  /** Neither success nor failure: initialise anew, read the ledger, decide. */
  | { readonly kind: 'unknown'; readonly error: Error }
  /** The sink refuses these records for good (too large, no such partition). Nothing was written. */
  | { readonly kind: 'refused'; readonly error: Error }

/** What is true of a sink's target. A record that it would refuse must not get into an outbox: once decided, it would stop the slot. */
export interface SinkTarget {
  /** To choose from. */
  readonly partitions: number
  /** Of one record, key and value together. */
  readonly maxRecordBytes: number
  /** Records without a key are refused. */
  readonly needsKey?: boolean
  /** Records whose time is so far ahead of the clock, or behind it, are refused; milliseconds; absent: any. */
  readonly mostAheadMs?: number
  readonly mostBehindMs?: number
}

export interface Publisher {
  /** Asked once at start. */
  describe(): Promise<SinkTarget>
  /** Whose positions are told along; each by one publisher at most. */
  readonly sources?: readonly string[]
  /** Fence older owners of the slot and end what they left open. Throws CodedError when the sink cannot be reached. */
  initialise(slot: SlotName): Promise<Producer>
  close(): Promise<void>
}
