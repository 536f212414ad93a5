/**
 * The transaction coordinator of the simulated log, after Kafka 4.0 (RELIABILITY.md, D1).
 *
 *     Empty ──add──▶ Ongoing ──EndTxn──▶ PrepareCommit ──markers──▶ CompleteCommit ──add──▶ Ongoing …
 *                      └─EndTxn, time-out, InitProducerId─▶ PrepareAbort ──markers──▶ CompleteAbort
 *
 * 1. EndTxn is answered when the decision is logged, before any marker is written.
 * 2. InitProducerId answers success only when nothing is undecided and every marker is acknowledged.
 * 3. Version 1: the epoch moves with InitProducerId only, so a late EndTxn may decide the next transaction (KAFKA-17754).
 *    Version 2: it moves with every end; a repeated end is recognised by the epoch before.
 * 4. An epoch about to run over takes a new producer id.
 * 5. Markers carry the coordinator's own epoch: who wrote a newer one takes none of a coordinator that was deposed, however long they were on
 *    their way. Without that they would end the owner's next transaction.
 */
import { reached } from '../../runtime/kernel/marks.ts'
import type { BrokerError, Marker, Reply, Request, TopicPartition } from './requests.ts'

export type TransactionState =
  'Empty' | 'Ongoing' | 'PrepareCommit' | 'PrepareAbort' | 'CompleteCommit' | 'CompleteAbort'

interface Transaction {
  readonly transactionalId: string
  producerId: number
  producerEpoch: number
  /** The epoch before, when the owner itself moved it: its repeated request is answered, not refused. */
  lastEpoch: number
  /** Taken when the markers are written: the epoch was about to run over. */
  nextProducerId: number | undefined
  /** The id before a rotation, for a repeated end. */
  previousProducerId: number
  state: TransactionState
  partitions: Map<string, TopicPartition>
  groups: Set<string>
  timeoutMs: number
  startedAt: number
  touchedAt: number
  /** Counts transactions over the whole cluster; the truth for checkers. */
  serial: number
  /** Which writing of markers is the newest; older ones stop. */
  round: number
  /** How often its coordination has moved from one broker to another. */
  coordinatorEpoch: number
}

export interface MarkerTarget {
  /** Calls back when the marker is on all replicas, or can never be needed. */
  mark(at: TopicPartition, marker: Marker, done: (written: boolean) => void): void
  markGroup(group: string, marker: Marker, done: (written: boolean) => void): void
  retryLater(callback: () => void): void
  now(): number
}

/** The largest a client may use; the next is for markers of the coordinator alone. */
const largestEpoch = 32766

export class TransactionCoordinator {
  /** Every transaction that was decided to be committed, in that order: the truth for checkers. */
  readonly commits: { readonly transaction: number; readonly atMs: number }[] = []
  private readonly transactions = new Map<string, Transaction>()
  private readonly byProducer = new Map<number, Transaction>()
  private readonly target: MarkerTarget
  private readonly firstEpoch: number
  private readonly idExpirationMs: number
  private nextProducerId = 1000
  private nextSerial = 1

  constructor(target: MarkerTarget, options: { firstEpoch: number; idExpirationMs: number }) {
    this.target = target
    this.firstEpoch = options.firstEpoch
    this.idExpirationMs = options.idExpirationMs
  }

  stateOf(transactionalId: string): TransactionState | undefined {
    return this.transactions.get(transactionalId)?.state
  }

  allocate(): number {
    return this.nextProducerId++
  }

  initialise(request: Request<'InitProducerId'>): Reply<'InitProducerId'> {
    const refused = (error: BrokerError): Reply<'InitProducerId'> => ({ error, producerId: -1, producerEpoch: -1 })
    if (request.timeoutMs <= 0 || request.timeoutMs > 15 * 60_000) return refused('INVALID_TRANSACTION_TIMEOUT')
    let found = this.transactions.get(request.transactionalId)
    if (found === undefined) {
      found = this.begin(request)
      return { error: 'NONE', producerId: found.producerId, producerEpoch: found.producerEpoch }
    }
    // As in Kafka the first question: an epoch that runs over takes its new id only when the markers are written.
    if (found.state === 'PrepareCommit' || found.state === 'PrepareAbort') {
      reached('broker: initialised while markers are written')
      return refused('CONCURRENT_TRANSACTIONS')
    }
    const expects = request.producerId >= 0
    if (expects && request.producerId !== found.producerId && request.producerId !== found.previousProducerId)
      return refused('PRODUCER_FENCED')
    const isCurrent = request.producerId === found.producerId && request.producerEpoch === found.producerEpoch
    const isRepeated = request.producerEpoch === found.lastEpoch && found.lastEpoch >= 0
    if (expects && !isCurrent && !isRepeated) return refused('PRODUCER_FENCED')
    if (found.state === 'Ongoing') {
      reached('broker: initialised while a transaction is open')
      this.fence(found)
      return refused('CONCURRENT_TRANSACTIONS')
    }
    found.timeoutMs = request.timeoutMs
    found.touchedAt = this.target.now()
    if (expects && !isCurrent)
      return { error: 'NONE', producerId: found.producerId, producerEpoch: found.producerEpoch }
    const before = found.producerEpoch
    if (before >= largestEpoch) this.rotate(found)
    else found.producerEpoch++
    // Who names its identity may ask again; somebody new takes it over, and nobody may go on with the old one.
    found.lastEpoch = expects ? before : -1
    found.state = 'Empty'
    return { error: 'NONE', producerId: found.producerId, producerEpoch: found.producerEpoch }
  }

  private begin(request: Request<'InitProducerId'>): Transaction {
    const transaction: Transaction = {
      transactionalId: request.transactionalId,
      producerId: this.allocate(),
      producerEpoch: this.firstEpoch,
      lastEpoch: -1,
      nextProducerId: undefined,
      previousProducerId: -1,
      state: 'Empty',
      partitions: new Map(),
      groups: new Set(),
      timeoutMs: request.timeoutMs,
      startedAt: 0,
      touchedAt: this.target.now(),
      serial: 0,
      round: 0,
      coordinatorEpoch: 0
    }
    this.transactions.set(request.transactionalId, transaction)
    this.byProducer.set(transaction.producerId, transaction)
    return transaction
  }

  private rotate(transaction: Transaction): void {
    reached('broker: producer epoch ran over')
    this.byProducer.delete(transaction.producerId)
    transaction.previousProducerId = transaction.producerId
    transaction.producerId = transaction.nextProducerId ?? this.allocate()
    transaction.nextProducerId = undefined
    transaction.lastEpoch = transaction.producerEpoch
    transaction.producerEpoch = 0
    this.byProducer.set(transaction.producerId, transaction)
  }

  private find(
    transactionalId: string,
    producerId: number,
    producerEpoch: number
  ): { readonly transaction: Transaction } | { readonly error: BrokerError } {
    const transaction = this.transactions.get(transactionalId)
    if (transaction?.producerId !== producerId) return { error: 'INVALID_PRODUCER_ID_MAPPING' }
    if (transaction.producerEpoch !== producerEpoch) return { error: 'PRODUCER_FENCED' }
    return { transaction }
  }

  addPartitions(request: Request<'AddPartitionsToTxn'>): BrokerError {
    return this.add(request.transactionalId, request.producerId, request.producerEpoch, transaction => {
      for (const at of request.partitions) transaction.partitions.set(`${at.topic}/${at.partition}`, at)
    })
  }

  addGroup(request: Request<'AddOffsetsToTxn'>): BrokerError {
    return this.add(request.transactionalId, request.producerId, request.producerEpoch, transaction =>
      transaction.groups.add(request.group)
    )
  }

  private add(id: string, producerId: number, epoch: number, change: (transaction: Transaction) => void): BrokerError {
    if (this.stateOf(id)?.startsWith('Prepare') === true) return 'CONCURRENT_TRANSACTIONS'
    const found = this.find(id, producerId, epoch)
    if ('error' in found) return found.error
    const { transaction } = found
    if (transaction.state !== 'Ongoing') {
      transaction.state = 'Ongoing'
      transaction.startedAt = this.target.now()
      transaction.serial = this.nextSerial++
      transaction.partitions.clear()
      transaction.groups.clear()
    }
    transaction.touchedAt = this.target.now()
    change(transaction)
    return 'NONE'
  }

  /** Which transaction of the coordinator a write of this producer belongs to, if it belongs to one. */
  serialOf(producerId: number, producerEpoch: number): number | undefined {
    const transaction = this.byProducer.get(producerId)
    if (transaction?.state !== 'Ongoing' || transaction.producerEpoch !== producerEpoch) return undefined
    return transaction.serial
  }

  /** What a leader asks before it takes the first write of a transaction (Kafka 3.6). */
  verify(transactionalId: string, producerId: number, producerEpoch: number, at: TopicPartition): BrokerError {
    const found = this.find(transactionalId, producerId, producerEpoch)
    if ('error' in found) return found.error === 'PRODUCER_FENCED' ? 'INVALID_PRODUCER_EPOCH' : found.error
    const { state, partitions } = found.transaction
    if (state === 'PrepareCommit' || state === 'PrepareAbort') return 'CONCURRENT_TRANSACTIONS'
    if (state !== 'Ongoing' || !partitions.has(`${at.topic}/${at.partition}`)) return 'INVALID_TXN_STATE'
    return 'NONE'
  }

  end(request: Request<'EndTxn'>): Reply<'EndTxn'> {
    const { producerId, producerEpoch, commit } = request
    const answer = (error: BrokerError): Reply<'EndTxn'> => ({ error, producerId: -1, producerEpoch: -1 })
    const transaction = this.transactions.get(request.transactionalId)
    if (transaction === undefined) return answer('INVALID_PRODUCER_ID_MAPPING')
    const current = (error: BrokerError): Reply<'EndTxn'> => ({
      error,
      producerId: transaction.nextProducerId ?? transaction.producerId,
      producerEpoch: transaction.nextProducerId === undefined ? transaction.producerEpoch : 0
    })
    if (request.version === 2 && this.isRepeatedEnd(transaction, producerId, producerEpoch)) {
      reached('broker: repeated end recognised')
      if (transaction.state === (commit ? 'CompleteCommit' : 'CompleteAbort')) return current('NONE')
      if (transaction.state === (commit ? 'PrepareCommit' : 'PrepareAbort')) return answer('CONCURRENT_TRANSACTIONS')
      return answer('INVALID_TXN_STATE')
    }
    const found = this.find(request.transactionalId, producerId, producerEpoch)
    if ('error' in found) return answer(found.error)
    switch (transaction.state) {
      case 'Ongoing':
        this.decide(transaction, commit, request.version)
        return current('NONE')
      case 'CompleteCommit':
        if (request.version === 1 && commit) reached('broker: end of an ended transaction')
        return answer(request.version === 1 && commit ? 'NONE' : 'INVALID_TXN_STATE')
      case 'CompleteAbort':
        return answer(request.version === 1 && !commit ? 'NONE' : 'INVALID_TXN_STATE')
      case 'PrepareCommit':
        return answer(commit ? 'CONCURRENT_TRANSACTIONS' : 'INVALID_TXN_STATE')
      case 'PrepareAbort':
        return answer(commit ? 'INVALID_TXN_STATE' : 'CONCURRENT_TRANSACTIONS')
      case 'Empty':
        return answer('INVALID_TXN_STATE')
    }
  }

  private isRepeatedEnd(transaction: Transaction, producerId: number, producerEpoch: number): boolean {
    if (transaction.state === 'Ongoing' || transaction.state === 'Empty') return false
    if (producerId === transaction.producerId) return producerEpoch === transaction.producerEpoch - 1
    return producerId === transaction.previousProducerId && producerEpoch === transaction.lastEpoch - 1
  }

  private decide(transaction: Transaction, commit: boolean, version: 1 | 2): void {
    if (version === 2) {
      if (transaction.producerEpoch >= largestEpoch) transaction.nextProducerId = this.allocate()
      transaction.lastEpoch = transaction.producerEpoch
      transaction.producerEpoch++
    }
    this.prepare(transaction, commit)
  }

  /** Ends what a silent or older owner left open, under an epoch of which it knows nothing. */
  private fence(transaction: Transaction): void {
    if (transaction.producerEpoch >= largestEpoch) transaction.nextProducerId = this.allocate()
    transaction.producerEpoch++
    transaction.lastEpoch = -1
    this.prepare(transaction, false)
  }

  private prepare(transaction: Transaction, commit: boolean): void {
    transaction.state = commit ? 'PrepareCommit' : 'PrepareAbort'
    transaction.touchedAt = this.target.now()
    if (commit) this.commits.push({ transaction: transaction.serial, atMs: this.target.now() })
    this.writeMarkers(transaction)
  }

  private writeMarkers(transaction: Transaction): void {
    const round = ++transaction.round
    const commit = transaction.state === 'PrepareCommit'
    const { producerId, producerEpoch, coordinatorEpoch } = transaction
    const marker = { producerId, producerEpoch, coordinatorEpoch, commit }
    let missing = transaction.partitions.size + transaction.groups.size
    const attempt = (write: (done: (written: boolean) => void) => void): void => {
      if (transaction.round !== round) return
      write(written => {
        if (transaction.round !== round) return
        if (!written) {
          reached('broker: marker written again')
          return this.target.retryLater(() => attempt(write))
        }
        if (--missing === 0) this.complete(transaction)
      })
    }
    if (missing === 0) this.complete(transaction)
    for (const at of transaction.partitions.values()) attempt(done => this.target.mark(at, marker, done))
    for (const group of transaction.groups) attempt(done => this.target.markGroup(group, marker, done))
  }

  private complete(transaction: Transaction): void {
    transaction.round++
    transaction.state = transaction.state === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort'
    transaction.touchedAt = this.target.now()
    if (transaction.nextProducerId !== undefined) this.rotate(transaction)
  }

  /** Another broker has taken over: what was being written is written again, from the log. */
  takeOver(ids: (transactionalId: string) => boolean): void {
    for (const transaction of this.transactions.values()) {
      if (!ids(transaction.transactionalId)) continue
      transaction.coordinatorEpoch++
      if (!transaction.state.startsWith('Prepare')) continue
      reached('broker: new coordinator writes markers again')
      this.writeMarkers(transaction)
    }
  }

  /** Decided transactions whose markers are not all written. */
  get undecidedMarkers(): number {
    let count = 0
    for (const { state } of this.transactions.values()) if (state.startsWith('Prepare')) count++
    return count
  }

  /** Producers whose transactions are decided to be committed, though markers are missing. */
  get committing(): ReadonlySet<number> {
    const transactions = [...this.transactions.values()]
    return new Set(transactions.filter(({ state }) => state === 'PrepareCommit').map(({ producerId }) => producerId))
  }

  /** Every ten seconds. Answers how many transactions were timed out. */
  scan(): number {
    const now = this.target.now()
    let count = 0
    for (const transaction of [...this.transactions.values()])
      if (transaction.state === 'Ongoing' && now - transaction.startedAt > transaction.timeoutMs) {
        reached('broker: transaction timed out')
        this.fence(transaction)
        count++
      } else if (!transaction.state.startsWith('Prepare') && transaction.state !== 'Ongoing')
        if (now - transaction.touchedAt > this.idExpirationMs) {
          reached('broker: transactional id expired')
          this.transactions.delete(transaction.transactionalId)
          this.byProducer.delete(transaction.producerId)
        }
    return count
  }

  /** Transactions that are not decided, or whose markers are missing. */
  get openCount(): number {
    let count = 0
    for (const { state } of this.transactions.values()) if (state === 'Ongoing' || state.startsWith('Prepare')) count++
    return count
  }
}
