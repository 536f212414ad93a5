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

/** One connected producer and what it has not confirmed. */
class Run {
  readonly client: ProducerClient
  unconfirmed = 0
  failure: ClientError | undefined
  private wake: (() => void) | undefined

  constructor(client: ProducerClient) {
    this.client = client
    client.on('delivery-report', error => {
      this.unconfirmed--
      if (error) this.failure ??= error
      this.wake?.()
    })
  }
  /** Until a record is confirmed, or refused. */
  report(): Promise<void> {
    return new Promise(resolve => (this.wake = resolve))
  }
}

export class KafkaAppender implements Appender {
  private readonly options: KafkaAppenderOptions
  private run: Promise<Run> | undefined
  private closed = false

  constructor(options: KafkaAppenderOptions) {
    this.options = options
  }

  async append(records: readonly OutputRecord[]): Promise<void> {
    const run = await (this.run ??= this.connect())
    try {
      for (const record of records) while (!this.produce(run, record)) await run.report()
      while (run.unconfirmed > 0 && run.failure === undefined) await run.report()
      if (run.failure !== undefined) throw run.failure
    } catch (error) {
      await this.giveUp()
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
    run.unconfirmed++
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

  private async giveUp(): Promise<void> {
    const { run } = this
    this.run = undefined
    const { client } = (await run?.catch(() => undefined)) ?? {}
    if (client !== undefined) await new Promise<void>(resolve => client.disconnect(resolve))
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.giveUp()
  }
}
