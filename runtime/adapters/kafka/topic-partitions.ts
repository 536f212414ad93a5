/**
 * What a source reads of a cluster: the partitions of one topic, or of all topics whose names match a pattern, each with the number that
 * checkpoints and slots know it by. Two workers that find topics in different orders must give them the same numbers, so a number is a
 * function of the topic's name and of the partition.
 */
import { createHash } from 'node:crypto'
import { CodedError } from '../../kernel/errors.ts'
import { matchesWhole } from '../../kernel/whole-name.ts'
import type { Place } from './load-kafka.ts'

/**
 * Prime, so that topics of one partition each are spread over slots, whose number is a power of two more often than not. With 39 bits of a name's
 * hash before it a number stays a safe integer.
 */
const mostPartitions = 16_381
const hashRange = 2 ** 39

/** Of a partition of a topic that a pattern has found. */
function numberIn(topic: string, partition: number): number {
  const hash = createHash('sha256').update(topic).digest().readUIntBE(0, 5) % hashRange
  return hash * mostPartitions + partition
}

/** Kafka's own topics, and ledgers: no pattern means them. */
const isNobodys = (topic: string): boolean => /^(__|cairn-.*-(ledger|redriven)$)/.test(topic)

export class TopicPartitions {
  readonly topic: string | RegExp
  private readonly found = new Map<number, Place>()

  constructor(topic: string | RegExp) {
    this.topic = topic
  }

  reads(topic: string): boolean {
    return typeof this.topic === 'string' ? topic === this.topic : !isNobodys(topic) && matchesWhole(this.topic, topic)
  }

  /** Undefined: a pattern has not found it. */
  place(number: number): Place | undefined {
    return typeof this.topic === 'string' ? { topic: this.topic, partition: number } : this.found.get(number)
  }

  /** @param topics how many partitions each has. Throws OPTION_INVALID where a pattern cannot tell them apart. */
  find(topics: ReadonlyMap<string, number>): { readonly name: string; readonly number: number }[] {
    const all = [...topics].filter(([topic]) => this.reads(topic)).sort(([a], [b]) => (a < b ? -1 : 1))
    return all.flatMap(([topic, count]) => {
      if (typeof this.topic !== 'string' && count > mostPartitions)
        throw new CodedError(
          'OPTION_INVALID',
          `topic "${topic}" has ${count} partitions; a pattern takes topics of at most ${mostPartitions}`
        )
      return Array.from({ length: count }, (_, partition) => {
        if (typeof this.topic === 'string') return { name: String(partition), number: partition }
        const number = numberIn(topic, partition)
        const other = this.found.get(number)
        if (other !== undefined && other.topic !== topic)
          throw new CodedError(
            'OPTION_INVALID',
            `topics "${topic}" and "${other.topic}" cannot be read by one pattern, ${String(this.topic)}: their names have the same hash`
          )
        this.found.set(number, { topic, partition })
        return { name: `${topic}/${partition}`, number }
      })
    })
  }
}
