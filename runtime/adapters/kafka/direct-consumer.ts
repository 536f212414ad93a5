/**
 * Partitions read by the own client: of each broker one request at a time, for all partitions that it leads and that have room for more;
 * records are handed on where they stand in the answer.
 *
 *     reader ── fetch ──▶ Feed ◀── chunks ── one loop per broker ◀── Fetch, read committed ── broker
 *
 * Invariants
 * 1. An answer counts for a feed only if the feed still stands where it stood when it was asked for.
 * 2. "Caught up" is said only where the broker has said that nothing stable stands at that position.
 * 3. Feeds hold at most about `bufferedBytes` together, and an answer on its way: a partition nobody reads is not asked for.
 * 4. Where leaders are is asked again when one refuses or cannot be reached; what is wrong and may pass is told once.
 */
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import { FetchedRecords, UnknownCompression } from '../../kafka-protocol/fetched-records.ts'
import { KafkaRefusal, meaningOf } from '../../kafka-protocol/error-names.ts'
import type { ReplyOf } from '../../kafka-protocol/messages.ts'
import { partitionsOf, reachCluster } from '../../kafka-protocol/describe-protocol.ts'
import { refresh, type Protocol } from '../../kafka-protocol/protocol.ts'
import { allTopics, earliest, fetchOnce, latest, offsetOf, readCommitted } from '../../kafka-protocol/fetch-protocol.ts'
import { decompress } from './decompress.ts'
import { ChunkFeed } from './chunk-feed.ts'
import { isGone, isRefused } from './client-errors.ts'
import { feedKey, UnreadableRecords, type Bounds, type Feed, type PartitionConsumer } from './feed.ts'
import { KafkaClient, type KafkaClientOptions } from './kafka-client.ts'
import type { Place } from './load-kafka.ts'

export interface DirectConsumerOptions extends Pick<
  KafkaClientOptions,
  'bootstrap' | 'connect' | 'sasl' | 'clock' | 'requestTimeoutMs'
> {
  /** Shown to operators of Kafka. */
  readonly name: string
  /** Told of what goes wrong outside and is tried again. */
  readonly troubled?: (error: CodedError) => void
  /** Default 10,000. Until connecting, or a question at start, rejects. */
  readonly answerMs?: number
  /** Default 64 MiB, of all partitions together. More is memory; less makes partitions that are read in turns wait for brokers. */
  readonly bufferedBytes?: number
}

const usualBufferedBytes = 64 * 1024 * 1024
const leastFeedBytes = 1024 * 1024
const pauseMs = 200
/** An answer of 16 MiB, and one batch that is larger than all of it. Larger: so much memory for what a broken broker claims. */
const maxFrameBytes = 128 * 1024 * 1024
/** Brokers that start, and those that have not heard of a new topic yet, deny it for a while. Larger: a deleted one is noticed later. */
const goneMs = 5_000
const outOfRange = 1
/** What does not pass, beside missing rights: a name that no topic has, and requests that the broker does not know. */
const invalidTopic = 17
const unsupportedVersion = 35
const invalidRequest = 42

type FetchReply = ReplyOf<'Fetch'>
type PartitionReply = FetchReply['topics'][number]['partitions'][number]

export class DirectConsumer implements PartitionConsumer {
  private readonly options: DirectConsumerOptions
  /** Questions have connections of their own: they do not wait behind requests that wait for records. */
  private readonly questions: KafkaClient
  private readonly fetches: KafkaClient
  private readonly feeds = new Map<string, ChunkFeed>()
  /** Brokers that are being asked. */
  private readonly asked = new Set<number>()
  private connecting: Promise<void> | undefined
  private locating = false
  private closed = false
  private lastTrouble: string | undefined

  constructor(options: DirectConsumerOptions) {
    this.options = options
    const reach = { ...options, clientId: options.name }
    this.questions = new KafkaClient(reach)
    this.fetches = new KafkaClient({ ...reach, view: this.questions.view, maxFrameBytes })
  }

  connect(): Promise<void> {
    this.connecting ??= this.ask(this.what, now => reachCluster(this.questions.view, now + this.answerMs))
    // It may be asked for again.
    this.connecting.catch(() => (this.connecting = undefined))
    return this.connecting
  }

  async partitions(topic: string): Promise<number> {
    await this.connect()
    const { view } = this.questions
    return this.ask(`topic "${topic}"`, now => partitionsOf(view, topic, now + this.answerMs))
  }

  async metadata(): Promise<ReadonlyMap<string, number>> {
    await this.connect()
    return this.ask(this.what, now => allTopics(now + this.answerMs))
  }

  async bounds(place: Place): Promise<Bounds> {
    const what = placeText(place)
    const { answerMs } = this
    const { view } = this.questions
    const first = await this.ask(what, now =>
      offsetOf(view, place, { time: earliest, isolationLevel: 0, answerMs, now })
    )
    const end = await this.ask(what, now =>
      offsetOf(view, place, { time: latest, isolationLevel: readCommitted, answerMs, now })
    )
    return { earliest: first, end }
  }

  async offsetAt(place: Place, time: number, end: number): Promise<number> {
    const { answerMs } = this
    const { view } = this.questions
    const found = await this.ask(placeText(place), now =>
      offsetOf(view, place, { time, isolationLevel: readCommitted, answerMs, now })
    )
    return found < 0 ? end : Math.min(end, found)
  }

  feed(place: Place): ChunkFeed {
    const key = feedKey(place)
    let found = this.feeds.get(key)
    if (found === undefined) this.feeds.set(key, (found = new ChunkFeed(place)))
    return found
  }

  seek(feed: Feed, position: number): void {
    feed.clear(position)
    void this.begin(feed as ChunkFeed, position)
  }

  drop(feed: Feed): void {
    feed.clear(-1)
    this.feeds.delete(feedKey(feed))
  }

  eased(): void {
    this.pump()
  }

  knownEnd(feed: Feed): number {
    return (feed as ChunkFeed).stable
  }

  close(): Promise<void> {
    this.closed = true
    for (const feed of this.feeds.values()) feed.told()
    this.questions.close()
    this.fetches.close()
    return Promise.resolve()
  }

  private get what(): string {
    return `Kafka (${this.options.bootstrap.join(', ')})`
  }

  private get answerMs(): number {
    return this.options.answerMs ?? 10_000
  }

  private get now(): number {
    return this.options.clock.elapsed()
  }

  private async ask<T>(what: string, question: (now: number) => Protocol<T>): Promise<T> {
    try {
      return await this.questions.run(question)
    } catch (error) {
      throw this.coded(what, error)
    }
  }

  private coded(what: string, error: unknown): CodedError {
    if (error instanceof CodedError) {
      if (error.code !== 'TOPIC_MISSING') return error
      return new CodedError('TOPIC_MISSING', `${what} is not at ${this.what}`, { cause: error })
    }
    const { message } = error as Error
    if (error instanceof KafkaRefusal && isGone(error.code))
      return new CodedError('TOPIC_MISSING', `${what}: ${message}`, { cause: error })
    if (error instanceof KafkaRefusal && isFinal(error.code))
      return new CodedError('KAFKA_REFUSED', `${what}: ${message}`, { cause: error })
    const says = what === this.what ? `${what} does not answer: ${message}` : `${what}: ${message}`
    return new CodedError('SOURCE_UNREACHABLE', says, { cause: error })
  }

  private async begin(feed: ChunkFeed, position: number): Promise<void> {
    const { turn } = feed
    for (const until = this.now + goneMs; ;) {
      let error: CodedError
      try {
        const bounds = await this.bounds(feed)
        if (feed.turn !== turn || this.closed) return
        if (position < bounds.earliest || position > bounds.end) {
          feed.outside = bounds
          return feed.told()
        }
        feed.stable = bounds.end
        feed.asksAt = position
        return this.pump()
      } catch (thrown) {
        if (feed.turn !== turn || this.closed) return
        error = thrown as CodedError
      }
      const mayCome = error.code === 'TOPIC_MISSING' && this.now < until
      if (!error.retriable && !mayCome) {
        feed.failure = error
        return feed.told()
      }
      this.troubles(error)
      await this.pause()
    }
  }

  private pause(): Promise<void> {
    return new Promise(resolve => this.options.clock.after(pauseMs, resolve))
  }

  private get feedLimit(): number {
    return Math.max(leastFeedBytes, (this.options.bufferedBytes ?? usualBufferedBytes) / Math.max(1, this.feeds.size))
  }

  private isHungry(feed: ChunkFeed): boolean {
    if (feed.asksAt === undefined || feed.failure !== undefined || feed.outside !== undefined) return false
    return feed.bytes <= this.feedLimit
  }

  /** Asks whoever is not asked yet, and has something that there is room for. */
  private pump(): void {
    if (this.closed) return
    let isLost = false
    for (const feed of this.feeds.values()) {
      if (!this.isHungry(feed)) continue
      const leader = this.fetches.view.leader(feed.topic, feed.partition)
      if (leader === undefined) isLost = true
      else if (!this.asked.has(leader.broker)) {
        this.asked.add(leader.broker)
        void this.serve(leader.broker)
      }
    }
    if (isLost) void this.locate()
  }

  private async serve(broker: number): Promise<void> {
    const { view } = this.fetches
    const isLed = ({ topic, partition }: ChunkFeed): boolean => view.leader(topic, partition)?.broker === broker
    for (;;) {
      const feeds = this.closed ? [] : [...this.feeds.values()].filter(feed => this.isHungry(feed) && isLed(feed))
      if (feeds.length === 0) {
        this.asked.delete(broker)
        return
      }
      try {
        if (!(await this.round(broker, feeds))) await this.pause()
      } catch {
        // Only a client that is closed throws.
        return
      }
      // Who was answered stands behind the others: a broker fills its answer in the order of the question.
      for (const feed of feeds) if (this.feeds.delete(feedKey(feed))) this.feeds.set(feedKey(feed), feed)
      this.pump()
    }
  }

  /** False: it is better to wait a little. */
  private async round(broker: number, feeds: readonly ChunkFeed[]): Promise<boolean> {
    const asked = feeds.map(feed => ({ feed, turn: feed.turn, at: feed.asksAt as number }))
    const how = await this.fetches.run(() =>
      fetchOnce(
        broker,
        asked.map(({ feed: { topic, partition }, at }) => ({ topic, partition, at }))
      )
    )
    if (this.closed) return true
    if (how.kind !== 'answered') {
      reached('kafka: a broker that is read from is lost')
      this.troubles(this.coded(this.what, how.error))
      for (const { feed } of asked) this.fetches.view.forget(feed.topic, feed.partition)
      return false
    }
    const reply = how.reply as FetchReply
    if (reply.errorCode !== 0) {
      this.troubles(this.coded(this.what, new KafkaRefusal('Fetch', reply.errorCode)))
      return false
    }
    const answers = new Map<string, PartitionReply>()
    for (const { topic, partitions } of reply.topics)
      for (const each of partitions) answers.set(feedKey({ topic, partition: each.partitionIndex }), each)
    let isFine = true
    for (const { feed, turn, at } of asked) {
      const answer = answers.get(feedKey(feed))
      if (answer === undefined || feed.turn !== turn) continue
      if (!this.answered(feed, at, answer)) isFine = false
    }
    return isFine
  }

  private answered(feed: ChunkFeed, at: number, answer: PartitionReply): boolean {
    const { errorCode } = answer
    if (errorCode === outOfRange) {
      // Whether it really is, its bounds tell.
      feed.asksAt = undefined
      void this.begin(feed, at)
      return true
    }
    if (errorCode !== 0) return this.refused(feed, errorCode)
    feed.deniedSince = undefined
    try {
      const records = new FetchedRecords(
        answer.records ?? new Uint8Array(0),
        answer.abortedTransactions ?? [],
        at,
        decompress
      )
      feed.stable = answer.lastStableOffset
      feed.asksAt = records.next
      feed.put(records)
      feed.eof = records.next >= answer.lastStableOffset ? records.next : undefined
    } catch (error) {
      if (error instanceof UnknownCompression) feed.failure = new UnreadableRecords(error.message)
      else if (error instanceof CodedError)
        feed.failure = new CodedError('CORRUPT', `${placeText(feed)}: ${error.message}`, { cause: error })
      else throw error
    }
    if (!feed.isEmpty || feed.eof !== undefined || feed.failure !== undefined) feed.told()
    return true
  }

  private refused(feed: ChunkFeed, code: number): boolean {
    const error = this.coded(placeText(feed), new KafkaRefusal('Fetch', code))
    if (error.code === 'KAFKA_REFUSED') {
      feed.failure = error
      feed.told()
      return false
    }
    if (meaningOf(code) === 'elsewhere') reached('kafka: asked the wrong broker for records')
    else this.troubles(error)
    // A broker whose disk has failed leads no more, either.
    this.fetches.view.forget(feed.topic, feed.partition)
    if (error.code === 'TOPIC_MISSING') this.denied(feed, error)
    return false
  }

  /** It may be there again in a moment; not for ever. */
  private denied(feed: ChunkFeed, error: CodedError): void {
    feed.deniedSince ??= this.now
    if (this.now - feed.deniedSince < goneMs) return
    feed.failure = error
    feed.told()
  }

  /** Until it is known who leads each partition that is read. */
  private async locate(): Promise<void> {
    if (this.locating) return
    this.locating = true
    const { view } = this.fetches
    try {
      while (!this.closed) {
        const lost = [...this.feeds.values()].filter(
          feed => this.isHungry(feed) && view.leader(feed.topic, feed.partition) === undefined
        )
        if (lost.length === 0) break
        const topics = [...new Set(lost.map(({ topic }) => topic))]
        const codes = new Map(await this.questions.run(() => refresh(view, topics)))
        if (view.trouble !== undefined) this.troubles(this.coded(this.what, view.trouble))
        for (const feed of lost) {
          const code = codes.get(feed.topic)
          if (code === undefined || code === 0) continue
          const error = this.coded(`topic "${feed.topic}"`, new KafkaRefusal('Metadata', code))
          if (error.code === 'TOPIC_MISSING') this.denied(feed, error)
          else if (error.code === 'KAFKA_REFUSED') {
            feed.failure = error
            feed.told()
          }
        }
        if (lost.every(({ topic, partition }) => view.leader(topic, partition) !== undefined)) break
        await this.pause()
      }
    } catch {
      // Only a client that is closed throws.
    } finally {
      this.locating = false
    }
    this.pump()
  }

  private troubles(error: CodedError): void {
    if (this.lastTrouble === error.message) return
    this.lastTrouble = error.message
    this.options.troubled?.(error)
  }
}

const isFinal = (code: number): boolean =>
  isRefused(code) || code === invalidTopic || code === unsupportedVersion || code === invalidRequest

const placeText = ({ topic, partition }: Place): string => `topic "${topic}", partition ${partition}`
