/** The truth about a topic, for checkers: derived from what is stored and by whom it was decided, not by any client's filter. */
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import type { Topic } from './broker-cluster.ts'
import type { Partition, StoredBatch } from './partition.ts'

export interface CommittedRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers?: readonly RecordHeader[]
  /** Counts transactions of the cluster; undefined outside transactions. */
  readonly transaction: number | undefined
  /** What else its transaction wrote to compacted topics: its slot's ledger entry. */
  readonly entries: readonly { readonly topic: string; readonly key: string; readonly value: string }[]
}

/** Batches whose transaction was committed, or that belong to none. */
export function* decidedBatches(partition: Partition): Generator<StoredBatch> {
  const outcome = new Map<number, 'commit' | 'abort'>()
  const committed: StoredBatch[] = []
  for (let i = partition.batches.length - 1; i >= 0; i--) {
    const batch = partition.batches[i] as StoredBatch
    if (batch.control !== undefined) outcome.set(batch.producerId, batch.control)
    else if (!batch.transactional || outcome.get(batch.producerId) === 'commit') committed.push(batch)
  }
  yield* committed.reverse()
}

export function committedOf(topics: ReadonlyMap<string, Topic>, topic: string): CommittedRecord[] {
  const entries = new Map<number, { topic: string; key: string; value: string }[]>()
  const decoder = new TextDecoder()
  for (const { name, configs, partitions } of topics.values()) {
    if (configs['cleanup.policy'] !== 'compact') continue
    for (const partition of partitions)
      for (const { transaction, records } of partition.everWritten)
        for (const { key, value } of records) {
          if (transaction === undefined) continue
          const entry = { topic: name, key: decoder.decode(key), value: decoder.decode(value) }
          const known = entries.get(transaction)
          if (known === undefined) entries.set(transaction, [entry])
          else known.push(entry)
        }
  }
  const found: CommittedRecord[] = []
  for (const [number, partition] of (topics.get(topic)?.partitions ?? []).entries())
    for (const batch of decidedBatches(partition))
      for (const record of batch.records)
        found.push({
          partition: number,
          ...record,
          transaction: batch.transaction,
          entries: (batch.transaction === undefined ? undefined : entries.get(batch.transaction)) ?? []
        })
  return found
}
