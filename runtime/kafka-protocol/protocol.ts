/**
 * How the protocols of several requests are written: generators that say what to ask and are told what came of it. They know no
 * promises, sockets or clocks; whoever runs them does the asking and brings the time along.
 */
import { reached } from '../kernel/marks.ts'
import type { Ended } from './connection-machine.ts'
import { KafkaRefusal } from './error-names.ts'
import type { ApiName, ReplyOf, RequestOf } from './messages.ts'

export interface Ask {
  /** `any`: whichever answers. */
  readonly broker: number | 'any'
  readonly name: ApiName
  readonly body: RequestOf<ApiName>
  readonly maxVersion?: number
  /** What the broker itself may wait before it answers. */
  readonly waitMs?: number
}

export type Step =
  /** All at once; told when each has ended. */
  { readonly kind: 'ask'; readonly asks: readonly Ask[] } | { readonly kind: 'wait'; readonly ms: number }

export interface Told {
  readonly now: number
  /** In the order of the asks; none after a wait. */
  readonly ended: readonly Ended[]
}

export type Protocol<T> = Generator<Step, T, Told>

export interface Leader {
  readonly broker: number
  /** Counts the elections of the partition; -1 where brokers do not say. */
  readonly epoch: number
}

/** Where brokers, leaders and coordinators are, as far as is known. Shared by all slots of a publisher. */
export class ClusterView {
  readonly addresses = new Map<number, string>()
  /** Why the last question about the cluster was not answered; undefined when it was. */
  trouble: Error | undefined
  /** Who creates topics; any broker of a cluster without ZooKeeper. */
  controller: number | undefined
  private readonly leaders = new Map<string, Leader>()
  /** The newest election that was heard of, by partition of the topic's id. */
  private readonly elections = new Map<string, number>()
  private readonly counts = new Map<string, number>()

  apply(reply: ReplyOf<'Metadata'>): void {
    for (const { nodeId, host, port } of reply.brokers) this.addresses.set(nodeId, `${host}:${port}`)
    this.controller = reply.controllerId >= 0 ? reply.controllerId : undefined
    for (const { name, topicId, errorCode, partitions } of reply.topics) {
      if (name === null) continue
      if (errorCode === 0) this.counts.set(name, partitions.length)
      for (const { partitionIndex, errorCode, leaderId, leaderEpoch } of partitions)
        if (errorCode === 0 && leaderId >= 0 && this.isNewest(topicId, partitionIndex, leaderEpoch))
          this.leaders.set(`${name}/${partitionIndex}`, { broker: leaderId, epoch: leaderEpoch })
        else this.leaders.delete(`${name}/${partitionIndex}`)
    }
  }
  /** A broker that was deposed and has not heard of it says that it leads, and would answer what was true then. */
  private isNewest(topicId: Uint8Array | undefined, partition: number, epoch: number): boolean {
    // A topic that was made again under its name counts from 0 again, so that older brokers, which name no ids, are believed.
    if (topicId === undefined || epoch < 0 || topicId.every(byte => byte === 0)) return true
    const key = `${topicId.join('.')}/${partition}`
    if (epoch < (this.elections.get(key) ?? -1)) {
      reached('kafka: a deposed leader says that it leads')
      return false
    }
    this.elections.set(key, epoch)
    return true
  }
  leader(topic: string, partition: number): Leader | undefined {
    return this.leaders.get(`${topic}/${partition}`)
  }
  forget(topic: string, partition: number): void {
    this.leaders.delete(`${topic}/${partition}`)
  }
  partitions(topic: string): number | undefined {
    return this.counts.get(topic)
  }
}

export const askFor = <N extends ApiName>(
  name: N,
  broker: number | 'any',
  body: RequestOf<N>,
  options: { readonly maxVersion?: number; readonly waitMs?: number } = {}
): Ask => ({ name, broker, body: body as RequestOf<ApiName>, ...options })

export interface Insistence<N extends ApiName> {
  readonly name: N
  readonly body: RequestOf<N>
  readonly waitMs?: number
  readonly codeOf: (reply: ReplyOf<N>) => number
  /** Where to ask now; undefined = to be found out. */
  readonly broker: () => number | 'any' | undefined
  /** Finds it out. */
  readonly locate: () => Protocol<void>
  /** What was known is wrong. */
  readonly mislocated: () => void
  /** Asking twice does no harm, so that a lost answer is no reason to give up. */
  readonly repeatable: boolean
  readonly deadline: number
}

export interface Settled<N extends ApiName> {
  readonly reply: ReplyOf<N>
  readonly how: Extract<Ended, { kind: 'answered' }>
  readonly now: number
}

/** Asks until the answer is success or a definite no, or the deadline has passed. Throws KafkaRefusal, or what was in the way. */
export function* insist<N extends ApiName>(what: Insistence<N>): Protocol<Settled<N>> {
  for (let pause = 10; ; pause = Math.min(400, pause * 2)) {
    let wrong: Error
    const broker = what.broker()
    if (broker === undefined) {
      yield* what.locate()
      wrong = new Error(`${what.name}: nobody is known who could answer`)
    } else {
      const ask = askFor(what.name, broker, what.body, what.waitMs === undefined ? {} : { waitMs: what.waitMs })
      const { ended, now } = yield { kind: 'ask', asks: [ask] }
      const how = ended[0] as Ended
      if (how.kind === 'answered') {
        const reply = how.reply as ReplyOf<N>
        const code = what.codeOf(reply)
        if (code === 0) return { reply, how, now }
        const refusal = new KafkaRefusal(what.name, code)
        if (refusal.meaning !== 'elsewhere' && refusal.meaning !== 'later') throw refusal
        if (refusal.meaning === 'elsewhere') {
          reached('kafka: asked the wrong broker')
          what.mislocated()
        }
        wrong = refusal
      } else {
        // Never left, or harmless: whoever was asked may be gone.
        reached(`kafka: ${how.kind} ${what.name}`)
        if (how.kind === 'lost' && !what.repeatable) throw how.error
        what.mislocated()
        wrong = how.error
      }
    }
    if (what.broker() === undefined) yield* what.locate()
    const { now } = yield { kind: 'wait', ms: pause }
    if (now >= what.deadline) throw wrong
  }
}

/** Asks any broker where everything is. What cannot be learnt now stays unknown. */
export function* refresh(
  view: ClusterView,
  topics: readonly string[]
): Protocol<readonly [topic: string, code: number][]> {
  const body = {
    topics: topics.map(name => ({ topicId: new Uint8Array(16), name })),
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false
  }
  const { ended } = yield { kind: 'ask', asks: [askFor('Metadata', 'any', body)] }
  const how = ended[0] as Ended
  view.trouble = how.kind === 'answered' ? undefined : how.error
  if (how.kind !== 'answered') return []
  const reply = how.reply as ReplyOf<'Metadata'>
  view.apply(reply)
  return reply.topics.map(({ name, errorCode }) => [name ?? '', errorCode])
}
