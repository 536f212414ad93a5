/** What must be known of a topic before anything is written to it. */
import { CodedError } from '../kernel/errors.ts'
import { KafkaRefusal, meaningOf } from './error-names.ts'
import { insist, refresh, type ClusterView, type Protocol } from './protocol.ts'

const topicResource = 2
const unknownTopic = 3

/**
 * Throws TOPIC_MISSING when the cluster says that it has none of this name; `expected`: it was just made, and not every broker has
 * heard of it.
 */
export function* partitionsOf(
  view: ClusterView,
  topic: string,
  deadline: number,
  expected?: 'expected'
): Protocol<number> {
  for (let pause = 20; ; pause = Math.min(500, pause * 2)) {
    const codes = yield* refresh(view, [topic])
    const code = codes.find(([name]) => name === topic)?.[1]
    const count = view.partitions(topic)
    if (code === 0 && count !== undefined) return count
    if (code === unknownTopic && expected === undefined) throw new CodedError('TOPIC_MISSING', `no topic "${topic}"`)
    if (code !== undefined && meaningOf(code) === 'failed') throw new KafkaRefusal(`topic "${topic}"`, code)
    // Whoever is not let in now will not be let in a moment later.
    if (view.trouble instanceof KafkaRefusal && view.trouble.meaning === 'failed') throw view.trouble
    const { now } = yield { kind: 'wait', ms: pause }
    if (now >= deadline) throw view.trouble ?? new Error(`nobody says where topic "${topic}" is`)
  }
}

/** Until some broker has answered. */
export function* reachCluster(view: ClusterView, deadline: number): Protocol<void> {
  for (let pause = 20; ; pause = Math.min(500, pause * 2)) {
    yield* refresh(view, [])
    const { trouble } = view
    if (trouble === undefined) return
    if (trouble instanceof KafkaRefusal && trouble.meaning === 'failed') throw trouble
    const { now } = yield { kind: 'wait', ms: pause }
    if (now >= deadline) throw trouble
  }
}

export function* topicConfigs(
  topic: string,
  names: readonly string[],
  deadline: number
): Protocol<ReadonlyMap<string, string>> {
  const { reply } = yield* insist({
    name: 'DescribeConfigs',
    body: {
      resources: [{ resourceType: topicResource, resourceName: topic, configurationKeys: names }],
      includeSynonyms: false,
      includeDocumentation: false
    },
    codeOf: ({ results }) => results[0]?.errorCode ?? -1,
    broker: () => 'any',
    locate: function* () {
      // Any broker answers.
    },
    mislocated: () => undefined,
    repeatable: true,
    deadline
  })
  return new Map(reply.results[0]?.configs.map(({ name, value }) => [name, value ?? '']))
}
