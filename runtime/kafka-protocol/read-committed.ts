/** What a reader with isolation "read committed" sees of fetched batches (the algorithm of Kafka's own consumer). */
import type { DecodedBatch } from './record-batch.ts'

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export interface Visible {
  readonly records: readonly DecodedBatch['records'][number][]
  /** Behind the last batch, whatever is in it. */
  readonly next: number
}

/** Batches may begin before `position`: a broker answers whole ones. */
export function readCommitted(
  batches: readonly DecodedBatch[],
  aborted: readonly AbortedTransaction[],
  position: number
): Visible {
  const pending = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const skipped = new Set<number>()
  const records: DecodedBatch['records'][number][] = []
  let next = position
  let at = 0
  for (const batch of batches) {
    for (; (pending[at]?.firstOffset ?? Infinity) <= batch.lastOffset; at++)
      skipped.add((pending[at] as AbortedTransaction).producerId)
    next = Math.max(next, batch.lastOffset + 1)
    if (batch.control !== undefined) {
      if (batch.control === 'abort') skipped.delete(batch.producerId)
      continue
    }
    if (batch.transactional && skipped.has(batch.producerId)) continue
    for (const record of batch.records) if (record.offset >= position) records.push(record)
  }
  return { records, next }
}
