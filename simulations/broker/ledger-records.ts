/**
 * What a record of the ledger topic says, read a second time, for the checkers. Its value is one compact line of JSON,
 * `[1,epoch,chunk,last,generation,"manifest hash","owner"]`; anything else is no entry.
 */
import type { LedgerEntry } from '../../runtime/ports/publisher.ts'

const line =
  /^\[1,(?<epoch>\d+),(?<chunk>\d+),(?<last>true|false),(?<generation>\d+),(?<texts>"(?:[^"\\]|\\.)*","(?:[^"\\]|\\.)*")\]$/

/** Throws for what is no entry: the run wrote what nobody can read. */
export function readLedgerRecord(value: Uint8Array): LedgerEntry {
  const text = new TextDecoder().decode(value)
  const found = line.exec(text)?.groups
  if (found === undefined) throw new Error(`the ledger holds ${JSON.stringify(text)}`)
  const [manifestHash, owner] = JSON.parse(`[${found['texts']}]`) as [string, string]
  return {
    epoch: Number(found['epoch']),
    chunk: Number(found['chunk']),
    last: found['last'] === 'true',
    generation: Number(found['generation']),
    manifestHash,
    owner
  }
}
