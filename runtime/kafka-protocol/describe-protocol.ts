/** What must be known of a topic before anything is written to it. */
import { CodedError } from '../kernel/errors.ts'
import { meaningOf, nameOfError } from './error-names.ts'
import { insist, refresh, type ClusterView, type Protocol } from './protocol.ts'

const topicResource = 2
const unknownTopic = 3

/** Throws TOPIC_MISSING when the cluster says that it has none of this name. */
export function* partitionsOf(view: ClusterView, topic: string, deadline: number): Protocol<number> {
  for (let pause = 20; ; pause = Math.min(500, pause * 2)) {
    const codes = yield* refresh(view, [topic])
    const code = codes.find(([name]) => name === topic)?.[1]
    const count = view.partitions(topic)
    if (code === 0 && count !== undefined) return count
    if (code === unknownTopic) throw new CodedError('TOPIC_MISSING', `no topic "${topic}"`)
    if (code !== undefined && meaningOf(code) === 'failed') throw new Error(`topic "${topic}": ${nameOfError(code)}`)
    const { now } = yield { kind: 'wait', ms: pause }
    if (now >= deadline) throw new Error(`nobody says where topic "${topic}" is`)
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
