/**
 * Offsets of sources, kept in the consumer group of a job: for people and for monitors of lag. Nothing reads them back.
 *
 *     in a transaction   [version 1: AddOffsetsToTxn] → TxnOffsetCommit, before its end
 *     alone              OffsetCommit, as consumers do that assign their partitions themselves
 *
 * 1. They never stand in the way of anything else. A definite no leaves them out, for now or for good. An answer that is lost fails the
 *    transaction, as whatever may have been executed does; afterwards they are left out for a while, so that the next one has nothing to lose.
 * 2. Shared by the slots of a publisher: what one learns, all know.
 */
import { reached } from '../kernel/marks.ts'
import type { Ended } from './connection-machine.ts'
import { KafkaRefusal } from './error-names.ts'
import type { ReplyOf } from './messages.ts'
import { askFor, type ClusterView, type Protocol } from './protocol.ts'

export interface SourceOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface GroupOffsetsOptions {
  readonly view: ClusterView
  readonly group: string
  /** What is refused for good; each once. */
  readonly refused?: (refusal: KafkaRefusal) => void
}

export interface OpenTransaction {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  readonly version: 1 | 2
  /** Throws unless it is answered. */
  readonly toCoordinator: (name: 'AddOffsetsToTxn', body: AddOffsets) => Protocol<{ readonly reply: unknown }>
}

interface AddOffsets {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  readonly groupId: string
}

/** Larger: lag looks greater than it is for longer. */
const restMs = 3_000
/** Longer: a publication waits longer for its own last transaction to be marked. */
const busyForMs = 1_000
const busyMs = 10
const lastOfVersion1 = 4
/** The transaction itself is in doubt: INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING, UNKNOWN_PRODUCER_ID, TRANSACTION_ABORTABLE. */
const ofTransaction = [48, 49, 59, 120]
const concurrent = 51

export class GroupOffsets {
  private readonly options: GroupOffsetsOptions
  private readonly never = new Set<string>()
  private coordinator: number | undefined
  private restsUntil = -Infinity

  constructor(options: GroupOffsetsOptions) {
    this.options = options
  }

  /** Adds them to a transaction that is written and not ended. Throws what makes the transaction uncertain. */
  *addTo(
    transaction: OpenTransaction,
    offsets: readonly SourceOffset[],
    now: number
  ): Protocol<{ readonly begun: boolean; readonly left: boolean }> {
    const wanted = this.wanted(offsets)
    if (wanted.length === 0) return { begun: false, left: false }
    if (now < this.restsUntil || (yield* this.find()) === undefined) return { begun: false, left: true }
    const { group } = this.options
    const { transactionalId, producerId, producerEpoch, version } = transaction
    const who = { transactionalId, producerId, producerEpoch, groupId: group }
    let begun = false
    if (version === 1) {
      const { reply } = yield* transaction.toCoordinator('AddOffsetsToTxn', who)
      const code = (reply as ReplyOf<'AddOffsetsToTxn'>).errorCode
      const answer = this.judge('AddOffsetsToTxn', [['', code]], now, true)
      if (answer !== 'told') return { begun: false, left: answer === 'later' }
      begun = true
    }
    const body = { ...who, generationId: -1, memberId: '', groupInstanceId: null, topics: topicsOf(wanted) }
    const maxVersion = version === 1 ? lastOfVersion1 : Infinity
    for (const until = now + busyForMs; ;) {
      const broker = this.coordinator
      if (broker === undefined) return { begun, left: true }
      const { ended, now: at } = yield { kind: 'ask', asks: [askFor('TxnOffsetCommit', broker, body, { maxVersion })] }
      const how = ended[0] as Ended
      if (how.kind !== 'answered') {
        reached(`kafka: ${how.kind} offsets`)
        this.rest(at)
        if (how.kind === 'unsent') return { begun, left: true }
        throw how.error
      }
      const codes = codesOf((how.reply as ReplyOf<'TxnOffsetCommit'>).topics)
      if (version === 2 && codes.some(([, code]) => code === concurrent) && at < until) {
        yield { kind: 'wait', ms: busyMs }
        continue
      }
      const answer = this.judge('TxnOffsetCommit', codes, at, true)
      // Version 2: the group's coordinator may have begun it and failed then.
      return { begun: begun || answer !== 'never', left: answer === 'later' }
    }
  }

  /** Answers whether another attempt may do what this one did not. */
  *commit(offsets: readonly SourceOffset[], now: number): Protocol<'told' | 'later'> {
    const wanted = this.wanted(offsets)
    if (wanted.length === 0) return 'told'
    const broker = now < this.restsUntil ? undefined : yield* this.find()
    if (broker === undefined) return 'later'
    const { group: groupId } = this.options
    const body = { groupId, generationId: -1, memberId: '', groupInstanceId: null, topics: topicsOf(wanted) }
    const { ended, now: at } = yield { kind: 'ask', asks: [askFor('OffsetCommit', broker, body)] }
    const how = ended[0] as Ended
    if (how.kind !== 'answered') {
      this.rest(at)
      return 'later'
    }
    const answer = this.judge('OffsetCommit', codesOf((how.reply as ReplyOf<'OffsetCommit'>).topics), at, false)
    return answer === 'later' ? 'later' : 'told'
  }

  private wanted(offsets: readonly SourceOffset[]): readonly SourceOffset[] {
    if (this.never.has('')) return []
    return offsets.filter(({ topic }) => !this.never.has(topic))
  }

  /** Whoever coordinates the group may have changed; until it is asked again, something else may be true. */
  private rest(now: number): void {
    this.coordinator = undefined
    this.restsUntil = now + restMs
  }

  private *find(): Protocol<number | undefined> {
    if (this.coordinator !== undefined) return this.coordinator
    const { view, group } = this.options
    const body = { key: group, keyType: 0, coordinatorKeys: [group] }
    const { ended, now } = yield { kind: 'ask', asks: [askFor('FindCoordinator', 'any', body)] }
    const how = ended[0] as Ended
    if (how.kind !== 'answered') {
      this.rest(now)
      return undefined
    }
    const reply = how.reply as ReplyOf<'FindCoordinator'>
    const found = reply.coordinators[0] ?? reply
    if (this.judge('FindCoordinator', [['', found.errorCode]], now, false) !== 'told') return undefined
    view.addresses.set(found.nodeId, `${found.host}:${found.port}`)
    return (this.coordinator = found.nodeId)
  }

  /** @param codes by topic; of the group: '' */
  private judge(
    what: string,
    codes: readonly (readonly [topic: string, code: number])[],
    now: number,
    inTransaction: boolean
  ): 'told' | 'later' | 'never' {
    let answer: 'told' | 'later' | 'never' = 'told'
    for (const [topic, code] of codes) {
      if (code === 0) continue
      const refusal = new KafkaRefusal(what, code)
      if (inTransaction && (refusal.meaning === 'fenced' || ofTransaction.includes(code))) throw refusal
      if (!forGood.includes(code)) {
        reached('kafka: offsets are left out')
        this.rest(now)
        answer = 'later'
        continue
      }
      const key = ofTopic.includes(code) ? topic : ''
      if (!this.never.has(key)) this.options.refused?.(refusal)
      this.never.add(key)
      if (answer === 'told') answer = 'never'
    }
    return answer
  }
}

/** TOPIC_AUTHORIZATION_FAILED, OFFSET_METADATA_TOO_LARGE */
const ofTopic = [29, 12]
/**
 * What no other attempt changes before an operator does: those of a topic, ILLEGAL_GENERATION, INCONSISTENT_GROUP_PROTOCOL, INVALID_GROUP_ID,
 * UNKNOWN_MEMBER_ID (others are in the group), GROUP_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION,
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED, FENCED_INSTANCE_ID.
 */
const forGood = [...ofTopic, 22, 23, 24, 25, 30, 31, 35, 53, 82]

function topicsOf(offsets: readonly SourceOffset[]): {
  readonly name: string
  readonly partitions: readonly {
    readonly partitionIndex: number
    readonly committedOffset: number
    readonly committedLeaderEpoch: number
    readonly committedMetadata: null
  }[]
}[] {
  const names = [...new Set(offsets.map(({ topic }) => topic))]
  return names.map(name => ({
    name,
    partitions: offsets
      .filter(({ topic }) => topic === name)
      .map(({ partition, offset }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedLeaderEpoch: -1,
        committedMetadata: null
      }))
  }))
}

function codesOf(
  topics: readonly { readonly name: string; readonly partitions: readonly { readonly errorCode: number }[] }[]
): (readonly [string, number])[] {
  return topics.flatMap(({ name, partitions }) => partitions.map(({ errorCode }) => [name, errorCode] as const))
}
