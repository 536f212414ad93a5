/** What the consumer over the named client does with answers that pass; the client is made up, since brokers give them for milliseconds only. */
import t from 'tap'
import type {
  ClientConfig,
  ClientError,
  ConsumerClient,
  KafkaPackage
} from '../../../../runtime/adapters/kafka/load-kafka.ts'
import { SharedConsumer } from '../../../../runtime/adapters/kafka/shared-consumer.ts'
import { VirtualClock } from '../../../../simulations/virtual-clock.ts'

/** Answers questions about bounds with these codes, then with bounds. */
function consumerOf(clock: VirtualClock, codes: number[], asked: number[]): SharedConsumer {
  const client: Partial<ConsumerClient> = {
    on: () => undefined,
    setDefaultConsumeTimeout: () => undefined,
    connect: (_, done) => done(null, { topics: [] }),
    consume: (_, done) => done(null, []),
    queryWatermarkOffsets(_topic, _partition, _timeoutMs, done) {
      asked.push(clock.elapsed())
      const code = codes.shift()
      if (code === undefined) done(null, { lowOffset: 3, highOffset: 5 })
      else done(Object.assign(new Error(`code ${code}`), { code }) as ClientError, undefined as never)
    }
  }
  const kafka = {
    KafkaConsumer: function (_config: ClientConfig) {
      return client
    }
  } as unknown as KafkaPackage
  return new SharedConsumer({ kafka, config: {}, clock, cluster: 'Kafka', explain: () => Promise.resolve(undefined) })
}

/** Lets a second at most go by, as slowly as what waits for it needs. */
async function settled<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let over = false
  void work.catch(() => undefined).finally(() => (over = true))
  for (let turns = 0; !over && turns < 2_000; turns++) {
    await new Promise(resolve => setImmediate(resolve))
    clock.step(clock.elapsed() + 10)
  }
  return work
}

const place = { topic: 'new', partition: 0 }

void t.test('a partition that has no leader yet is asked again', async t => {
  const clock = new VirtualClock()
  const asked: number[] = []
  const consumer = consumerOf(clock, [6, 5], asked)
  t.same(await settled(clock, consumer.bounds(place)), { earliest: 3, end: 5 })
  t.equal(asked.length, 3)
  t.ok((asked[2] ?? 0) >= 400 && (asked[2] ?? 0) < 500, `${asked[2]} ms`)
})

void t.test('but not for ever, and nothing else is', async t => {
  const clock = new VirtualClock()
  const asked: number[] = []
  const never = consumerOf(
    clock,
    Array.from({ length: 100 }, () => 6),
    asked
  )
  await t.rejects(settled(clock, never.bounds(place)), {
    code: 'SOURCE_UNREACHABLE',
    message: /"new", partition 0: code 6/
  })
  t.ok(clock.elapsed() > 9_000 && clock.elapsed() < 11_000, `${clock.elapsed()} ms`)
  for (const [code, says] of [
    [3, 'TOPIC_MISSING'],
    [29, 'KAFKA_REFUSED'],
    [-195, 'SOURCE_UNREACHABLE']
  ] as const) {
    const times: number[] = []
    await t.rejects(settled(clock, consumerOf(clock, [code], times).bounds(place)), { code: says })
    t.equal(times.length, 1)
  }
})
