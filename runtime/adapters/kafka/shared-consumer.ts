/**
 * One consumer of the named client over any number of partitions, assigned by hand: no group, no commit, no rebalance. Its native part
 * fetches ahead by itself; one loop takes what is there without waiting and sorts it into one feed per partition.
 *
 *     reader ── fetch ──▶ Feed ◀── sort ── loop ◀── consume(1000), timeout 0 ── librdkafka ◀── brokers
 *
 * Invariants
 * 1. A feed holds records of one assignment only, in order; what came of an older one is never mixed in: partitions are assigned and
 *    unassigned between two calls of `consume`, never during one.
 * 2. No call waits in libuv's thread pool for a record; looking for bounds of partitions occupies at most one thread.
 * 3. "Caught up" is said only where the broker has said so at that position.
 * 4. Feeds hold at most about `bufferedBytes` together: a partition nobody reads is paused.
 */
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ClientConfig, ClientError, ClientMessage, ConsumerClient, KafkaPackage, Place } from './load-kafka.ts'
import type { RecordHeader } from '../../kernel/record-header.ts'
import type { RecordBatch } from '../../ports/log.ts'
import { isGone, isMoving, isRefused } from './client-errors.ts'
import { Feed, feedKey, type Bounds, type PartitionConsumer, type Taken } from './feed.ts'

export interface SharedConsumerOptions {
  readonly kafka: KafkaPackage
  readonly config: ClientConfig
  readonly clock: Clock
  /** What errors call the cluster. */
  readonly cluster: string
  /** Why a topic, or without one the cluster, cannot be reached or seen: the client itself does not say. Resolves to nothing where it can. */
  readonly explain: (topic: string | undefined) => Promise<CodedError | undefined>
  /** Told of what goes wrong outside and is tried again. */
  readonly troubled?: (error: CodedError) => void
  /** Default 10,000. Until connecting, or a question at start, rejects. */
  readonly answerMs?: number
  /** Default 64 MiB, of all partitions together. More is memory; less makes partitions that are read in turns be fetched twice. */
  readonly bufferedBytes?: number
}

/** What the client's loop sorts into it. */
class MessageFeed extends Feed {
  messages: ClientMessage[] = []
  assigned = false
  paused = false
  heardAt = 0
  /** Of `messages`, taken already. */
  private taken = 0

  get isEmpty(): boolean {
    return this.taken === this.messages.length
  }

  take(maxBytes: number): Taken {
    const { messages, taken } = this
    let end = taken
    let size = 0
    while (end < messages.length && (end === taken || size < maxBytes)) size += sizeOf(messages[end++])
    const own = taken === 0 && end === messages.length ? messages : messages.slice(taken, end)
    const last = messages[end - 1] as ClientMessage
    this.taken = end
    this.bytes -= size
    if (this.isEmpty) {
      this.messages = []
      this.taken = 0
    }
    return { batch: new MessageBatch(own, size), next: last.offset + 1 }
  }

  override clear(position: number): void {
    super.clear(position)
    this.messages = []
    this.taken = 0
  }
}

const sizeOf = (message: ClientMessage | undefined): number =>
  (message?.key?.length ?? 0) + (message?.value?.length ?? 0)

class MessageBatch implements RecordBatch {
  readonly count: number
  readonly sizeBytes: number
  private readonly messages: readonly ClientMessage[]

  constructor(messages: readonly ClientMessage[], sizeBytes: number) {
    this.messages = messages
    this.count = messages.length
    this.sizeBytes = sizeBytes
  }
  private at(i: number): ClientMessage {
    return this.messages[i] as ClientMessage
  }
  offset(i: number): number {
    return this.at(i).offset
  }
  timestamp(i: number): number {
    const { timestamp } = this.at(i)
    return timestamp < 0 ? NaN : timestamp
  }
  key(i: number): Uint8Array | undefined {
    return this.at(i).key ?? undefined
  }
  value(i: number): Uint8Array | undefined {
    return this.at(i).value ?? undefined
  }
  headers(i: number): readonly RecordHeader[] | undefined {
    return this.at(i).headers?.flatMap(each => Object.entries(each).map(headerOf))
  }
}

const text = new TextEncoder()
const headerOf = ([name, value]: [string, Uint8Array | string | null]): RecordHeader => ({
  name,
  value: typeof value === 'string' ? text.encode(value) : (value ?? undefined)
})

/** More would hold the event loop for longer while they are unpacked. */
const consumeCount = 1000
const usualBufferedBytes = 64 * 1024 * 1024
const leastFeedBytes = 1024 * 1024
/** Should the client's wake-up ever be missed. Larger: that record comes so much later. */
const nextLookMs = 100
/** A partition that is silent for so long without having ended is asked where its bounds are. */
const silentMs = 10_000
const retryMs = 1_000
/** A partition gets another leader within seconds. */
const askAgainMs = 200
/** Brokers that start, and those that have not heard of a new topic yet, deny it for a while. Larger: a deleted one is noticed later. */
const goneMs = 5_000

type Question<T> = (done: (error: unknown, answer: T) => void) => void

export class SharedConsumer implements PartitionConsumer {
  private readonly options: SharedConsumerOptions
  private readonly client: ConsumerClient
  private readonly feeds = new Map<string, MessageFeed>()
  private readonly toAssign = new Map<MessageFeed, number>()
  private readonly toUnassign = new Set<MessageFeed>()
  private connecting: Promise<void> | undefined
  private looping: Promise<void> | undefined
  /** Questions to brokers wait for each other, so that they never fill the thread pool. */
  private questions: Promise<unknown> = Promise.resolve()
  private woken = false
  private rouse: (() => void) | undefined
  private closed = false
  private lastTrouble: string | undefined

  constructor(options: SharedConsumerOptions) {
    this.options = options
    this.client = new options.kafka.KafkaConsumer(
      {
        // Never joined, never written: the client wants one.
        'group.id': 'cairn-without-a-group',
        'enable.auto.commit': false,
        'enable.auto.offset.store': false,
        'isolation.level': 'read_committed',
        'enable.partition.eof': true,
        'check.crcs': true,
        // Larger: a partition that is assigned, or resumed, waits so long for the answer to an earlier request.
        'fetch.wait.max.ms': 100,
        'fetch.queue.backoff.ms': 50,
        'queued.min.messages': 100_000,
        'queued.max.messages.kbytes': 16_384,
        'max.poll.interval.ms': 86_400_000,
        ...options.config,
        queue_non_empty_cb: () => this.arouse()
      },
      { 'auto.offset.reset': 'error' }
    )
    this.client.setDefaultConsumeTimeout(0)
    // As events, not as a list: their order among each other counts.
    this.client.on('data', message => this.sort(message))
    this.client.on('partition.eof', place => this.ended(place.topic, place.partition, place.offset))
    this.client.on('event.error', error => this.trouble(error))
  }

  /** @param topic undefined: of all. Throws SOURCE_UNREACHABLE. */
  connect(topic: string | undefined): Promise<void> {
    this.connecting ??= new Promise<void>((resolve, reject) => {
      const { cluster, explain } = this.options
      const timeout = this.answerMs
      this.client.connect({ ...asked(topic), timeout }, error => {
        if (!error) return resolve()
        explain(topic).then(
          why =>
            reject(
              isRefusal(why) ? why : unreachable(`${cluster} does not answer: ${(why ?? error).message}`, why ?? error)
            ),
          reject
        )
      })
    }).then(() => {
      this.looping = this.loop()
    })
    return this.connecting
  }

  /** How many partitions a topic has. Throws TOPIC_MISSING, SOURCE_UNREACHABLE. */
  async partitions(topic: string): Promise<number> {
    const { cluster } = this.options
    const count = (await this.metadata(topic)).get(topic) ?? 0
    if (count > 0) return count
    const why = await this.options.explain(topic)
    throw isRefusal(why) ? why : new CodedError('TOPIC_MISSING', `topic "${topic}" is not at ${cluster}`)
  }

  /** How many partitions each topic has that may be seen; of one, or of all. Throws SOURCE_UNREACHABLE. */
  async metadata(topic?: string): Promise<ReadonlyMap<string, number>> {
    await this.connect(topic)
    const { cluster } = this.options
    return this.ask(topic === undefined ? cluster : `topic "${topic}" at ${cluster}`, done =>
      this.client.getMetadata({ ...asked(topic), timeout: this.answerMs }, (error, metadata) =>
        done(error, new Map(metadata?.topics.map(({ name, partitions }) => [name, partitions.length])))
      )
    )
  }

  async bounds({ topic, partition }: Place): Promise<Bounds> {
    await this.connect(topic)
    return this.ask(`topic "${topic}", partition ${partition}`, done =>
      this.client.queryWatermarkOffsets(topic, partition, this.answerMs, (error, found) =>
        error ? done(error, undefined as never) : done(null, { earliest: found.lowOffset, end: found.highOffset })
      )
    )
  }

  /** The first record of that time or later; `end` where there is none. */
  async offsetAt({ topic, partition }: Place, time: number, end: number): Promise<number> {
    const what = `topic "${topic}", partition ${partition}`
    return this.ask(what, done =>
      this.client.offsetsForTimes([{ topic, partition, offset: time }], this.answerMs, (error, found) => {
        const place = found?.[0]
        if (error || place?.error !== undefined) done(error ?? place?.error, end)
        else done(null, place === undefined || place.offset < 0 ? end : Math.min(end, place.offset))
      })
    )
  }

  private get now(): number {
    return this.options.clock.elapsed()
  }

  private get answerMs(): number {
    return this.options.answerMs ?? 10_000
  }

  /** Asked again while the partition gets a leader. */
  private async ask<T>(what: string, question: Question<T>): Promise<T> {
    for (const until = this.now + this.answerMs; ;) {
      try {
        return await this.askOnce(what, question)
      } catch (error) {
        if (!isMoving((error as ClientError).code) || this.now + askAgainMs > until) throw this.coded(what, error)
        reached('kafka: a partition without its leader is asked again')
        await new Promise<void>(resolve => this.options.clock.after(askAgainMs, resolve))
      }
    }
  }

  private askOnce<T>(what: string, question: Question<T>): Promise<T> {
    const asked = this.questions.then(
      () =>
        new Promise<T>((resolve, reject) => {
          if (this.closed) return reject(unreachable(`${what}: the reader is closed`))
          question((error, answer) => (error ? reject(error as Error) : resolve(answer)))
        })
    )
    this.questions = asked.catch(() => undefined)
    return asked
  }

  private coded(what: string, error: unknown): CodedError {
    if (error instanceof CodedError) return error
    const { code, message } = error as ClientError
    if (isGone(code)) return new CodedError('TOPIC_MISSING', `${what}: ${message}`, { cause: error })
    if (isRefused(code)) return new CodedError('KAFKA_REFUSED', `${what}: ${message}`, { cause: error })
    return unreachable(`${what}: ${message}`, error)
  }

  feed(place: Place): MessageFeed {
    const key = feedKey(place)
    let found = this.feeds.get(key)
    if (found === undefined) this.feeds.set(key, (found = new MessageFeed(place)))
    return found
  }

  /** From now on the feed brings what stands at `position` and behind it. */
  seek(given: Feed, position: number): void {
    const feed = given as MessageFeed
    feed.clear(position)
    this.toAssign.delete(feed)
    if (feed.assigned) this.toUnassign.add(feed)
    void this.begin(feed, position, feed.turn)
  }

  private async begin(feed: MessageFeed, position: number, turn: number, until = this.now + goneMs): Promise<void> {
    try {
      const bounds = await this.bounds(feed)
      if (feed.turn !== turn || this.closed) return
      if (position < bounds.earliest || position > bounds.end) {
        feed.outside = bounds
        feed.told()
      } else {
        this.toAssign.set(feed, position)
        this.arouse()
      }
    } catch (error) {
      if (feed.turn !== turn || this.closed) return
      const mayCome = error instanceof CodedError && error.code === 'TOPIC_MISSING' && this.now < until
      if (!(error instanceof CodedError) || error.retriable || mayCome) {
        this.troubles(error as CodedError)
        this.options.clock.after(retryMs, () => void this.begin(feed, position, turn, until))
        return
      }
      feed.failure = error
      feed.told()
    }
  }

  /** Nobody reads it any more. */
  drop(given: Feed): void {
    const feed = given as MessageFeed
    feed.clear(-1)
    this.toAssign.delete(feed)
    if (feed.assigned) this.toUnassign.add(feed)
    this.feeds.delete(feedKey(feed))
    this.arouse()
  }

  /** The feed was taken from. */
  eased(feed: Feed): void {
    if ((feed as MessageFeed).paused && feed.bytes * 4 < this.feedLimit) this.arouse()
  }

  /** Cached by the client: the high watermark, which lies at or behind the last stable offset. */
  knownEnd({ topic, partition }: Place): number {
    try {
      return this.client.getWatermarkOffsets(topic, partition).highOffset
    } catch {
      return -1
    }
  }

  private get feedLimit(): number {
    return Math.max(leastFeedBytes, (this.options.bufferedBytes ?? usualBufferedBytes) / this.feeds.size)
  }

  private arouse(): void {
    this.woken = true
    this.rouse?.()
  }

  private async loop(): Promise<void> {
    for (let nextCheck = this.options.clock.elapsed() + silentMs; !this.closed;) {
      this.woken = false
      this.settle()
      const count = await this.take()
      if (this.options.clock.elapsed() >= nextCheck) {
        nextCheck = this.options.clock.elapsed() + silentMs
        this.checkSilent(silentMs)
      }
      if (count === 0 && !this.woken && !this.closed) await this.rest()
    }
  }

  private rest(): Promise<void> {
    return new Promise(resolve => {
      const go = (): void => {
        cancel()
        this.rouse = undefined
        resolve()
      }
      const cancel = this.options.clock.after(nextLookMs, go)
      this.rouse = go
    })
  }

  /** Between two calls of `consume`: what is to be read changes. */
  private settle(): void {
    if (this.toUnassign.size > 0) {
      // A pause outlives the assignment.
      const paused = [...this.toUnassign].filter(feed => feed.paused)
      if (paused.length > 0) this.client.resume(paused.map(placeOf))
      this.client.incrementalUnassign([...this.toUnassign].map(placeOf))
      for (const feed of this.toUnassign) feed.assigned = feed.paused = false
      this.toUnassign.clear()
    }
    if (this.toAssign.size > 0) {
      this.client.incrementalAssign([...this.toAssign].map(([feed, offset]) => ({ ...placeOf(feed), offset })))
      for (const feed of this.toAssign.keys()) {
        feed.assigned = true
        feed.heardAt = this.options.clock.elapsed()
      }
      this.toAssign.clear()
    }
    this.pauseAndResume()
  }

  private pauseAndResume(): void {
    const limit = this.feedLimit
    for (const feed of this.feeds.values()) {
      if (!feed.assigned || feed.paused === feed.bytes > limit / 4) continue
      if (!feed.paused && feed.bytes <= limit) continue
      feed.paused = !feed.paused
      if (feed.paused) reached('kafka: a partition is paused')
      if (feed.paused) this.client.pause([placeOf(feed)])
      else this.client.resume([placeOf(feed)])
    }
  }

  private take(): Promise<number> {
    return new Promise(resolve =>
      this.client.consume(consumeCount, (error, messages) => {
        if (error) {
          this.trouble(error)
          this.checkSilent(0, true)
          return resolve(0)
        }
        for (const feed of this.feeds.values()) if (!feed.isEmpty || feed.eof !== undefined) feed.told()
        resolve(messages.length)
      })
    )
  }

  private sort(message: ClientMessage): void {
    const feed = this.feeds.get(feedKey(message))
    // Of an assignment that is over, or is about to be.
    if (feed === undefined || !feed.assigned || this.toUnassign.has(feed)) return
    feed.messages.push(message)
    feed.bytes += (message.key?.length ?? 0) + (message.value?.length ?? 0)
    feed.heardAt = this.options.clock.elapsed()
    feed.eof = undefined
  }

  private ended(topic: string, partition: number, offset: number): void {
    const feed = this.feeds.get(feedKey({ topic, partition }))
    if (feed === undefined || !feed.assigned || this.toUnassign.has(feed)) return
    feed.eof = offset
  }

  /**
   * The client does not say of which partition an error is, and swallows some, and ends of partitions with them. Who is silent begins anew
   * where it stands, which tells whether it still can.
   */
  private checkSilent(forMs: number, alsoEnded = false): void {
    const since = this.options.clock.elapsed() - forMs
    for (const feed of this.feeds.values()) {
      if (!feed.assigned || feed.paused || !feed.isEmpty || feed.heardAt > since) continue
      if (feed.eof !== undefined && !alsoEnded) continue
      reached('kafka: a silent partition begins anew')
      this.seek(feed, feed.at)
    }
  }

  private trouble(error: ClientError): void {
    this.troubles(this.coded(this.options.cluster, error))
  }

  private troubles(error: CodedError): void {
    if (this.lastTrouble === error.message) return
    this.lastTrouble = error.message
    this.options.troubled?.(error)
  }

  /** Once. In the client's own order: stop polling, wait for what is in flight, unassign, disconnect. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    for (const feed of this.feeds.values()) feed.told()
    this.rouse?.()
    const connected = await this.connecting?.then(
      () => true,
      () => false
    )
    if (connected !== true) return
    await this.looping
    await this.questions
    this.client.unassign()
    await new Promise<void>(resolve => this.client.disconnect(resolve))
  }
}

const asked = (topic: string | undefined): { readonly topic?: string; readonly allTopics: boolean } =>
  topic === undefined ? { allTopics: true } : { topic, allTopics: false }

const placeOf = ({ topic, partition }: Place): Place => ({ topic, partition })

const isRefusal = (error: CodedError | undefined): error is CodedError => error?.code === 'KAFKA_REFUSED'

function unreachable(message: string, cause?: unknown): CodedError {
  return new CodedError('SOURCE_UNREACHABLE', message, { cause })
}
