/**
 * The transactions of one slot, without I/O (RELIABILITY.md, page one). Owned by one producer; dead after anything but success.
 *
 *     initialise   InitProducerId until nothing is undecided            → older owners are fenced, what they left open is ended
 *     readLedger   end of the slot's ledger partition, then read it committed up to there
 *     publish      [version 1: InitProducerId, only if still ours] → [AddPartitionsToTxn] → Produce records and entry → [offsets of the
 *                  sources] → EndTxn, once
 *
 * 1. The end of the ledger is asked for after the fence. It is the high watermark: a foreign transaction left open may hold the last
 *    stable offset below our own newest entry. A fetch that brings nothing is not the end.
 * 2. Records and entry are of one transaction. Offsets of sources are, too; what refuses them alone leaves them out.
 * 3. Nothing that may have been executed is asked again. What is definitely not done may be: in version 2 a write is refused as long as
 *    the markers of the transaction before are on their way.
 * 4. Version 1: no two transactions share a producer epoch, so that a late EndTxn finds nothing to decide (KAFKA-17754).
 *    Version 2 (KIP-890): each end moves the epoch.
 * 5. The ledger is read from, and the first entry written to, one leader in one leader epoch: a deposed leader that does not know it yet
 *    answers with an old end, but no write to it is ever acknowledged.
 */
import { equalBytes } from '../kernel/bytes.ts'
import { reached } from '../kernel/marks.ts'
import type { Ended } from './connection-machine.ts'
import { KafkaRefusal } from './error-names.ts'
import type { GroupOffsets, SourceOffset } from './group-offsets.ts'
import type { ReplyOf } from './messages.ts'
import { askFor, insist, refresh, type Ask, type ClusterView, type Leader, type Protocol } from './protocol.ts'
import { readCommitted } from './read-committed.ts'
import {
  batchOverheadBytes,
  decodeBatches,
  encodeBatch,
  recordSizeBytes,
  type Compression,
  type KafkaRecord
} from './record-batch.ts'

export interface SlotTransactionsOptions {
  readonly view: ClusterView
  readonly topic: string
  readonly ledgerTopic: string
  readonly ledgerPartition: number
  /** Also the key of entries that have none of their own. */
  readonly transactionalId: string
  /** `max.message.bytes` of the topic. */
  readonly maxBatchBytes: number
  /** Of the records; entries never are, as whoever reads them knows none. */
  readonly compression?: Compression
  /** Larger: a dead owner's transaction blocks readers for longer. */
  readonly transactionTimeoutMs: number
  /** Where the offsets of sources go that are told along. */
  readonly groupOffsets?: GroupOffsets
  /** Larger: a slot that cannot be initialised or read is noticed later. */
  readonly initialiseMs: number
  /** Told of each record of the ledger partition that is read, whosever it is. */
  readonly ledgerRecord?: (record: KafkaRecord) => void
}

export interface TopicRecord extends KafkaRecord {
  readonly partition: number
}

export type TransactionOutcome =
  | { readonly kind: 'published'; /** Not now. */ readonly offsets?: 'left-out' }
  | { readonly kind: 'fenced' }
  | { readonly kind: 'unknown'; readonly error: Error }
  | { readonly kind: 'refused'; readonly error: Error }

interface Batch {
  readonly topic: string
  readonly partition: number
  readonly bytes: Uint8Array
}

/** Above these a client speaks version 2. */
const lastProduceOfVersion1 = 11
const lastEndOfVersion1 = 4
const readUncommitted = 0
const readCommittedOnly = 1
const latest = -1
const earliest = -2
const fetchBytes = 1024 * 1024
const fetchWaitMs = 100
const busyMs = 10

export class SlotTransactions {
  private readonly options: SlotTransactionsOptions
  private readonly ledgerKey: Uint8Array
  private version: 1 | 2 = 1
  private coordinator: number | undefined
  private producerId = -1
  private producerEpoch = -1
  /** Version 1: the epoch has seen a transaction. */
  private used = false
  private dead: TransactionOutcome | undefined
  /** Who was asked for the ledger. */
  private ledgerLeader: Leader | undefined
  private ledgerNext: number | undefined
  private ledgerValue: Uint8Array | undefined

  constructor(options: SlotTransactionsOptions) {
    this.options = options
    this.ledgerKey = new TextEncoder().encode(options.transactionalId)
  }

  *initialise(now: number): Protocol<void> {
    yield* refresh(this.options.view, [this.options.topic, this.options.ledgerTopic])
    yield* this.initialiseAs(-1, -1, now + this.options.initialiseMs)
  }

  /** With the identity it believes to have, it is told when that is not so any more. */
  private *initialiseAs(producerId: number, producerEpoch: number, deadline: number): Protocol<void> {
    const { transactionalId, transactionTimeoutMs } = this.options
    const { reply, how } = yield* insist({
      name: 'InitProducerId',
      body: { transactionalId, transactionTimeoutMs, producerId, producerEpoch },
      codeOf: ({ errorCode }) => errorCode,
      broker: () => this.coordinator,
      locate: () => this.findCoordinator(),
      mislocated: () => (this.coordinator = undefined),
      repeatable: false,
      deadline
    })
    this.version = how.abilities.transactionVersion >= 2 ? 2 : 1
    this.producerId = reply.producerId
    this.producerEpoch = reply.producerEpoch
    this.used = false
  }

  private *findCoordinator(): Protocol<void> {
    const { transactionalId, view } = this.options
    const body = { key: transactionalId, keyType: 1, coordinatorKeys: [transactionalId] }
    const { ended } = yield { kind: 'ask', asks: [askFor('FindCoordinator', 'any', body)] }
    const how = ended[0] as Ended
    if (how.kind !== 'answered') return
    const reply = how.reply as ReplyOf<'FindCoordinator'>
    const found = reply.coordinators[0] ?? reply
    if (forbidden.includes(found.errorCode)) throw new KafkaRefusal('FindCoordinator', found.errorCode)
    if (found.errorCode !== 0) return
    view.addresses.set(found.nodeId, `${found.host}:${found.port}`)
    this.coordinator = found.nodeId
  }

  /** The value of the slot's newest entry; undefined when there is none. Only between `initialise` and the first failure. */
  *readLedger(now: number): Protocol<Uint8Array | undefined> {
    const deadline = now + this.options.initialiseMs
    let next = this.ledgerNext ?? (yield* this.offsetAt(earliest, deadline))
    const end = yield* this.offsetAt(latest, deadline)
    this.ledgerLeader = this.options.view.leader(this.options.ledgerTopic, this.options.ledgerPartition)
    while (next < end) {
      const before = next
      const fetched = yield* this.fetch(next, deadline)
      next = fetched.next
      if (next > before) continue
      reached('kafka: waits for the ledger to become stable')
      if (fetched.now >= deadline) throw new Error(this.undecided(next, end))
    }
    this.ledgerNext = next
    return this.ledgerValue
  }

  /** Whose it was does not matter: a slot that shares the partition may have left it. */
  private undecided(from: number, to: number): string {
    const { ledgerTopic, ledgerPartition } = this.options
    const where = `topic "${ledgerTopic}", partition ${ledgerPartition}`
    return `${where}: a transaction at offset ${from} has no end, up to ${to}; docs/kafka.md says what hanging transactions are`
  }

  private *offsetAt(timestamp: number, deadline: number): Protocol<number> {
    const { ledgerTopic: name, ledgerPartition: partitionIndex } = this.options
    const partition = { partitionIndex, currentLeaderEpoch: -1, timestamp }
    const { reply } = yield* insist({
      name: 'ListOffsets',
      body: {
        replicaId: -1,
        isolationLevel: readUncommitted,
        topics: [{ name, partitions: [partition] }],
        timeoutMs: 5000
      },
      codeOf: ({ topics }) => topics[0]?.partitions[0]?.errorCode ?? -1,
      ...this.atLedger(deadline)
    })
    return reply.topics[0]?.partitions[0]?.offset ?? 0
  }

  private *fetch(position: number, deadline: number): Protocol<{ next: number; now: number }> {
    const { ledgerTopic: topic, ledgerPartition: partition } = this.options
    const wanted = {
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: position,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      partitionMaxBytes: fetchBytes
    }
    const { reply, now } = yield* insist({
      name: 'Fetch',
      body: {
        replicaId: -1,
        maxWaitMs: fetchWaitMs,
        minBytes: 1,
        maxBytes: fetchBytes,
        isolationLevel: readCommittedOnly,
        sessionId: 0,
        sessionEpoch: -1,
        topics: [{ topic, partitions: [wanted] }],
        forgottenTopics: [],
        rackId: ''
      },
      waitMs: fetchWaitMs,
      codeOf: ({ errorCode, topics }) => errorCode || (topics[0]?.partitions[0]?.errorCode ?? -1),
      ...this.atLedger(deadline)
    })
    const found = reply.topics[0]?.partitions[0]
    const batches = decodeBatches(found?.records ?? new Uint8Array(0))
    const { records, next } = readCommitted(batches, found?.abortedTransactions ?? [], position)
    for (const record of records) {
      const { key, value } = record
      // Without a value: forgotten, by a job that starts over.
      if (key !== undefined && equalBytes(key, this.ledgerKey)) this.ledgerValue = value?.slice()
      this.options.ledgerRecord?.(record)
    }
    return { next, now }
  }

  private atLedger(deadline: number): {
    readonly broker: () => number | undefined
    readonly locate: () => Protocol<void>
    readonly mislocated: () => void
    readonly repeatable: true
    readonly deadline: number
  } {
    const { view, ledgerTopic, ledgerPartition } = this.options
    return {
      broker: () => view.leader(ledgerTopic, ledgerPartition)?.broker,
      locate: function* () {
        yield* refresh(view, [ledgerTopic])
      },
      mislocated: () => view.forget(ledgerTopic, ledgerPartition),
      repeatable: true,
      deadline
    }
  }

  /** One transaction. `entry` is the ledger record; without it nothing but offsets is told. */
  *publish(
    records: readonly TopicRecord[],
    entry: KafkaRecord | undefined,
    now: number,
    offsets: readonly SourceOffset[] = []
  ): Protocol<TransactionOutcome> {
    if (this.dead !== undefined) return this.dead
    try {
      if (this.version === 1 && this.used) yield* this.renew(now)
      this.used = true
      if (entry !== undefined) {
        const refused = yield* this.write(this.roundsOf(records, entry), now)
        if (refused !== undefined) return yield* this.giveUp(refused)
      }
      const { begun, left } = yield* this.addOffsets(offsets, now)
      if (entry !== undefined || begun) yield* this.end(true)
      if (left) return { kind: 'published', offsets: 'left-out' }
      return { kind: 'published' }
    } catch (error) {
      return (this.dead = failureOf(yield* this.whyUnmapped(error as Error, now)))
    }
  }

  /** The broker knows the transactional id with another producer id, or it has forgotten it, as it does with those unused for days. */
  private *whyUnmapped(error: Error, now: number): Protocol<Error> {
    if (!(error instanceof KafkaRefusal) || error.code !== unmapped) return error
    try {
      yield* this.renew(now)
    } catch (why) {
      return why as Error
    }
    reached('kafka: the broker had forgotten the transactional id')
    return error
  }

  /** A new epoch, only if nobody has taken over in between: what was read of the ledger still holds. */
  private *renew(now: number): Protocol<void> {
    yield* this.initialiseAs(this.producerId, this.producerEpoch, now + this.options.initialiseMs)
  }

  /** What goes out together: at most one batch a partition, which is what brokers take of one request. */
  private roundsOf(records: readonly TopicRecord[], entry: KafkaRecord): Batch[][] {
    const { topic, ledgerTopic, ledgerPartition, maxBatchBytes } = this.options
    const byPartition = new Map<number, KafkaRecord[]>()
    for (const record of records) {
      const known = byPartition.get(record.partition)
      if (known === undefined) byPartition.set(record.partition, [record])
      else known.push(record)
    }
    const rounds: Batch[][] = [[]]
    const { producerId, producerEpoch } = this
    for (const [partition, list] of byPartition) {
      let baseSequence = 0
      for (const [round, part] of cut(list, maxBatchBytes).entries()) {
        const bytes = encodeBatch(part, { producerId, producerEpoch, baseSequence }, this.options.compression)
        baseSequence += part.length
        const batches = rounds[round] ?? (rounds[round] = [])
        batches.push({ topic, partition, bytes })
      }
    }
    const bytes = encodeBatch([{ ...entry, key: entry.key ?? this.ledgerKey }], {
      producerId,
      producerEpoch,
      baseSequence: 0
    })
    rounds[0]?.push({ topic: ledgerTopic, partition: ledgerPartition, bytes })
    return rounds
  }

  /** Throws unless everything was written; returns the refusal when the topic does not take the records. */
  private *write(rounds: readonly (readonly Batch[])[], now: number): Protocol<KafkaRefusal | undefined> {
    if (this.version === 1) yield* this.addPartitions(rounds[0] ?? [])
    const deadline = now + this.options.initialiseMs
    for (const round of rounds)
      for (let left = round; left.length > 0;) {
        const asked = this.byLeader(left)
        const { ended } = yield { kind: 'ask', asks: asked.map(({ ask }) => ask) }
        const codes = new Map<Batch, number>()
        let lost: Error | undefined
        for (const [i, { batches }] of asked.entries()) {
          const how = ended[i] as Ended
          if (how.kind === 'answered') codesOf(how.reply as ReplyOf<'Produce'>, batches, codes)
          else lost = how.error
        }
        const refusals = [...codes]
          .filter(([, code]) => code !== 0)
          .map(([batch, code]) => ({ batch, refusal: new KafkaRefusal('Produce', code) }))
        const fenced = refusals.find(({ refusal }) => refusal.meaning === 'fenced')
        if (fenced !== undefined) throw fenced.refusal
        if (lost !== undefined) throw lost
        const busy = refusals.filter(({ refusal }) => this.version === 2 && isBusy(refusal.code))
        const bad = refusals.filter(({ refusal }) => !(this.version === 2 && isBusy(refusal.code)))
        for (const { batch, refusal } of bad) {
          if (refusal.meaning === 'refused' && batch.topic === this.options.topic) return refusal
          this.options.view.forget(batch.topic, batch.partition)
        }
        if (bad[0] !== undefined) throw bad[0].refusal
        left = busy.map(({ batch }) => batch)
        if (busy[0] === undefined) continue
        reached('kafka: waits for the markers of its own last transaction')
        const waited = yield { kind: 'wait', ms: busyMs }
        if (waited.now >= deadline) throw busy[0].refusal
      }
    return undefined
  }

  /** `begun`: they are in the transaction, or may be. */
  private *addOffsets(
    offsets: readonly SourceOffset[],
    now: number
  ): Protocol<{ readonly begun: boolean; readonly left: boolean }> {
    const { groupOffsets } = this.options
    if (groupOffsets === undefined || offsets.length === 0) return { begun: false, left: false }
    const toCoordinator = (name: 'AddOffsetsToTxn', body: Ask['body']): ReturnType<typeof this.askCoordinator> =>
      this.askCoordinator(name, body, Infinity)
    return yield* groupOffsets.addTo({ ...this.identity(), version: this.version, toCoordinator }, offsets, now)
  }

  private *addPartitions(batches: readonly Batch[]): Protocol<void> {
    const names = [...new Set(batches.map(({ topic }) => topic))]
    const topics = names.map(name => ({
      name,
      partitions: batches.filter(({ topic }) => topic === name).map(({ partition }) => partition)
    }))
    const { reply } = yield* this.askCoordinator('AddPartitionsToTxn', { ...this.identity(), topics }, Infinity)
    const codes = (reply as ReplyOf<'AddPartitionsToTxn'>).topics.flatMap(({ partitions }) =>
      partitions.map(({ errorCode }) => errorCode)
    )
    const refusals = codes.filter(code => code !== 0).map(code => new KafkaRefusal('AddPartitionsToTxn', code))
    const worst = refusals.find(({ meaning }) => meaning === 'fenced') ?? refusals[0]
    if (worst !== undefined) throw worst
  }

  private byLeader(batches: readonly Batch[]): { readonly ask: Ask; readonly batches: readonly Batch[] }[] {
    const { view, transactionalId } = this.options
    const groups = new Map<number, Batch[]>()
    for (const batch of batches) {
      const leader = view.leader(batch.topic, batch.partition)
      if (leader === undefined) throw new Error(`no leader of ${batch.topic}/${batch.partition} is known`)
      if (batch.topic === this.options.ledgerTopic) this.expectLeader(leader)
      const known = groups.get(leader.broker)
      if (known === undefined) groups.set(leader.broker, [batch])
      else known.push(batch)
    }
    const maxVersion = this.version === 1 ? lastProduceOfVersion1 : Infinity
    return [...groups].map(([leader, mine]) => {
      const names = [...new Set(mine.map(({ topic }) => topic))]
      const topics = names.map(name => ({
        name,
        partitions: mine
          .filter(({ topic }) => topic === name)
          .map(({ partition, bytes }) => ({ index: partition, records: bytes }))
      }))
      const body = { transactionalId, acks: -1, timeoutMs: 10_000, topics }
      return { ask: askFor('Produce', leader, body, { maxVersion }), batches: mine }
    })
  }

  private expectLeader({ broker, epoch }: Leader): void {
    const asked = this.ledgerLeader
    if (asked === undefined || (asked.broker === broker && asked.epoch === epoch)) return
    reached('kafka: the ledger has another leader than the one that was asked')
    throw new Error(`the ledger was read from broker ${asked.broker} (${asked.epoch}), now led by ${broker} (${epoch})`)
  }

  /** Nothing is published through it any more. What is under way goes on. */
  close(): void {
    this.dead ??= { kind: 'unknown', error: new Error('the producer is closed') }
  }

  private identity(): {
    readonly transactionalId: string
    readonly producerId: number
    readonly producerEpoch: number
  } {
    return {
      transactionalId: this.options.transactionalId,
      producerId: this.producerId,
      producerEpoch: this.producerEpoch
    }
  }

  private *askCoordinator(
    name: 'AddPartitionsToTxn' | 'AddOffsetsToTxn' | 'EndTxn',
    body: Ask['body'],
    maxVersion: number
  ): Protocol<{ readonly reply: unknown }> {
    if (this.coordinator === undefined) throw new Error('no coordinator is known')
    const ask: Ask = { broker: this.coordinator, name, body, maxVersion }
    const { ended } = yield { kind: 'ask', asks: [ask] }
    const how = ended[0] as Ended
    if (how.kind !== 'answered') throw how.error
    return how
  }

  /** Asked once: a second question could decide another transaction. */
  private *end(committed: boolean): Protocol<void> {
    const maxVersion = this.version === 1 ? lastEndOfVersion1 : Infinity
    const answer = yield* this.askCoordinator('EndTxn', { ...this.identity(), committed }, maxVersion)
    const reply = answer.reply as ReplyOf<'EndTxn'>
    if (reply.errorCode !== 0) throw new KafkaRefusal('EndTxn', reply.errorCode)
    if (this.version === 1) return
    if (reply.producerId < 0) throw new Error('EndTxn: a broker that speaks version 2 names no epoch')
    if (reply.producerId !== this.producerId) reached('kafka: the producer epoch ran over')
    this.producerId = reply.producerId
    this.producerEpoch = reply.producerEpoch
  }

  /** Nothing of it can become visible any more, whatever becomes of this end; but without it the producer is done for. */
  private *giveUp(refusal: KafkaRefusal): Protocol<TransactionOutcome> {
    reached('kafka: records are refused')
    try {
      yield* this.end(false)
    } catch (error) {
      this.dead = failureOf(error as Error)
    }
    return { kind: 'refused', error: refusal }
  }
}

/** GROUP_, CLUSTER_ and TRANSACTIONAL_ID_AUTHORIZATION_FAILED: no broker will say otherwise. */
const forbidden = [30, 31, 53]
/** INVALID_PRODUCER_ID_MAPPING */
const unmapped = 49
const isBusy = (code: number): boolean => code === 51

function failureOf(error: Error): TransactionOutcome {
  if (error instanceof KafkaRefusal && error.meaning === 'fenced') {
    reached('kafka: fenced')
    return { kind: 'fenced' }
  }
  reached('kafka: unknown outcome')
  return { kind: 'unknown', error }
}

/** A partition that the reply does not name has failed. */
function codesOf(reply: ReplyOf<'Produce'>, batches: readonly Batch[], codes: Map<Batch, number>): void {
  for (const batch of batches) {
    const topic = reply.topics.find(({ name }) => name === batch.topic)
    codes.set(batch, topic?.partitions.find(({ index }) => index === batch.partition)?.errorCode ?? -1)
  }
}

/** In order, each part within the limit of a batch; a record that is too large alone has a part of its own. */
function cut(records: readonly KafkaRecord[], maxBatchBytes: number): KafkaRecord[][] {
  const parts: KafkaRecord[][] = []
  let room = 0
  for (const record of records) {
    const size = recordSizeBytes(record)
    const last = parts.at(-1)
    if (last !== undefined && size <= room) {
      last.push(record)
      room -= size
    } else {
      parts.push([record])
      room = maxBatchBytes - batchOverheadBytes - size
    }
  }
  return parts
}
