/** Offsets of consumer groups: pending until the transaction's marker, and forgotten after a while (Kafka's simple groups). */
import { reached } from '../../runtime/kernel/marks.ts'
import type { Marker, TopicPartition } from './requests.ts'

interface Stored {
  readonly offset: number
  readonly committedAt: number
}

interface Pending extends TopicPartition {
  readonly group: string
  readonly offset: number
  /** Of which it is a part, by the coordinator's count. */
  readonly transaction: number | undefined
}

export class GroupOffsets {
  /** Everything that was ever stored, in that order: for checkers. */
  readonly history: (Pending & { readonly atMs: number })[] = []
  private readonly stored = new Map<string, Stored>()
  private readonly pending = new Map<number, Map<string, Pending>>()
  /** By producer, the newest that wrote a marker. */
  private readonly coordinatorEpochs = new Map<number, number>()

  private static keyOf(group: string, at: TopicPartition): string {
    return `${group}/${at.topic}/${at.partition}`
  }

  /** Part of a transaction: seen once its commit marker is there. */
  commitLater(
    group: string,
    producerId: number,
    transaction: number,
    offsets: readonly (TopicPartition & { readonly offset: number })[]
  ): void {
    const mine = this.pending.get(producerId) ?? new Map<string, Pending>()
    this.pending.set(producerId, mine)
    for (const each of offsets) mine.set(GroupOffsets.keyOf(group, each), { ...each, group, transaction })
  }

  /** At once. */
  commit(group: string, offsets: readonly (TopicPartition & { readonly offset: number })[], now: number): void {
    for (const each of offsets) this.store({ ...each, group, transaction: undefined }, now)
  }

  private store(what: Pending, now: number): void {
    this.stored.set(GroupOffsets.keyOf(what.group, what), { offset: what.offset, committedAt: now })
    this.history.push({ ...what, atMs: now })
  }

  mark(group: string, { producerId, coordinatorEpoch, commit }: Marker, now: number): void {
    const newest = this.coordinatorEpochs.get(producerId) ?? 0
    if (coordinatorEpoch < newest) {
      reached('broker: a marker of a deposed coordinator')
      return
    }
    this.coordinatorEpochs.set(producerId, coordinatorEpoch)
    const mine = this.pending.get(producerId)
    if (mine === undefined) return
    for (const [key, what] of mine) {
      if (what.group !== group) continue
      if (commit) this.store(what, now)
      mine.delete(key)
    }
    if (mine.size === 0) this.pending.delete(producerId)
  }

  /** What will be stored once the markers of these producers are there. */
  decided(producerIds: ReadonlySet<number>): Pending[] {
    return [...this.pending].flatMap(([producerId, mine]) => (producerIds.has(producerId) ? [...mine.values()] : []))
  }

  /** `unstable`: somebody's transaction is undecided. */
  fetch(group: string, at: TopicPartition): number | 'unstable' | undefined {
    const key = GroupOffsets.keyOf(group, at)
    for (const mine of this.pending.values()) if (mine.has(key)) return 'unstable'
    return this.stored.get(key)?.offset
  }

  expire(before: number): number {
    let count = 0
    for (const [key, { committedAt }] of this.stored)
      if (committedAt < before && ![...this.pending.values()].some(mine => mine.has(key))) {
        this.stored.delete(key)
        count++
      }
    return count
  }
}
