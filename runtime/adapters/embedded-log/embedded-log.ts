/**
 * A log in a folder, shaped like Kafka: topics with partitions, contiguous offsets, transactions read committed, producer fencing,
 * consumer offsets. It belongs to one process; a second one is refused. Nothing is ever deleted from it yet.
 *
 * What it guarantees: what was acknowledged is there after a crash of the process or the machine, wholly or (for a transaction that
 * was not acknowledged) not at all. A record that is damaged, missing in the middle or lost at the end is noticed and named when the
 * log is opened or read; opening reads the whole log once for that, about a gigabyte a second. Only one loss can pass unseen: the
 * very last write together with its place in the file "high-water".
 */
import type { Clock } from '../../ports/clock.ts'
import type { Appender, LogReader, OutputRecord } from '../../ports/log.ts'
import type { LedgerEntry, Publisher } from '../../ports/publisher.ts'
import { assert, CodedError } from '../../kernel/errors.ts'
import { aborted, byPartition, type committed, encodeEntries, encodeMarker, transactional } from './log-entry.ts'
import { LogPartition } from './log-partition.ts'
import { LogPublisher } from './log-publisher.ts'
import { LogStore } from './log-store.ts'
import { TopicReader } from './topic-reader.ts'
import { TransactionalProducer } from './transactional-producer.ts'

const nameRule = /^[A-Za-z][A-Za-z0-9_-]{0,254}$/
/** Every partition is a record that is read when the log is opened, and a wake-up list. */
const partitionLimit = 1024

export interface TopicInfo {
  readonly name: string
  readonly partitions: number
}

interface Topic extends TopicInfo {
  readonly number: number
}

export class EmbeddedLog {
  readonly clock: Clock
  readonly store: LogStore
  private readonly byName = new Map<string, Topic>()
  private readonly byPlace = new Map<string, LogPartition>()
  private readonly changed = new Set<LogPartition>()

  private constructor(store: LogStore, clock: Clock) {
    this.store = store
    this.clock = clock
    store.onCut = () => this.cut()
  }

  /**
   * Makes the folder when it is missing. Transactions that a dead process left open are aborted.
   * Throws LOCKED when another process has the log open, CORRUPT when something in it is lost or changed.
   */
  static async open(folder: string, clock: Clock): Promise<EmbeddedLog> {
    const store = await LogStore.open(folder)
    try {
      const log = new EmbeddedLog(store, clock)
      log.load()
      await log.abortAll()
      return log
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Idempotent. Readers that wait are answered; whatever is used afterwards throws NOT_RUNNING. */
  async close(): Promise<void> {
    await this.store.close()
    for (const partition of this.byPlace.values()) partition.wake()
  }

  topics(): TopicInfo[] {
    return [...this.byName.values()].map(({ name, partitions }) => ({ name, partitions }))
  }

  topic(name: string): TopicInfo | undefined {
    return this.byName.get(name)
  }

  /** Nothing happens when it is there with as many partitions; with another number it throws OPTION_INVALID. */
  async createTopic(name: string, partitions: number): Promise<void> {
    if (!nameRule.test(name))
      throw new CodedError('NAME_INVALID', `topic ${JSON.stringify(name)} must match ${nameRule.source}`)
    if (!Number.isSafeInteger(partitions) || partitions < 1 || partitions > partitionLimit)
      throw new CodedError(
        'OPTION_INVALID',
        `topic "${name}": partitions is ${partitions}; it must be a whole number from 1 to ${partitionLimit}`
      )
    const known = this.byName.get(name)
    if (known !== undefined && known.partitions !== partitions)
      throw new CodedError(
        'OPTION_INVALID',
        `topic "${name}" has ${known.partitions} partitions, not ${partitions}; their number is fixed`
      )
    if (known === undefined) {
      const number = this.nextNumber('topic')
      this.store.put(`topic/${name}`, { number, partitions })
      this.addTopic({ name, number, partitions })
    }
    await this.store.commit()
  }

  /** The topic keeps its records under the new name, which may hold dots: such a name never clashes with one that was created. */
  async renameTopic(name: string, to: string): Promise<void> {
    const { number, partitions } = this.find(name)
    if (this.byName.has(to)) throw new CodedError('OPTION_INVALID', `topic "${to}" is there already`)
    this.store.remove(`topic/${name}`)
    this.store.put(`topic/${to}`, { number, partitions })
    this.byName.delete(name)
    this.byName.set(to, { name: to, number, partitions })
    await this.store.commit()
  }

  /** Outside any transaction. Resolves to the offset of the first record, once all are durable. */
  async append(topic: string, partition: number, records: readonly OutputRecord[]): Promise<number> {
    this.store.check()
    const offset = this.write(this.partition(topic, partition), records)
    await this.store.commit()
    return offset
  }

  /** Read committed. `bounded`: a partition finishes once a read finds nothing more in it. */
  reader(topic: string, options: { readonly bounded?: boolean } = {}): LogReader {
    return new TopicReader(this, topic, options.bounded === true)
  }

  /** At-least-once output; the topic must be there. */
  appender(topic: string): Appender {
    return {
      append: async records => {
        this.store.check()
        for (const [partition, part] of byPartition(records)) this.write(this.partition(topic, partition), part)
        await this.store.commit()
      },
      close: () => Promise.resolve()
    }
  }

  /** Exactly-once output. A missing topic is made, with `partitions` or one. */
  publisher(topic: string, options: { readonly partitions?: number | undefined } = {}): Publisher {
    return new LogPublisher(this, topic, options.partitions)
  }

  /** Fences every older producer of this id and aborts what it left open. Durable when it resolves. */
  async producer(id: string): Promise<TransactionalProducer> {
    this.store.check()
    const known = this.store.metadata.get(`producer/${id}`) as { producer: number; epoch: number } | undefined
    const producer = known?.producer ?? this.nextNumber('producer')
    const epoch = (known?.epoch ?? 0) + 1
    this.store.put(`producer/${id}`, { producer, epoch })
    this.end(producer, aborted)
    await this.store.commit()
    return new TransactionalProducer(this, id, producer, epoch)
  }

  /** A committed position of a group of readers. */
  async commitOffset(group: string, topic: string, partition: number, offset: number): Promise<void> {
    this.store.check()
    const { place } = this.partition(topic, partition)
    this.store.put(groupKey(group, place), { offset })
    await this.store.commit()
  }

  committedOffset(group: string, topic: string, partition: number): number | undefined {
    const { place } = this.partition(topic, partition)
    return this.store.metadata.get(groupKey(group, place))?.['offset'] as number | undefined
  }

  /** Durable with the next commit; a producer sets it in the transaction that it speaks of. */
  setLedger(slot: string, entry: LedgerEntry): void {
    this.store.put(`ledger/${slot}`, { ...entry })
  }

  ledger(slot: string): LedgerEntry | undefined {
    return this.store.metadata.get(`ledger/${slot}`) as LedgerEntry | undefined
  }

  /** A job that starts over: what its slots have published no longer counts. */
  async forgetLedger(): Promise<void> {
    for (const [key] of [...this.store.under('ledger/')]) this.store.remove(key)
    await this.store.commit()
  }

  /** Throws TOPIC_MISSING. */
  partition(topic: string, partition: number): LogPartition {
    const { number, partitions } = this.find(topic)
    const found = this.byPlace.get(`${number}/${partition}`)
    if (found === undefined)
      throw new CodedError('OPTION_INVALID', `topic "${topic}" has no partition ${partition}, only ${partitions}`)
    return found
  }

  /** Throws TOPIC_MISSING. */
  find(topic: string): Topic {
    const found = this.byName.get(topic)
    if (found !== undefined) return found
    const names = [...this.byName.keys()]
    throw new CodedError('TOPIC_MISSING', `topic "${topic}" does not exist; there are: ${names.join(', ') || 'none'}`)
  }

  /** Stages records; returns the offset of the first. Inside a transaction when a producer number is given. */
  write(partition: LogPartition, records: readonly OutputRecord[], producer = 0): number {
    const first = partition.end
    if (records.length === 0) return first
    const flags = producer === 0 ? 0 : transactional
    for (const entry of encodeEntries(partition.place, first, records, flags, producer))
      this.store.putEntry(entry.key, entry.value)
    if (producer !== 0 && !partition.open.has(producer)) {
      partition.open.set(producer, first)
      this.store.put(openKey(producer, partition), { first })
    }
    this.moved(partition, first + records.length)
    return first
  }

  /** Stages the markers that end a producer's transaction. */
  end(producer: number, outcome: typeof committed | typeof aborted): void {
    for (const partition of this.byPlace.values()) {
      const first = partition.open.get(producer)
      if (first === undefined) continue
      const marker = partition.end
      const entry = encodeMarker(partition.place, marker, outcome, producer)
      this.store.putEntry(entry.key, entry.value)
      partition.open.delete(producer)
      this.store.remove(openKey(producer, partition))
      if (outcome === aborted) {
        const { topic, partition: number } = partition.place
        partition.addAborted(producer, { first, marker })
        this.store.put(`aborted/${topic}/${number}/${marker}`, { producer, first })
      }
      this.moved(partition, marker + 1)
    }
  }

  private moved(partition: LogPartition, end: number): void {
    partition.end = end
    this.changed.add(partition)
    this.store.put(`partition/${partition.place.topic}/${partition.place.partition}`, { end })
  }

  private cut(): () => void {
    const moves = [...this.changed].map(partition => ({
      partition,
      end: partition.end,
      stable: partition.stableEnd
    }))
    this.changed.clear()
    return () => {
      for (const { partition, end, stable } of moves) partition.advance(end, stable)
    }
  }

  private nextNumber(of: 'topic' | 'producer'): number {
    const number = ((this.store.metadata.get(`next/${of}`)?.['number'] as number | undefined) ?? 0) + 1
    this.store.put(`next/${of}`, { number })
    return number
  }

  private addTopic(topic: Topic): void {
    this.byName.set(topic.name, topic)
    for (let partition = 0; partition < topic.partitions; partition++) {
      const end = this.store.metadata.get(`partition/${topic.number}/${partition}`)?.['end'] as number | undefined
      this.byPlace.set(`${topic.number}/${partition}`, new LogPartition({ topic: topic.number, partition }, end ?? 0))
    }
  }

  private load(): void {
    for (const [key, value] of this.store.under('topic/'))
      this.addTopic({ name: key.slice('topic/'.length), ...(value as { number: number; partitions: number }) })
    for (const [key, value] of this.store.under('aborted/')) {
      const [topic, partition, marker] = key.slice('aborted/'.length).split('/').map(Number)
      const { producer, first } = value as { producer: number; first: number }
      this.byPlace.get(`${topic}/${partition}`)?.addAborted(producer, { first, marker: marker as number })
    }
    for (const [key, value] of this.store.under('open/')) {
      const [producer, topic, partition] = key.slice('open/'.length).split('/').map(Number)
      const found = this.byPlace.get(`${topic}/${partition}`)
      assert(found !== undefined, `an open transaction on partition ${topic}/${partition}, which is not there`)
      found.open.set(producer as number, value['first'] as number)
    }
  }

  /** Their producers died with the process that had the log open. */
  private async abortAll(): Promise<void> {
    const producers = new Set([...this.byPlace.values()].flatMap(partition => [...partition.open.keys()]))
    for (const producer of producers) this.end(producer, aborted)
    if (producers.size > 0) await this.store.commit()
  }
}

const groupKey = (group: string, { topic, partition }: { topic: number; partition: number }): string =>
  `group/${topic}/${partition}/${group}`
const openKey = (producer: number, { place }: LogPartition): string =>
  `open/${producer}/${place.topic}/${place.partition}`
