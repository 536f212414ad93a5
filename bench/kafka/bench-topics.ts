/** Topics of the bench. */
import { KafkaReaders } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { loadKafka, type ClientError } from '../../runtime/adapters/kafka/load-kafka.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import type { LogReader } from '../../runtime/ports/log.ts'
import { OwnTopics } from '../../simulations/chaos/own-topics.ts'
import { benchEvent, partitions } from './bench-events.ts'
import { OutputCheck } from './output-check.ts'

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

export interface Output {
  /** Of all records, in order. */
  readonly times: readonly number[]
  readonly check: OutputCheck
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
  async create(topic: string, appended = false): Promise<void> {
    await this.own.create(topic, partitions, appended ? { 'message.timestamp.type': 'LogAppendTime' } : {})
  }

  /** Some events that can be read, and more that can be once what this resolves to is called. */
  async fill(topic: string, readable: number, held: number): Promise<() => Promise<void>> {
    const { Producer } = loadKafka()
    const config = { 'bootstrap.servers': this.brokers.join(), 'queue.buffering.max.messages': 1_000_000 }
    const id = { 'transactional.id': `${topic}-fill`, 'transaction.timeout.ms': 600_000 }
    const client = new Producer({ ...config, ...id }, {}) as unknown as Transactional
    await until(done => client.connect({}, done))
    client.setPollInBackground(true)
    await until(done => client.initTransactions(fillMs, done))
    const at = Date.now()
    const write = async (from: number, to: number): Promise<void> => {
      await until(done => client.beginTransaction(done))
      for (let n = from; n < to; n++) {
        const { partition, value, timestamp } = benchEvent(n, at)
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

  /** Once so many records are committed; asks where the end is, and reads only then. Throws when nothing comes any more. */
  async outputOf(topic: string, count: number): Promise<Output> {
    const reader = this.readers.reader({ topic })
    try {
      let movedAt = performance.now()
      for (let before = -1; ;) {
        let end = 0
        for (const [partition] of (await reader.partitions()).entries()) end += await reader.start(partition, 'latest')
        if (end !== before) movedAt = performance.now()
        before = end
        // The marks of transactions count, too.
        if (end >= count && performance.now() - movedAt > quietMs) {
          const output = await outputIn(reader)
          if (output.times.length >= count) return output
        }
        if (performance.now() - movedAt > stillMs) throw new Error(`${topic}: nothing comes any more`)
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

async function outputIn(reader: LogReader): Promise<Output> {
  const times: number[] = []
  const check = new OutputCheck()
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
