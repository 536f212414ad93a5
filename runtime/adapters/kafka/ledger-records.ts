/** A slot's ledger entry as a record of the compacted ledger topic. */
import { CodedError } from '../../kernel/errors.ts'
import type { LedgerEntry, SlotName } from '../../ports/publisher.ts'

/** Names have no dots, so that two slots never share one. Also the slot's transactional id, for ever. */
export const slotKey = (slot: SlotName): string => `${slot.job}.${slot.lineage}.${slot.sink}.${slot.stage}.${slot.slot}`

export function encodeEntry({ epoch, chunk, last, generation, manifestHash, owner }: LedgerEntry): Uint8Array {
  return new TextEncoder().encode(JSON.stringify([1, epoch, chunk, last, generation, manifestHash, owner]))
}

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
