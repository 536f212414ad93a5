/** Exactly once under random schedules of owners, crashes and late requests. */
import t from 'tap'
import { KafkaPublisher } from '../../../runtime/adapters/kafka/kafka-publisher.ts'
import { makingPublisher, runOwners } from './owners.ts'

t.setTimeout(600_000)

void t.test('every record is there exactly once, with its entry', { timeout: 600_000 }, async t => {
  const hits = new Map<string, number>()
  let events = 0
  const count = Number(process.env['SEEDS'] ?? 150)
  const first = Number(process.env['SEED'] ?? 1)
  for (let seed = first; seed < first + count; seed++) {
    const result = await runOwners(seed, makingPublisher(KafkaPublisher))
    events += result.events
    for (const [kind, n] of result.hits) hits.set(kind, (hits.get(kind) ?? 0) + n)
    if (result.wrong !== undefined) t.fail(`seed ${seed}: ${result.wrong}`)
  }
  t.comment(`${events} events; ${[...hits].map(([kind, n]) => `${kind} ${n}`).join(', ')}`)
})
