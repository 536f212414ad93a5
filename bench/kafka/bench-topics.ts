/** Topics of a measurement from Kafka to Kafka. */
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { loadKafka, type ClientError } from '../../runtime/adapters/kafka/load-kafka.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import type { LogReader } from '../../runtime/ports/log.ts'
import { OwnTopics } from '../../simulations/chaos/own-topics.ts'

/** Longer than between two checkpoints. */
const quietMs = 1_500
const stillMs = 60_000
const fillMs = 60_000

type Done = (error?: ClientError | null) => void
interface Transactional {
  connect(options: object, done: Done): void
  disconnect(done: () => void): void
  setPollInBackground(on: boolean): void
  initTransactions(timeoutMs: number, done: Done): void
  beginTransaction(done: Done): void
  commitTransaction(timeoutMs: number, done: Done): void
  flush(timeoutMs: number, done: Done): void
  produce(topic: string, partition: number, value: Uint8Array, key: null, timestamp: number): void
}
const until = (begin: (done: Done) => void): Promise<void> =>
  new Promise((resolve, reject) => begin(error => (error ? reject(error) : resolve())))

/** Of an input. */
export interface NewRecord {
  readonly partition: number
  readonly timestamp: number
  readonly value: Uint8Array
}

/** What looks at the output of a job. */
export interface Check {
  /** In the order of each partition. */
  take(key: Uint8Array | undefined, value: Uint8Array | undefined): void
}

export interface Output<C> {
  /** Of all records, in order. */
  readonly times: readonly number[]
  readonly check: C
}

export class BenchTopics {
  readonly own: OwnTopics
  private readonly readers: KafkaReaders
  private readonly brokers: readonly string[]

  constructor(brokers: readonly string[]) {
    this.brokers = brokers
    this.own = new OwnTopics({ brokers })
    this.readers = new KafkaReaders({ cluster: { brokers }, name: 'bench', clock: nodeClock })
  }

  /** @param appended records get the time at which the broker writes them */
  async create(topic: string, partitions: number, appended = false): Promise<void> {
    await this.own.create(topic, partitions, appended ? { 'message.timestamp.type': 'LogAppendTime' } : {})
  }

  /** Some records that can be read, and more that can be once what this resolves to is called. */
  async fill(
    topic: string,
    record: (n: number) => NewRecord,
    readable: number,
    held: number
  ): Promise<() => Promise<void>> {
    const { Producer } = loadKafka()
    const config = { 'bootstrap.servers': this.brokers.join(), 'queue.buffering.max.messages': 1_000_000 }
    const id = { 'transactional.id': `${topic}-fill`, 'transaction.timeout.ms': 600_000 }
    const client = new Producer({ ...config, ...id }, {}) as unknown as Transactional
    await until(done => client.connect({}, done))
    client.setPollInBackground(true)
    await until(done => client.initTransactions(fillMs, done))
    const write = async (from: number, to: number): Promise<void> => {
      await until(done => client.beginTransaction(done))
      for (let n = from; n < to; n++) {
        const { partition, value, timestamp } = record(n)
        client.produce(topic, partition, Buffer.from(value), null, timestamp)
        if (n % 100_000 === 0) await until(done => client.flush(fillMs, done))
      }
      await until(done => client.flush(fillMs, done))
    }
    await write(0, readable)
    await until(done => client.commitTransaction(fillMs, done))
    await write(readable, readable + held)
    return async () => {
      await until(done => client.commitTransaction(fillMs, done))
      await new Promise<void>(resolve => client.disconnect(resolve))
    }
  }

  /**
   * Once so many records are committed, or nothing comes any more; asks where the end is, and reads only then. @param newCheck one that has seen
   * nothing
   */
  async outputOf<C extends Check>(topic: string, count: number, newCheck: () => C): Promise<Output<C>> {
    const reader = this.readers.reader({ topic })
    try {
      let movedAt = performance.now()
      for (let before = -1; ;) {
        let end = 0
        for (const [partition] of (await reader.partitions()).entries()) end += await reader.start(partition, 'latest')
        if (end !== before) movedAt = performance.now()
        before = end
        // The marks of transactions count, too.
        const stillFor = performance.now() - movedAt
        if (end >= count && stillFor > quietMs) {
          const output = await outputIn(reader, newCheck())
          if (output.times.length >= count || stillFor > stillMs) return output
        } else if (stillFor > stillMs) return await outputIn(reader, newCheck())
        await new Promise(resolve => setTimeout(resolve, 200))
      }
    } finally {
      await reader.close()
    }
  }

  async close(): Promise<void> {
    this.own.close()
    await this.readers.close()
  }
}

async function outputIn<C extends Check>(reader: LogReader, check: C): Promise<Output<C>> {
  const times: number[] = []
  for (const [partition] of (await reader.partitions()).entries())
    for (let position = 0; ;) {
      const got = await reader.fetch(partition, position, 1 << 20, 0)
      if (got.kind !== 'records') break
      for (let i = 0; i < got.batch.count; i++) {
        times.push(got.batch.timestamp(i))
        check.take(got.batch.key(i), got.batch.value(i))
      }
      position = got.next
    }
  return { times: times.sort((a, b) => a - b), check }
}
