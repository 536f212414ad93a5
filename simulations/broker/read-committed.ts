/** What a reader with isolation "read committed" sees of fetched batches. */
import type { StoredRecord } from './partition.ts'
import type { FetchedPartition } from './requests.ts'

export interface Visible {
  readonly records: readonly StoredRecord[]
  /** Behind the last batch, whatever is in it. */
  readonly next: number
}

export function visibleRecords(fetched: FetchedPartition, position: number): Visible {
  const aborted = [...fetched.aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const skipping = new Set<number>()
  const records: StoredRecord[] = []
  let next = position
  for (const batch of fetched.batches) {
    while (aborted[0] !== undefined && aborted[0].firstOffset <= batch.lastOffset)
      skipping.add((aborted.shift() as { producerId: number }).producerId)
    next = batch.lastOffset + 1
    if (batch.control !== undefined) {
      if (batch.control === 'abort') skipping.delete(batch.producerId)
      continue
    }
    if (batch.transactional && skipping.has(batch.producerId)) continue
    for (const record of batch.records) if (record.offset >= position) records.push(record)
  }
  return { records, next }
}
