/**
 * Writes records to one topic once more, each once for ever: what is written and which records those were is one transaction, under an id that
 * stays the same, so that whoever begins fences whoever was at it. Which records were redriven stands in a compacted topic of the job's own,
 * an entry for each transaction, so that neither the copies nor the letters need be there to know it.
 */
import { assert, CodedError } from '../../kernel/errors.ts'
import { createTopic } from '../../kafka-protocol/create-topic.ts'
import { partitionsOf } from '../../kafka-protocol/describe-protocol.ts'
import type { KafkaRecord } from '../../kafka-protocol/record-batch.ts'
import { SlotTransactions, type TransactionOutcome } from '../../kafka-protocol/transaction-machine.ts'
import { headersSizeBytes } from '../../kernel/record-header.ts'
import type { Clock } from '../../ports/clock.ts'
import type { OutputRecord } from '../../ports/log.ts'
import { KafkaClient } from './kafka-client.ts'
import type { KafkaCluster } from './kafka-options.ts'
import { ledgerConfigs, limitsOf, overheadBytes, unreachable } from './kafka-publisher.ts'
import { reachKafka } from './kafka-sockets.ts'

export interface KafkaRedriverOptions {
  readonly cluster: KafkaCluster
  readonly job: string
  readonly topic: string
  readonly clock: Clock
  /** Default 60,000. Larger: brokers that are away are noticed later. */
  readonly answerMs?: number
  /** Told before and behind each transaction; for tests that kill. */
  readonly probe?: ((point: 'redrive' | 'redriven') => void) | undefined
}

/** To the partition in which it was. */
export interface RedrivenRecord extends OutputRecord {
  /** Where it was. */
  readonly offset: number
}

/** One that the topic does not take. */
export interface RefusedRecord {
  readonly offset: number
  readonly partition: number
  /** RECORD_REFUSED. */
  readonly error: CodedError
}

/** A job's name has no dots, and its slots' ids a number behind it. Changed: what was redriven is redriven again. */
const transactionalIdOf = (job: string, topic: string): string => `${job}.redriven.${topic}`
/** No ledger of a job ends so. */
export const redrivenTopicOf = (job: string): string => `cairn-${job}-redriven`

/** Larger: a redrive that was killed holds up all who read the topic committed for longer. */
const transactionTimeoutMs = 10_000
/** More: brokers that cannot end a transaction are told of later. */
const mostLost = 3

export class KafkaRedriver {
  private readonly options: KafkaRedriverOptions
  private readonly client: KafkaClient
  private readonly transactionalId: string
  private readonly ledgerTopic: string
  private readonly answerMs: number
  /** Offsets by partition. */
  private readonly known = new Map<number, Set<number>>()
  private transactions: SlotTransactions | undefined
  private target = { partitions: 0, maxBatchBytes: 0 }

  constructor(options: KafkaRedriverOptions) {
    const { cluster, job, topic, clock, answerMs = 60_000 } = options
    this.options = options
    this.answerMs = answerMs
    this.client = new KafkaClient({ ...reachKafka(cluster), clientId: `cairn-${job}`, clock })
    this.transactionalId = transactionalIdOf(job, topic)
    this.ledgerTopic = redrivenTopicOf(job)
  }

  /**
   * Whoever redrove to the topic before can do so no more, and what they had redriven is known. `look`: nothing is changed, nobody is fenced.
   * Throws TOPIC_MISSING, KAFKA_REFUSED, SINK_UNREACHABLE, CORRUPT.
   */
  async begin(look: boolean): Promise<void> {
    const { client, ledgerTopic, transactionalId, answerMs } = this
    const { topic } = this.options
    const entries: Uint8Array[] = []
    try {
      const partitions = await client.run(now => partitionsOf(client.view, topic, now + answerMs))
      const { maxBatchBytes } = await client.run(now => limitsOf(topic, now + answerMs))
      this.target = { partitions, maxBatchBytes }
      if (!(await this.hasLedger(look))) return
      const transactions = new SlotTransactions({
        view: client.view,
        topic,
        ledgerTopic,
        ledgerPartition: 0,
        transactionalId,
        maxBatchBytes,
        transactionTimeoutMs,
        initialiseMs: answerMs,
        ledgerRecord: ({ key, value }) => {
          if (value !== undefined && decoder.decode(key).startsWith(`${transactionalId}/`)) entries.push(value.slice())
        }
      })
      if (!look) await client.run(now => transactions.initialise(now))
      await client.run(now => transactions.readLedger(now))
      this.transactions = transactions
    } catch (cause) {
      throw unreachable(`nothing can be redriven to topic "${topic}"`, cause)
    }
    for (const entry of entries)
      for (const [partition, offsets] of decodeRedriven(entry, ledgerTopic)) this.add(partition, offsets)
  }

  /** Whether the topic of what was redriven is there; it is made where that is allowed. */
  private async hasLedger(look: boolean): Promise<boolean> {
    const { client, ledgerTopic: name, answerMs } = this
    try {
      await client.run(now => partitionsOf(client.view, name, now + answerMs))
      return true
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'TOPIC_MISSING') throw error
    }
    if (look) return false
    const topic = { name, partitions: 1, configs: ledgerConfigs }
    await client.run(now => createTopic(client.view, topic, now + answerMs))
    await client.run(now => partitionsOf(client.view, name, now + answerMs, 'expected'))
    return true
  }

  private add(partition: number, offsets: readonly number[]): void {
    const known = this.known.get(partition) ?? new Set()
    this.known.set(partition, known)
    for (const offset of offsets) known.add(offset)
  }

  has(partition: number, offset: number): boolean {
    return this.known.get(partition)?.has(offset) === true
  }

  /**
   * One transaction, of those that were not redriven before; after an outcome that nobody knows, what is known then decides. Where brokers
   * refuse records, halves of them are tried, until it is known which. When it resolves, all are redriven but those that it names.
   * Throws FENCED, KAFKA_REFUSED, SINK_UNREACHABLE; nothing is half done then.
   */
  async redrive(records: readonly RedrivenRecord[]): Promise<readonly RefusedRecord[]> {
    const { client } = this
    const { topic, job, probe } = this.options
    for (let lost = 0; ;) {
      const left = records.filter(({ partition, offset }) => !this.has(partition, offset))
      const [first] = left
      if (first === undefined) return []
      const { transactions } = this
      assert(transactions !== undefined, 'only looks')
      const entry = this.entryOf(left)
      probe?.('redrive')
      const outcome = await client.run(now => transactions.publish(left, entry, now))
      probe?.('redriven')
      if (outcome.kind === 'published') {
        for (const { partition, offset } of left) this.add(partition, [offset])
        return []
      }
      if (outcome.kind === 'refused') {
        if (left.length === 1) return [{ ...placeOf(first), error: this.refused(outcome.error) }]
        const middle = left.length >> 1
        return [...(await this.redrive(left.slice(0, middle))), ...(await this.redrive(left.slice(middle)))]
      }
      if (outcome.kind === 'fenced')
        throw new CodedError('FENCED', `another redrive of job "${job}" to topic "${topic}" has taken over`, {
          remedy: 'Nothing is done twice. When the other one has ended, run this again for what it left.'
        })
      await this.failed(outcome, ++lost)
    }
  }

  /** Returns where it is worth another attempt. */
  private async failed({ error }: Extract<TransactionOutcome, { kind: 'unknown' }>, lost: number): Promise<void> {
    const coded = unreachable(`topic "${this.options.topic}" cannot be written`, error)
    // What may be open is ended, and what was decided is learnt.
    await this.begin(false)
    if (coded.code === 'KAFKA_REFUSED' || lost >= mostLost) throw coded
  }

  private refused(cause: Error): CodedError {
    return new CodedError('RECORD_REFUSED', `topic "${this.options.topic}" does not take it: ${cause.message}`, {
      cause,
      remedy: 'Raise the limits of the topic (max.message.bytes, message.timestamp.before.max.ms), and run this again.'
    })
  }

  /** Why the topic cannot take it, as far as that is known before it is sent. RECORD_REFUSED. */
  refusal({ partition, offset, key, value, headers }: RedrivenRecord): CodedError | undefined {
    const { topic } = this.options
    const { partitions, maxBatchBytes } = this.target
    const of = `the record of topic "${topic}", partition ${partition}, offset ${offset}`
    if (partition >= partitions)
      return new CodedError('RECORD_REFUSED', `${of} cannot be redriven: the topic has ${partitions} partitions now`, {
        remedy: 'The topic is another one than it was; choose other letters.'
      })
    const size = (key?.length ?? 0) + (value?.length ?? 0) + headersSizeBytes(headers)
    const limit = maxBatchBytes - overheadBytes
    if (size <= limit) return undefined
    return new CodedError('RECORD_REFUSED', `${of} has ${size} bytes with its new header; the topic takes ${limit}`, {
      remedy: 'Raise max.message.bytes of the topic, and run this again.'
    })
  }

  /** No other transaction has redriven its first record, so that no other entry has its key. */
  private entryOf(records: readonly RedrivenRecord[]): KafkaRecord {
    const offsets = new Map<number, number[]>()
    for (const { partition, offset } of records) offsets.set(partition, [...(offsets.get(partition) ?? []), offset])
    const [{ partition, offset }] = records as [RedrivenRecord]
    const key = `${this.transactionalId}/${partition}/${offset}`
    const value = JSON.stringify([format, ...offsets])
    return { timestamp: -1, key: encoder.encode(key), value: encoder.encode(value) }
  }

  close(): Promise<void> {
    this.transactions?.close()
    this.client.close()
    return Promise.resolve()
  }
}

const placeOf = ({ partition, offset }: RedrivenRecord): { readonly partition: number; readonly offset: number } => ({
  partition,
  offset
})

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const format = 1

/** Throws CORRUPT, FORMAT_NEWER. */
function decodeRedriven(bytes: Uint8Array, ledgerTopic: string): [partition: number, offsets: number[]][] {
  const text = decoder.decode(bytes)
  const what = `an entry in topic "${ledgerTopic}": ${JSON.stringify(text.slice(0, 100))}`
  const remedy = `Nothing was redriven. See what else than cairn has written to "${ledgerTopic}".`
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch (cause) {
    throw new CodedError('CORRUPT', what, { cause, remedy })
  }
  const [version, ...parts] = Array.isArray(fields) ? (fields as unknown[]) : []
  if (typeof version === 'number' && version > format) throw new CodedError('FORMAT_NEWER', what)
  const isPart = (part: unknown): part is [number, number[]] =>
    Array.isArray(part) &&
    Number.isSafeInteger(part[0]) &&
    Array.isArray(part[1]) &&
    part[1].every(Number.isSafeInteger)
  if (version !== format || !parts.every(isPart)) throw new CodedError('CORRUPT', what, { remedy })
  return parts
}
