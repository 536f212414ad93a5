/**
 * At-least-once output to a topic, by the named client's idempotent producer: in order for each partition, and never twice by the client's own
 * retries. After an error the producer is given up; the job begins anew from its last checkpoint and appends again.
 */
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import type { Appender, OutputRecord } from '../../ports/log.ts'
import { isGone, isRefused, isTooLarge, queueFull } from './client-errors.ts'
import { clusterConfig, type KafkaCluster } from './kafka-options.ts'
import { loadKafka, type ClientConfig, type ClientError, type ProducerClient } from './load-kafka.ts'

export interface KafkaAppenderOptions {
  readonly cluster: KafkaCluster
  /** Shown to operators of Kafka. */
  readonly name: string
  readonly topic: string
  /** Default: none. */
  readonly compression?: 'gzip' | undefined
  /** Default 10,000. Until connecting rejects. */
  readonly answerMs?: number
  /** Default 60,000. Until a record that could not be written counts as failed; the job begins anew then. */
  readonly deliveryMs?: number
  /** Added to what the client is told; for tests. */
  readonly config?: ClientConfig
}

/** The client takes an empty buffer for none where it has no address. */
const empty = Buffer.alloc(1).subarray(0, 0)
const given = (bytes: Uint8Array | undefined): Uint8Array | null =>
  bytes === undefined ? null : bytes.length === 0 ? empty : Buffer.isBuffer(bytes) ? bytes : bufferOver(bytes)
const bufferOver = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array => Buffer.from(buffer, byteOffset, length)

/** One connected producer and what it has not confirmed. The client confirms the records of a partition in their order. */
class Run {
  readonly client: ProducerClient
  failure: ClientError | undefined
  /** By partition. */
  private readonly produced: number[] = []
  private readonly confirmed: number[] = []
  /** Batches, in their order: none is confirmed before the one before it. */
  private readonly batches: { readonly upTo: readonly number[]; readonly resolve: () => void }[] = []
  /** Whoever waits for room in the client's queue. */
  private wake: (() => void) | undefined
  private turn: Promise<void> = Promise.resolve()

  constructor(client: ProducerClient) {
    this.client = client
    client.on('delivery-report', (error, { partition }) => {
      this.confirmed[partition] = (this.confirmed[partition] ?? 0) + 1
      if (error) this.failure ??= error
      while (this.batches[0] !== undefined && this.isOver(this.batches[0].upTo)) this.batches.shift()?.resolve()
      this.wake?.()
    })
  }

  private isOver(upTo: readonly number[]): boolean {
    return this.failure !== undefined || upTo.every((count, partition) => (this.confirmed[partition] ?? 0) >= count)
  }

  /** One batch after the other gives its records to the client; resolves, or rejects, as `work` does. */
  inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.turn.then(work)
    this.turn = done.catch(() => undefined)
    return done
  }

  given(partition: number): void {
    while (this.produced.length <= partition) this.produced.push(0)
    this.produced[partition] = (this.produced[partition] as number) + 1
  }

  /** Until a record is confirmed, or refused. */
  report(): Promise<void> {
    return new Promise(resolve => (this.wake = resolve))
  }

  /** Until all that was given is confirmed, or one of it is refused. */
  settled(): Promise<void> {
    const upTo = [...this.produced]
    return new Promise(resolve => {
      if (this.isOver(upTo)) resolve()
      else this.batches.push({ upTo, resolve })
    })
  }
}

export class KafkaAppender implements Appender {
  /** As many requests as an idempotent producer has under way: a batch does not wait for the answer to the one before. */
  readonly atOnce = 5
  private readonly options: KafkaAppenderOptions
  private run: Promise<Run> | undefined
  /** Those that were given up. */
  private readonly closing = new WeakMap<ProducerClient, Promise<void>>()
  private closed = false

  constructor(options: KafkaAppenderOptions) {
    this.options = options
  }

  async append(records: readonly OutputRecord[]): Promise<void> {
    const running = (this.run ??= this.connect())
    const run = await running
    try {
      await run.inTurn(async () => {
        for (const record of records) while (!this.produce(run, record)) await run.report()
      })
      await run.settled()
      if (run.failure !== undefined) throw run.failure
    } catch (error) {
      await this.giveUp(running)
      throw this.coded(error as ClientError)
    }
  }

  /** False: the client's queue is full. */
  private produce(run: Run, record: OutputRecord): boolean {
    const { partition, key, value, timestamp } = record
    const headers = record.headers?.map(({ name, value }) => ({ [name]: given(value) ?? empty }))
    if (run.failure !== undefined) throw run.failure
    try {
      run.client.produce(this.options.topic, partition, given(value), given(key), timestamp, undefined, headers)
    } catch (error) {
      if ((error as ClientError).code !== queueFull) throw error
      reached('kafka: the client has too much to write')
      return false
    }
    run.given(partition)
    return true
  }

  private async connect(): Promise<Run> {
    const { cluster, name, compression, config, answerMs: timeout = 10_000, deliveryMs = 60_000, topic } = this.options
    const client = new (loadKafka().Producer)(
      {
        ...clusterConfig(cluster, name),
        'enable.idempotence': true,
        dr_cb: true,
        'linger.ms': 2,
        'message.timeout.ms': deliveryMs,
        // The broker's own limit decides; the client's is lower than what a topic may be set to.
        'message.max.bytes': 1_000_000_000,
        ...(compression === undefined ? {} : { 'compression.codec': compression }),
        ...config
      },
      {}
    )
    try {
      await new Promise<void>((resolve, reject) =>
        client.connect({ topic, timeout, allTopics: false }, error => (error ? reject(error) : resolve()))
      )
    } catch (error) {
      this.run = undefined
      throw this.coded(error as ClientError)
    }
    client.setPollInBackground(true)
    return new Run(client)
  }

  private coded(cause: ClientError): CodedError {
    if (cause instanceof CodedError) return cause
    const what = `topic "${this.options.topic}" at Kafka (${this.options.cluster.brokers.join(', ')}): ${cause.message}`
    if (isGone(cause.code)) return new CodedError('TOPIC_MISSING', what, { cause })
    if (isRefused(cause.code)) return new CodedError('KAFKA_REFUSED', what, { cause })
    if (isTooLarge(cause.code)) return new CodedError('RECORD_REFUSED', what, { cause })
    return new CodedError('SINK_UNREACHABLE', what, { cause })
  }

  /** Of batches that fail together the first does it; the others wait for it. */
  private async giveUp(run = this.run): Promise<void> {
    if (run === undefined) return
    if (run === this.run) this.run = undefined
    const { client } = (await run.catch(() => undefined)) ?? {}
    if (client === undefined) return
    let closing = this.closing.get(client)
    if (closing === undefined) {
      closing = new Promise<void>(resolve => client.disconnect(() => resolve()))
      this.closing.set(client, closing)
    }
    await closing
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.giveUp()
  }
}
