/**
 * Checkpoint storage: a flat name space of immutable objects below one job's lineage. Names use `/`.
 * A directory, or a bucket of an S3-compatible server. Object names are formed in `object-names.ts` and nowhere else.
 */
import { CodedError } from '../runtime/kernel/errors.ts'

export interface CheckpointStorage {
  /**
   * Durable when it resolves (file and folder synced). Fails if the object exists: the conditional create on which the
   * decision log stands. An outcome that cannot be known rejects; the caller looks again and deletes nothing.
   */
  create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'>
  /** Whole object. Throws CodedError STORAGE_FAILED; `undefined` when it is not there. */
  read(name: string): Promise<Uint8Array | undefined>
  readRange(name: string, offset: number, length: number): Promise<Uint8Array>
  /** Names below the prefix folder (not recursive), sorted. A hint only: may be stale. */
  list(folder: string): Promise<readonly string[]>
  remove(name: string): Promise<void>
}

/** What a range was read as, when all of it is there. Throws CORRUPT. */
export function wholeRange(bytes: Uint8Array, name: string, offset: number, length: number): Uint8Array {
  if (bytes.length === length) return bytes
  throw new CodedError(
    'CORRUPT',
    `"${name}" ends at byte ${offset + bytes.length}; ${length} bytes were wanted from ${offset}`
  )
}
