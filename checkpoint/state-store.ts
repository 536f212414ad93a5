/**
 * The local state store: where a task keeps the actors that are not in memory. Ordered keys, raw bytes. It is a cache of decided
 * checkpoints, made anew from the newest one when a job starts and thrown away when it ends, so nothing depends on what a local
 * disk remembers. Implementations: `memory`, `level` (later `rocksdb`), one conformance suite.
 */

/** `value: undefined` deletes. */
export interface StoreWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}
/** Deletes every key that begins with these bytes, as far as it was written before. */
export interface StorePrefixDelete {
  readonly prefix: Uint8Array
}

export interface StoreEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface StateStore {
  /** One batched read; undefined where there is no value. Throws CodedError CORRUPT on a bad checksum. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  /** A blocking read, for synchronous point access from a handler (durableMap). */
  getSync(key: Uint8Array): Uint8Array | undefined
  /** Entries with from ≤ key < to in key order, at most `limit`; an empty page is the end. */
  scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<readonly StoreEntry[]>
  /**
   * Applies the writes in order, a slice at a time so that the event loop is never held for long; readers may see a part of them.
   * What is yielded is the store's only until it asks for the next. Applying the same writes again changes nothing. Never concurrent
   * with itself. Throws CodedError STORAGE_FAILED.
   */
  apply(writes: Iterable<StoreWrite | StorePrefixDelete> | AsyncIterable<StoreWrite | StorePrefixDelete>): Promise<void>
  /** Deletes everything and gives up what is held. */
  close(): Promise<void>
}

/** The first key after all that begin with `prefix`. */
export function afterPrefix(prefix: Uint8Array): Uint8Array {
  const after = prefix.slice()
  for (let i = after.length - 1; i >= 0; i--) {
    if (after[i] === 0xff) continue
    after[i] = (after[i] as number) + 1
    return after.subarray(0, i + 1)
  }
  throw new RangeError('a prefix of 0xff bytes has no successor')
}
