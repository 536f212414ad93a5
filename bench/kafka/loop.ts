/**
 * What one would write by hand with the named client: consume, count in a Map, produce, and every so often one transaction with the output and the
 * offsets. Its counts are lost when it ends. Arguments: brokers, from, to, ms between commits.
 */
import { json } from '../../actors/codecs.ts'
import {
  loadKafka,
  type ClientConfig,
  type ClientError,
  type ClientMessage
} from '../../runtime/adapters/kafka/load-kafka.ts'
import { partitions } from './bench-events.ts'

type Done = (error?: ClientError | null) => void
interface Consumer {
  connect(options: object, done: Done): void
  assign(places: readonly object[]): void
  setDefaultConsumeTimeout(ms: number): void
  consume(count: number, done: (error: ClientError | null, messages: ClientMessage[]) => void): void
}
interface Producer {
  connect(options: object, done: Done): void
  setPollInBackground(on: boolean): void
  initTransactions(timeoutMs: number, done: Done): void
  beginTransaction(done: Done): void
  commitTransaction(timeoutMs: number, done: Done): void
  sendOffsetsToTransaction(offsets: readonly object[], consumer: Consumer, timeoutMs: number, done: Done): void
  produce(topic: string, partition: null, value: Uint8Array, key: string): void
  flush(timeoutMs: number, done: Done): void
}

const [brokers = '', from = '', to = '', commitMs = ''] = process.argv.slice(2)
const waitMs = 30_000
const { KafkaConsumer, Producer } = loadKafka() as unknown as {
  readonly KafkaConsumer: new (config: ClientConfig, topic: ClientConfig) => Consumer
  readonly Producer: new (config: ClientConfig, topic: ClientConfig) => Producer
}
const until = (begin: (done: Done) => void): Promise<void> =>
  new Promise((resolve, reject) => begin(error => (error ? reject(error) : resolve())))

const consumer = new KafkaConsumer(
  {
    'bootstrap.servers': brokers,
    'group.id': `${to}-loop`,
    'enable.auto.commit': false,
    'isolation.level': 'read_committed',
    'fetch.wait.max.ms': 100
  },
  { 'auto.offset.reset': 'earliest' }
)
const producer = new Producer(
  {
    'bootstrap.servers': brokers,
    'transactional.id': `${to}-loop`,
    'linger.ms': 5,
    'queue.buffering.max.messages': 1_000_000,
    partitioner: 'murmur2_random'
  },
  {}
)
await until(done => consumer.connect({}, done))
await until(done => producer.connect({}, done))
producer.setPollInBackground(true)
await until(done => producer.initTransactions(waitMs, done))
consumer.assign(Array.from({ length: partitions }, (_, partition) => ({ topic: from, partition, offset: 0 })))
consumer.setDefaultConsumeTimeout(100)

/** Cairn's own, so that decoding costs both the same. */
const events = json.fields({ key: 'string', at: 'number' })
const counts = new Map<string, number>()
const positions = new Map<number, number>()
for (;;) {
  await until(done => producer.beginTransaction(done))
  for (const end = performance.now() + Number(commitMs); performance.now() < end;) {
    const messages = await new Promise<ClientMessage[]>((resolve, reject) =>
      consumer.consume(1000, (error, found) => (error ? reject(error) : resolve(found)))
    )
    for (const { partition, offset, value } of messages) {
      const { key, at } = events.decode(value ?? new Uint8Array())
      const n = (counts.get(key) ?? 0) + 1
      counts.set(key, n)
      producer.produce(to, null, Buffer.from(JSON.stringify({ key, at, n })), key)
      positions.set(partition, offset + 1)
    }
  }
  const offsets = [...positions].map(([partition, offset]) => ({ topic: from, partition, offset }))
  if (offsets.length > 0) await until(done => producer.sendOffsetsToTransaction(offsets, consumer, waitMs, done))
  await until(done => producer.commitTransaction(waitMs, done))
}
