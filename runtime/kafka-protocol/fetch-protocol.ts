/** Questions of a reader: records from where it stands, where a partition begins and ends, and which topics there are. */
import type { Ended } from './connection-machine.ts'
import { askFor, insist, refresh, type ClusterView, type Protocol } from './protocol.ts'

/** Larger: a partition that is asked for anew waits so long for the answer to an earlier request. */
const waitMs = 100
/** Of one partition in one answer. Larger: fewer requests, more memory. A batch that is larger comes all the same. */
const partitionBytes = 1024 * 1024
const answerBytes = 16 * 1024 * 1024

export const readCommitted = 1
/** Times that `offsetOf` takes for the ends of a partition. */
export const latest = -1
export const earliest = -2

export interface FetchPlace {
  readonly topic: string
  readonly partition: number
  readonly at: number
}

/** Answers once something is there, or some 100 ms later. */
export function* fetchOnce(broker: number, places: readonly FetchPlace[]): Protocol<Ended> {
  const topics = new Map<string, { partition: number; at: number }[]>()
  for (const { topic, partition, at } of places) {
    const list = topics.get(topic)
    if (list === undefined) topics.set(topic, [{ partition, at }])
    else list.push({ partition, at })
  }
  const body = {
    replicaId: -1,
    maxWaitMs: waitMs,
    minBytes: 1,
    maxBytes: answerBytes,
    isolationLevel: readCommitted,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [...topics].map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map(({ partition, at }) => ({
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: at,
        lastFetchedEpoch: -1,
        logStartOffset: -1,
        partitionMaxBytes: partitionBytes
      }))
    })),
    forgottenTopics: [],
    rackId: ''
  }
  const { ended } = yield { kind: 'ask', asks: [askFor('Fetch', broker, body, { waitMs })] }
  return ended[0] as Ended
}

/** How many partitions each topic has that may be seen. */
export function* allTopics(deadline: number): Protocol<ReadonlyMap<string, number>> {
  const { reply } = yield* insist({
    name: 'Metadata',
    body: {
      topics: null,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false
    },
    codeOf: () => 0,
    broker: () => 'any',
    locate: function* () {
      // Any broker answers.
    },
    mislocated: () => undefined,
    repeatable: true,
    deadline
  })
  return new Map(
    reply.topics.flatMap(({ name, errorCode, partitions }) =>
      name === null || errorCode !== 0 ? [] : [[name, partitions.length]]
    )
  )
}

export interface OffsetQuestion {
  /** Milliseconds since 1970, `latest` or `earliest`. */
  readonly time: number
  readonly isolationLevel: 0 | typeof readCommitted
  readonly answerMs: number
  readonly now: number
}

/** Of the first record of that time or later; -1: there is none. */
export function* offsetOf(
  view: ClusterView,
  { topic, partition }: Pick<FetchPlace, 'topic' | 'partition'>,
  { time, isolationLevel, answerMs, now }: OffsetQuestion
): Protocol<number> {
  const { reply } = yield* insist({
    name: 'ListOffsets',
    body: {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp: time }] }],
      timeoutMs: answerMs
    },
    codeOf: ({ topics }) => topics[0]?.partitions[0]?.errorCode ?? -1,
    broker: () => view.leader(topic, partition)?.broker,
    locate: function* () {
      yield* refresh(view, [topic])
    },
    mislocated: () => view.forget(topic, partition),
    repeatable: true,
    deadline: now + answerMs
  })
  return reply.topics[0]?.partitions[0]?.offset ?? -1
}
