/**
 * The local state store: a cache of one completed checkpoint. Ordered keys, raw bytes. Implementations: `memory`, `level`
 * (later `rocksdb`), one conformance suite. A store protects its own values with a checksum and keeps an unbroken chain of
 * applied epochs; a store that cannot prove what it holds answers `identity: undefined` and is rebuilt by its owner.
 */

/** Which checkpoint a store equals. */
export interface StoreIdentity {
  readonly job: string
  readonly lineage: number
  readonly epoch: number
  readonly manifestHash: string
}

/** `value: undefined` deletes. */
export interface StoreWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

export interface StateStore {
  /** What the store equals now; undefined = nothing usable (empty, half applied, damaged). */
  readonly identity: StoreIdentity | undefined
  /** One batched read; undefined where there is no value. Throws CodedError CORRUPT on a bad checksum. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  /** A blocking read, for synchronous point access from a handler (durableMap). */
  getSync(key: Uint8Array): Uint8Array | undefined
  /** Entries with from ≤ key < to in key order, in pages of at most `limit`; an empty page is the end. */
  scan(
    from: Uint8Array,
    to: Uint8Array,
    limit: number
  ): Promise<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>
  /**
   * Applies the writes (later ones win) and then takes the new identity, a slice at a time so that the event loop is never
   * held for long. A crash in the middle leaves `identity: undefined`. Never concurrent with itself.
   */
  apply(writes: Iterable<StoreWrite> | AsyncIterable<StoreWrite>, identity: StoreIdentity): Promise<void>
  /** Empties the store; identity becomes undefined. */
  clear(): Promise<void>
  close(): Promise<void>
}
