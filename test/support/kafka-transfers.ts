/** A job from Kafka to Kafka whose output can be counted by hand, and what came out of it, read by Kafka's own consumer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { jobText, type Entry } from '../../simulations/chaos/kafka/transfers.ts'
import type { KafkaServer } from './kafka-server.ts'
import { KafkaTopics, type TestProducer, type TopicRecord } from './kafka-topics.ts'

const accounts = 40
const partitions = 4
/** Less: on a busy machine Kafka's own consumer has not found its group by then. */
const idleMs = 60_000

const transferOf = (id: number): { id: number; from: string; to: string; amount: number } => ({
  id,
  from: `a${(id * 7) % accounts}`,
  to: `a${(id * 13 + 1) % accounts}`,
  amount: 1 + (id % 100)
})

export class KafkaTransfers {
  readonly name: string
  readonly folder: string
  private readonly kafka: KafkaServer
  private readonly producer: TestProducer
  private readonly from: string
  private readonly to: string
  private sent = 0

  private constructor(kafka: KafkaServer, producer: TestProducer, names: readonly [string, string, string]) {
    this.kafka = kafka
    this.producer = producer
    ;[this.name, this.from, this.to] = names
    this.folder = mkdtempSync(join(tmpdir(), 'cairn-kafka-job-'))
    writeFileSync(join(this.folder, 'job.mjs'), jobText(this.from, this.to, this.name, '200ms'))
  }

  static async make(t: Test, kafka: KafkaServer): Promise<KafkaTransfers> {
    const topics = new KafkaTopics(t, kafka.brokers)
    const name = kafka.name('transfers')
    const from = await topics.create(`${name}-in`, partitions)
    const to = await topics.create(`${name}-out`, partitions)
    const made = new KafkaTransfers(kafka, await topics.producer(), [name, from, to])
    t.teardown(() => rmSync(made.folder, { recursive: true, force: true, maxRetries: 5 }))
    return made
  }

  /** So many more transfers. */
  async send(count: number): Promise<void> {
    const records = Array.from({ length: count }, (_, i): TopicRecord => {
      const transfer = transferOf(this.sent + i)
      return { partition: transfer.id % partitions, key: transfer.from, value: JSON.stringify(transfer) }
    })
    this.sent += count
    await this.producer.send(this.from, records)
  }

  /** Until so many entries are out, committed; default: all of what was sent. Rejects when what should bring them ends before. */
  async until(count = 2 * this.sent, ended?: Promise<unknown>): Promise<void> {
    let over: unknown
    void ended?.then(how => (over = how))
    const cluster = { brokers: this.kafka.brokers }
    const reader = new KafkaReaders({ cluster, name: 'cairn test', clock: nodeClock }).reader({ topic: this.to })
    const positions: number[] = Array.from({ length: partitions }, () => 0)
    let seen = 0
    for (let partition = 0; seen < count; partition = (partition + 1) % partitions) {
      const got = await reader.fetch(partition, positions[partition] ?? 0, 1 << 20, 50)
      if (over !== undefined) throw new Error(`it has ended: ${JSON.stringify(over)}`)
      if (got.kind === 'records') seen += got.batch.count
      if (got.kind === 'records' || got.kind === 'caught-up') positions[partition] = got.next
    }
    await reader.close()
  }

  /** Entries that are out, committed. */
  async count(): Promise<number> {
    const cluster = { brokers: this.kafka.brokers }
    const reader = new KafkaReaders({ cluster, name: 'cairn test', clock: nodeClock }).reader({ topic: this.to })
    let count = 0
    for (let partition = 0; partition < partitions; partition++)
      for (let position = 0; ;) {
        const got = await reader.fetch(partition, position, 1 << 20, 100)
        if (got.kind !== 'records') break
        count += got.batch.count
        position = got.next
      }
    await reader.close()
    return count
  }

  /** All output is there, none of it twice, and each account's entries are in order. */
  async right(t: Test): Promise<void> {
    t.equal(await this.count(), 2 * this.sent, 'so much is out')
    const records = await this.kafka.consume(this.to, { idleMs, max: 2 * this.sent })
    const entries = records.map(({ value }) => JSON.parse(value as string) as Entry)
    t.ok(
      records.every(({ key }, i) => key === entries[i]?.account),
      'every record has its key'
    )
    const ids = (side: string): string =>
      entries
        .filter(entry => entry.side === side)
        .map(({ id }) => id)
        .sort((a, b) => a - b)
        .join()
    const expected = Array.from({ length: this.sent }, (_, id) => id)
    t.ok(ids('from') === expected.join(), `every transfer was sent once (${entries.length} entries)`)
    t.ok(ids('to') === expected.join(), 'and received once')
    const amount = (id: number): number => transferOf(id).amount
    const running = new Map<string, number>()
    let inOrder = true
    for (const { side, account, balance, id } of entries) {
      const key = `${side} ${account}`
      const next = (running.get(key) ?? 0) + (side === 'from' ? -amount(id) : amount(id))
      running.set(key, next)
      inOrder &&= balance === next
    }
    t.ok(inOrder, 'and each balance goes on from the one before it')
    t.same(await this.kafka.openTransactions(this.name), [], 'no transaction is open')
    const read = Array.from({ length: partitions }, (_, i) => [`${this.from}/${i}`, 0])
    t.same(Object.fromEntries(await this.kafka.lag(`cairn-${this.name}`)), Object.fromEntries(read), 'lag is nought')
  }
}
