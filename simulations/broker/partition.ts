/**
 * One partition of the simulated log: batches, what is replicated, what is decided, and what producers may still write.
 *
 *     logStart … decided by commit or abort markers … | lastStable … open transactions … | highWatermark … not replicated | end
 *
 * 1. A batch is acknowledged only once the high watermark has passed it; a change of leader forgets what lies behind it.
 * 2. The last stable offset never passes an open transaction, nor one whose marker is not replicated.
 * 3. A producer epoch never goes back; sequence numbers of an epoch follow each other; the last five batches are recognised.
 */
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import type { BrokerError, Marker, NewBatch } from './requests.ts'
import type { BrokerWorld } from './world.ts'

export interface StoredRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers?: readonly RecordHeader[]
}

export interface StoredBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly transactional: boolean
  readonly control: 'commit' | 'abort' | undefined
  /** Of who wrote a control batch. */
  readonly coordinatorEpoch?: number
  readonly appendedAt: number
  /** Fewer than the offsets it spans after a compaction; none in a control batch. */
  readonly records: readonly StoredRecord[]
  readonly sizeBytes: number
  /** Which transaction of the coordinator it belongs to: the truth for checkers, on no wire. */
  readonly transaction: number | undefined
}

interface ProducerState {
  epoch: number
  /** The newest that wrote a marker. */
  coordinatorEpoch: number
  nextSequence: number
  recent: { readonly first: number; readonly last: number; readonly offset: number }[]
  /** First offset of the open transaction. */
  openSince: number | undefined
  touchedAt: number
}

interface Waiting {
  readonly lastOffset: number
  readonly done: (error: BrokerError) => void
}

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
}

export class Partition {
  leader: number
  leaderEpoch = 0
  /** No leader until then. */
  leaderlessUntil = 0
  logStart = 0
  end = 0
  highWatermark = 0
  batches: StoredBatch[] = []
  aborted: AbortedTransaction[] = []
  /** What a compaction has taken away; for checkers. */
  readonly compactedAway: StoredBatch[] = []
  /** The last leader, when it has not heard of the election yet: it answers as it always did, and no follower copies from it. */
  deposed: { readonly broker: number; readonly until: number; readonly frozen: Partition } | undefined
  /** Nothing is replicated any more. */
  private isolated = false
  private readonly world: BrokerWorld
  private readonly replication: () => number
  private producers = new Map<number, ProducerState>()
  /** Decided, the marker at `lastOffset` perhaps not replicated yet. */
  private deciding: { readonly firstOffset: number; readonly lastOffset: number }[] = []
  private waiting: Waiting[] = []
  private watchers: (() => void)[] = []

  constructor(world: BrokerWorld, leader: number, replication: () => number) {
    this.world = world
    this.leader = leader
    this.replication = replication
  }

  get lastStable(): number {
    let stable = this.highWatermark
    for (const { openSince } of this.producers.values())
      if (openSince !== undefined && openSince < stable) stable = openSince
    for (const { firstOffset } of this.deciding) if (firstOffset < stable) stable = firstOffset
    return stable
  }

  /** Records as they were written, in order. */
  get everWritten(): readonly StoredBatch[] {
    return this.compactedAway.concat(this.batches)
  }

  /** A transaction of just this epoch: one of the epoch before may be waiting for its marker. */
  isOpen(producerId: number, producerEpoch: number): boolean {
    const state = this.producers.get(producerId)
    return state?.openSince !== undefined && state.epoch === producerEpoch
  }

  /** Calls back once when something becomes visible, or the leader changes. */
  watch(callback: () => void): void {
    this.watchers.push(callback)
  }

  /** Answers through `done` once it is replicated; at once when it is refused. */
  append(
    batch: NewBatch,
    transaction: number | undefined,
    done: (error: BrokerError, baseOffset: number) => void
  ): void {
    const { producerId } = batch
    if (producerId >= 0) {
      const checked = this.check(batch)
      if (checked.kind === 'refused') return done(checked.error, -1)
      if (checked.kind === 'duplicate') {
        reached('broker: duplicate batch recognised')
        return this.whenReplicated(checked.offset + batch.records.length - 1, error => done(error, checked.offset))
      }
    }
    const baseOffset = this.end
    this.store({
      baseOffset,
      lastOffset: baseOffset + batch.records.length - 1,
      leaderEpoch: this.leaderEpoch,
      producerId,
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      transactional: batch.transactional,
      control: undefined,
      appendedAt: this.world.now(),
      records: batch.records.map((record, i) => ({ ...record, offset: baseOffset + i })),
      sizeBytes: batch.sizeBytes,
      transaction
    })
    this.whenReplicated(this.end - 1, error => done(error, baseOffset))
  }

  private check(
    batch: NewBatch
  ): { kind: 'accepted' } | { kind: 'refused'; error: BrokerError } | { kind: 'duplicate'; offset: number } {
    const state = this.producers.get(batch.producerId)
    if (state === undefined) return { kind: 'accepted' }
    if (batch.producerEpoch < state.epoch) return { kind: 'refused', error: 'INVALID_PRODUCER_EPOCH' }
    if (batch.producerEpoch > state.epoch) {
      if (batch.baseSequence === 0) return { kind: 'accepted' }
      return { kind: 'refused', error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }
    }
    const last = batch.baseSequence + batch.records.length - 1
    const known = state.recent.find(each => each.first === batch.baseSequence && each.last === last)
    if (known !== undefined) return { kind: 'duplicate', offset: known.offset }
    if (batch.baseSequence !== state.nextSequence) return { kind: 'refused', error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }
    return { kind: 'accepted' }
  }

  /** A commit or abort marker from the transaction coordinator. */
  mark({ producerId, producerEpoch, coordinatorEpoch, commit }: Marker, done: (error: BrokerError) => void): void {
    const state = this.producers.get(producerId)
    if (state !== undefined && producerEpoch < state.epoch) return done('INVALID_PRODUCER_EPOCH')
    if (state !== undefined && coordinatorEpoch < state.coordinatorEpoch) {
      reached('broker: a marker of a deposed coordinator')
      return done('TRANSACTION_COORDINATOR_FENCED')
    }
    this.store({
      baseOffset: this.end,
      lastOffset: this.end,
      leaderEpoch: this.leaderEpoch,
      producerId,
      producerEpoch,
      baseSequence: -1,
      transactional: true,
      control: commit ? 'commit' : 'abort',
      coordinatorEpoch,
      appendedAt: this.world.now(),
      records: [],
      sizeBytes: 78,
      transaction: undefined
    })
    this.whenReplicated(this.end - 1, done)
  }

  private store(batch: StoredBatch): void {
    this.batches.push(batch)
    this.end = batch.lastOffset + 1
    this.apply(batch)
    const { end, leaderEpoch } = this
    if (this.isolated) return
    this.world.schedule(this.replication(), () => {
      if (this.leaderEpoch === leaderEpoch) this.advance(end)
    })
  }

  /** What the batch means for its producer; also used to build everything anew from the log. */
  private apply(batch: StoredBatch): void {
    if (batch.producerId < 0) return
    let state = this.producers.get(batch.producerId)
    if (state === undefined || batch.producerEpoch > state.epoch) {
      // An open transaction of an older epoch is ended by its marker, whatever came in between.
      const { openSince, coordinatorEpoch = 0 } = state ?? {}
      state = { epoch: batch.producerEpoch, coordinatorEpoch, nextSequence: 0, recent: [], openSince, touchedAt: 0 }
      this.producers.set(batch.producerId, state)
    }
    state.touchedAt = batch.appendedAt
    if (batch.control !== undefined) {
      state.coordinatorEpoch = Math.max(state.coordinatorEpoch, batch.coordinatorEpoch ?? 0)
      if (state.openSince === undefined) return
      const span = { firstOffset: state.openSince, lastOffset: batch.lastOffset }
      this.deciding.push(span)
      if (batch.control === 'abort') this.aborted.push({ producerId: batch.producerId, ...span })
      state.openSince = undefined
      return
    }
    const count = batch.lastOffset - batch.baseOffset + 1
    state.nextSequence = batch.baseSequence + count
    const known = { first: batch.baseSequence, last: batch.baseSequence + count - 1, offset: batch.baseOffset }
    state.recent = [...state.recent.slice(-4), known]
    if (batch.transactional) state.openSince ??= batch.baseOffset
  }

  private whenReplicated(lastOffset: number, done: (error: BrokerError) => void): void {
    if (lastOffset < this.highWatermark) return done('NONE')
    this.waiting.push({ lastOffset, done })
  }

  private advance(to: number): void {
    if (to <= this.highWatermark) return
    this.highWatermark = to
    this.deciding = this.deciding.filter(({ lastOffset }) => lastOffset >= to)
    const ready = this.waiting.filter(({ lastOffset }) => lastOffset < to)
    this.waiting = this.waiting.filter(({ lastOffset }) => lastOffset >= to)
    for (const { done } of ready) done('NONE')
    this.wake()
  }

  private wake(): void {
    for (const watcher of this.watchers.splice(0)) watcher()
  }

  /** Another replica leads, and this one does not know. */
  depose(leader: number, until: number): boolean {
    const frozen = new Partition(this.world, this.leader, this.replication)
    frozen.isolated = true
    frozen.leaderEpoch = this.leaderEpoch
    frozen.logStart = this.logStart
    for (const batch of this.batches) {
      frozen.batches.push(batch)
      frozen.apply(batch)
    }
    frozen.end = this.end
    frozen.highWatermark = this.highWatermark
    frozen.deciding = frozen.deciding.filter(({ lastOffset }) => lastOffset >= frozen.highWatermark)
    this.deposed = { broker: this.leader, until, frozen }
    return this.changeLeader(leader, 0)
  }

  /** Another replica leads: it has what was acknowledged, and nothing more. True when something was forgotten. */
  changeLeader(leader: number, leaderlessUntil: number): boolean {
    this.leader = leader
    this.leaderEpoch++
    this.leaderlessUntil = leaderlessUntil
    const forgets = this.end > this.highWatermark
    if (forgets) {
      this.batches = this.batches.filter(({ baseOffset }) => baseOffset < this.highWatermark)
      this.end = this.highWatermark
      this.producers = new Map()
      this.deciding = []
      this.aborted = []
      for (const batch of this.batches) this.apply(batch)
      this.deciding = []
    }
    for (const { done } of this.waiting.splice(0)) done('NOT_LEADER_OR_FOLLOWER')
    this.wake()
    return forgets
  }

  /** Index of the first batch that ends at or behind the offset. */
  indexOf(offset: number): number {
    let low = 0
    for (let high = this.batches.length; low < high;) {
      const middle = (low + high) >> 1
      if ((this.batches[middle] as StoredBatch).lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  read(offset: number, limit: number, maxBytes: number): StoredBatch[] {
    const found: StoredBatch[] = []
    let bytes = 0
    for (let i = this.indexOf(offset); i < this.batches.length; i++) {
      const batch = this.batches[i] as StoredBatch
      if (batch.baseOffset >= limit || (found.length > 0 && bytes + batch.sizeBytes > maxBytes)) break
      found.push(batch)
      bytes += batch.sizeBytes
    }
    return found
  }

  /** Forgets producers that have been silent. */
  expireProducers(before: number): number {
    let count = 0
    for (const [producerId, state] of this.producers)
      if (state.openSince === undefined && state.touchedAt < before) {
        this.producers.delete(producerId)
        count++
      }
    return count
  }

  /** Keeps the newest committed record of each key below the last stable offset, and every marker. */
  compact(): void {
    const limit = this.lastStable
    const newest = new Map<string, number>()
    const isAborted = (batch: StoredBatch): boolean =>
      batch.transactional &&
      this.aborted.some(
        each =>
          each.producerId === batch.producerId &&
          each.firstOffset <= batch.baseOffset &&
          batch.lastOffset < each.lastOffset
      )
    const keyOf = (key: Uint8Array | undefined): string => (key === undefined ? '' : new TextDecoder().decode(key))
    for (const batch of this.batches)
      if (batch.lastOffset < limit && !isAborted(batch))
        for (const { key, offset } of batch.records) newest.set(keyOf(key), offset)
    this.batches = this.batches
      .map(batch => {
        if (batch.control !== undefined || batch.lastOffset >= limit) return batch
        const records = batch.records.filter(({ key, offset }) => newest.get(keyOf(key)) === offset)
        if (records.length === batch.records.length) return batch
        const gone = batch.records.filter(record => !records.includes(record))
        this.compactedAway.push({ ...batch, records: gone })
        return { ...batch, records }
      })
      .filter(({ control, records }) => control !== undefined || records.length > 0)
  }
}
