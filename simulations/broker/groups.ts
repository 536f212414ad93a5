/** Offsets of consumer groups: pending until the transaction's marker, and forgotten after a while (Kafka's simple groups). */
import type { TopicPartition } from './requests.ts'

interface Stored {
  readonly offset: number
  readonly committedAt: number
}

export class GroupOffsets {
  private readonly stored = new Map<string, Stored>()
  private readonly pending = new Map<number, Map<string, number>>()

  private static keyOf(group: string, at: TopicPartition): string {
    return `${group}/${at.topic}/${at.partition}`
  }

  /** Part of a transaction: seen once its commit marker is there. */
  commitLater(
    group: string,
    producerId: number,
    offsets: readonly (TopicPartition & { readonly offset: number })[]
  ): void {
    const mine = this.pending.get(producerId) ?? new Map<string, number>()
    this.pending.set(producerId, mine)
    for (const each of offsets) mine.set(GroupOffsets.keyOf(group, each), each.offset)
  }

  mark(group: string, producerId: number, commit: boolean, now: number): void {
    const mine = this.pending.get(producerId)
    if (mine === undefined) return
    for (const [key, offset] of mine) {
      if (!key.startsWith(`${group}/`)) continue
      if (commit) this.stored.set(key, { offset, committedAt: now })
      mine.delete(key)
    }
    if (mine.size === 0) this.pending.delete(producerId)
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
