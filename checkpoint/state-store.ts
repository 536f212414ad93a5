/**
 * The local state store: where a task keeps the actors that are not in memory. Ordered keys, raw bytes. It is a cache of decided
 * checkpoints: nothing depends on what a local disk remembers, but what is proven to be right is used again (`store-parts.ts`).
 * Implementations: `memory`, `level`, `rocksdb`, one conformance suite.
 *
 * Invariants
 * 1. After a crash of the process or the machine it holds what was applied up to some point, and nothing of what came later; or it is
 *    empty. A prefix that was deleted may be so in part.
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
  /** Why what was there before is not: it was damaged. */
  readonly lost?: string | undefined
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
  /** Gives up what is held; what was applied is there when it is opened again, unless damage was met: then nothing is. */
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

/** Opens a store again and again, each time after the one before was closed. */
export function oneAtATime(open: () => Promise<StateStore>): () => Promise<StateStore> {
  let last: Promise<void> = Promise.resolve()
  return async () => {
    const before = last
    let release: () => void = () => undefined
    last = new Promise(resolve => (release = resolve))
    await before
    try {
      const store = await open()
      return {
        lost: store.lost,
        getMany: keys => store.getMany(keys),
        getSync: key => store.getSync(key),
        scan: (from, to, limit) => store.scan(from, to, limit),
        apply: writes => store.apply(writes),
        close: () => store.close().finally(release)
      }
    } catch (error) {
      release()
      throw error
    }
  }
}
