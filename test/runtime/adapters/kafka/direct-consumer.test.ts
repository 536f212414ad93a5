/** The own client on simulated brokers: the rules, random schedules, and mistakes that both must notice. */
import t from 'tap'
import { DirectConsumer } from '../../../../runtime/adapters/kafka/direct-consumer.ts'
import { KafkaReader } from '../../../../runtime/adapters/kafka/kafka-reader.ts'
import { testDirectReader } from './direct-rules.ts'
import { runReader } from './reader-schedules.ts'

t.setTimeout(600_000)

const made = { KafkaReader, DirectConsumer }

void t.test('the rules of a reader', t => testDirectReader(t, made))

void t.test(
  'every committed record is read once and in order, whatever happens to brokers and to the reader',
  async t => {
    const hits = new Map<string, number>()
    const count = Number(process.env['SEEDS'] ?? 100)
    const first = Number(process.env['SEED'] ?? 1)
    let events = 0
    for (let seed = first; seed < first + count; seed++) {
      const result = await runReader(seed, made)
      events += result.events
      for (const [kind, n] of result.hits) hits.set(kind, (hits.get(kind) ?? 0) + n)
      if (result.wrong !== undefined) t.fail(`seed ${seed}: ${result.wrong}`)
    }
    t.comment(`${events} events; ${[...hits].map(([kind, n]) => `${kind} ${n}`).join(', ')}`)
  }
)
