/** What a record of the ledger topic says: the checkers' own reading of it. */
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { LedgerEntry } from '../../runtime/ports/publisher.ts'

export function decodeEntry(bytes: Uint8Array): LedgerEntry {
  const text = new TextDecoder().decode(bytes)
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch (cause) {
    throw new CodedError('CORRUPT', `ledger entry ${JSON.stringify(text.slice(0, 100))}`, { cause })
  }
  if (Array.isArray(fields)) {
    const [version, epoch, chunk, last, generation, manifestHash, owner] = fields as unknown[]
    if (version !== 1 && typeof version === 'number')
      throw new CodedError('FORMAT_NEWER', `ledger entry of format ${version}`)
    const isCount = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0
    if (isCount(epoch) && isCount(chunk) && typeof last === 'boolean' && isCount(generation))
      if (typeof manifestHash === 'string' && typeof owner === 'string')
        return { epoch, chunk, last, generation, manifestHash, owner }
  }
  throw new CodedError('CORRUPT', `ledger entry ${JSON.stringify(text.slice(0, 100))}`)
}
