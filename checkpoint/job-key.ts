/** The secret by which the workers of a job know each other: made once, kept beside its checkpoints. */
import { CodedError } from '../runtime/kernel/errors.ts'
import type { CheckpointStorage } from './storage.ts'

const objectName = 'job-key'
const keyBytes = 32

/**
 * Throws NOT_FOUND, CORRUPT.
 *
 * @param make fresh random bytes, when there is no key yet; absent: whoever only looks makes none
 */
export async function jobKey(storage: CheckpointStorage, make?: (bytes: number) => Uint8Array): Promise<Uint8Array> {
  // Whoever creates it first has made it; everybody reads what stands.
  if (make !== undefined) await storage.create(objectName, make(keyBytes))
  const key = await storage.read(objectName)
  if (key === undefined && make === undefined)
    throw new CodedError('NOT_FOUND', 'no worker of this job has ever run on this storage')
  if (key?.length !== keyBytes)
    throw new CodedError('CORRUPT', `"${objectName}" has ${key?.length ?? 'no'} bytes instead of ${keyBytes}`)
  return key
}
