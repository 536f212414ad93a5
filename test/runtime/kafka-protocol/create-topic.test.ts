/** How a missing topic is made: whom it asks, when it asks again, and when it gives up. */
import t from 'tap'
import type { Ended } from '../../../runtime/kafka-protocol/connection-machine.ts'
import { createTopic } from '../../../runtime/kafka-protocol/create-topic.ts'
import { ClusterView, type Ask } from '../../../runtime/kafka-protocol/protocol.ts'

const answered = (reply: unknown): Ended => ({
  kind: 'answered',
  reply,
  abilities: { versions: new Map(), transactionVersion: 2 }
})
const made = (errorCode: number, errorMessage: string | null = null): Ended =>
  answered({ throttleTimeMs: 0, topics: [{ name: 'ledger', errorCode, errorMessage }] })
const lost: Ended = { kind: 'lost', error: new Error('lost') }
const metadata = (controllerId: number): Ended => answered({ brokers: [], controllerId, topics: [] })

/** Gives the answers in their order; what was asked. */
function run(view: ClusterView, answers: readonly Ended[]): Ask[] {
  const asked: Ask[] = []
  const protocol = createTopic(view, { name: 'ledger', partitions: 8, configs: { a: 'b' } }, 1_000)
  let now = 0
  for (let step = protocol.next(); step.done !== true;) {
    const { value } = step
    if (value.kind === 'wait') now += value.ms
    else asked.push(...value.asks)
    step = protocol.next({ now, ended: value.kind === 'wait' ? [] : [answers[asked.length - 1] ?? lost] })
  }
  return asked
}

void t.test('numbers that are not given are left to the cluster; that it is there already is success', t => {
  for (const code of [0, 36])
    t.match(run(new ClusterView(), [made(code)]), [
      {
        name: 'CreateTopics',
        broker: 'any',
        body: {
          topics: [{ name: 'ledger', numPartitions: 8, replicationFactor: -1, configs: [{ name: 'a', value: 'b' }] }]
        }
      }
    ])
  t.end()
})

void t.test('whoever is not the controller is not asked again; a lost answer is a reason to ask again', t => {
  const asked = run(new ClusterView(), [made(41), metadata(3), lost, metadata(2), made(36)])
  t.same(
    asked.map(({ name, broker }) => [name, broker]),
    [
      ['CreateTopics', 'any'],
      ['Metadata', 'any'],
      ['CreateTopics', 3],
      ['Metadata', 'any'],
      ['CreateTopics', 2]
    ]
  )
  t.end()
})

void t.test("a refusal is told in the broker's words, and patience ends", t => {
  t.throws(() => run(new ClusterView(), [made(44, 'names begin with x')]), {
    message: 'CreateTopics "ledger": POLICY_VIOLATION (names begin with x)'
  })
  t.throws(() => run(new ClusterView(), []), { message: 'lost' })
  t.end()
})
