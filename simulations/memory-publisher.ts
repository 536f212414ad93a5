/** A transactional sink in memory: records and ledger entry change together, a newer producer of a slot fences the older. */
import type { OutputRecord } from '../runtime/ports/log.ts'
import type { LedgerEntry, Producer, Publisher, PublishOutcome, SlotName } from '../runtime/ports/publisher.ts'

export class MemoryPublisher implements Publisher {
  /** Everything published, in order. */
  readonly records: OutputRecord[] = []
  /** Each that was ever initialised, once. */
  readonly slots: SlotName[] = []
  private readonly ledger = new Map<string, LedgerEntry>()
  private readonly owners = new Map<string, number>()

  describe(): Promise<{ readonly partitions: number; readonly maxRecordBytes: number }> {
    return Promise.resolve({ partitions: 1, maxRecordBytes: 1024 * 1024 })
  }

  initialise(slot: SlotName): Promise<Producer> {
    const name = `${slot.lineage}/${slot.stage}/${slot.slot}`
    const owner = (this.owners.get(name) ?? 0) + 1
    this.owners.set(name, owner)
    if (owner === 1) this.slots.push(slot)
    return Promise.resolve({
      readLedger: () => Promise.resolve(this.ledger.get(name)),
      publish: (records, entry): Promise<PublishOutcome> => {
        if (this.owners.get(name) !== owner) return Promise.resolve({ kind: 'fenced' })
        this.records.push(...records)
        this.ledger.set(name, entry)
        return Promise.resolve({ kind: 'published' })
      },
      close: () => Promise.resolve()
    })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
