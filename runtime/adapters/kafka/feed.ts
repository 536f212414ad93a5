/** What one partition has brought and nobody has taken yet, whichever client brings it. */
import type { CodedError } from '../../kernel/errors.ts'
import type { RecordBatch } from '../../ports/log.ts'
import type { Place } from './load-kafka.ts'

export interface Bounds {
  readonly earliest: number
  /** The last stable offset. */
  readonly end: number
}

export interface Taken {
  readonly batch: RecordBatch
  /** Behind the last record, and behind what is known to be a gap. */
  readonly next: number
}

export abstract class Feed implements Place {
  readonly topic: string
  readonly partition: number
  /** Not taken yet. */
  bytes = 0
  /** Where the next fetch begins, if it goes on. */
  at = -1
  /** The broker said that there is nothing at and behind this position. */
  eof: number | undefined
  outside: Bounds | undefined
  failure: CodedError | UnreadableRecords | undefined
  /** Counts changes of the position: an answer about an older one is nobody's. */
  turn = 0
  wake: (() => void) | undefined

  constructor({ topic, partition }: Place) {
    this.topic = topic
    this.partition = partition
  }

  abstract get isEmpty(): boolean
  /** At least one record, and about so many bytes. */
  abstract take(maxBytes: number): Taken

  clear(position: number): void {
    this.bytes = 0
    this.at = position
    this.eof = this.outside = this.failure = undefined
    this.turn++
  }

  told(): void {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }
}

/** By which a consumer finds the feed of a partition. */
export const feedKey = ({ topic, partition }: Place): string => `${partition} ${topic}`

/** This client cannot read them; another one may. */
export class UnreadableRecords {
  readonly why: string
  constructor(why: string) {
    this.why = why
  }
}

/** Brings the records of any number of partitions, each from where it is told to begin. No group, no commit, no rebalance. */
export interface PartitionConsumer {
  /** @param topic undefined: of all. Throws SOURCE_UNREACHABLE, KAFKA_REFUSED. */
  connect(topic: string | undefined): Promise<void>
  /** How many partitions a topic has. Throws TOPIC_MISSING, SOURCE_UNREACHABLE, KAFKA_REFUSED. */
  partitions(topic: string): Promise<number>
  /** How many partitions each topic has that may be seen. Throws SOURCE_UNREACHABLE. */
  metadata(): Promise<ReadonlyMap<string, number>>
  bounds(place: Place): Promise<Bounds>
  /** The first record of that time or later; `end` where there is none. */
  offsetAt(place: Place, time: number, end: number): Promise<number>
  feed(place: Place): Feed
  /** From now on the feed brings what stands at `position` and behind it. */
  seek(feed: Feed, position: number): void
  /** Nobody reads it any more. */
  drop(feed: Feed): void
  /** The feed was taken from. */
  eased(feed: Feed): void
  /** An offset at or behind the last stable one, as it was heard of last; -1: of none. */
  knownEnd(feed: Feed): number
  close(): Promise<void>
}
