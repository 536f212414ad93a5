/** Makes a topic that is missing. */
import { askFor, refresh, type ClusterView, type Protocol } from './protocol.ts'
import { KafkaRefusal } from './error-names.ts'
import type { ReplyOf } from './messages.ts'

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  /** Default: the cluster's. */
  readonly replicationFactor?: number
  readonly configs: Readonly<Record<string, string>>
}

const alreadyExists = 36
const createWithinMs = 10_000

/**
 * One attempt at most is refused for good: throws KafkaRefusal then. That somebody else made it in the meantime is success. Whoever calls asks
 * afterwards what the topic has become: an answer that was lost is not told apart.
 */
export function* createTopic(view: ClusterView, topic: NewTopic, deadline: number): Protocol<void> {
  const { name, partitions, replicationFactor = -1, configs } = topic
  const body = {
    topics: [
      {
        name,
        numPartitions: partitions,
        replicationFactor,
        assignments: [],
        configs: Object.entries(configs).map(([name, value]) => ({ name, value }))
      }
    ],
    timeoutMs: createWithinMs,
    validateOnly: false
  }
  for (let pause = 50; ; pause = Math.min(1_000, pause * 2)) {
    let wrong: Error
    const ask = askFor('CreateTopics', view.controller ?? 'any', body, { waitMs: createWithinMs })
    const { ended } = yield { kind: 'ask', asks: [ask] }
    const how = ended[0]
    if (how?.kind === 'answered') {
      const found = (how.reply as ReplyOf<'CreateTopics'>).topics[0]
      const code = found?.errorCode ?? -1
      if (code === 0 || code === alreadyExists) return
      const refusal = new KafkaRefusal(`CreateTopics "${name}"`, code, found?.errorMessage ?? undefined)
      if (refusal.meaning !== 'later' && refusal.meaning !== 'elsewhere') throw refusal
      wrong = refusal
    } else wrong = how?.error ?? new Error('no answer')
    view.controller = undefined
    const { now } = yield { kind: 'wait', ms: pause }
    if (now >= deadline) throw wrong
    yield* refresh(view, [name])
  }
}
