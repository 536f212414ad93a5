/**
 * A log like Kafka: several brokers over one truth, in virtual time.
 *
 * `handle` is what a broker does with one request; `call` puts the way there and back, and the faults, around it. Everything a checker
 * may know without asking a broker is in `committed`.
 *
 * 1. Nothing here takes real time or chance of its own: completions come from the world, decisions from the stream that was given.
 * 2. A client hears of nothing that is not on all replicas.
 */
import type { Prng } from '../../runtime/kernel/prng.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import { committedOf, type CommittedRecord } from './committed.ts'
import { TransactionCoordinator } from './coordinator.ts'
import { RequestFaults, type BrokerFault } from './faults.ts'
import { GroupOffsets } from './groups.ts'
import { handlers, notFetched } from './handlers.ts'
import { Partition } from './partition.ts'
import type { CallKind, Marker, Reply, Request, TopicPartition } from './requests.ts'
import { resolveBrokerOptions, type BrokerOptions, type Deliver, type ResolvedBrokerOptions } from './world.ts'

export interface TopicOptions {
  readonly partitions: number
  /** `max.message.bytes`. */
  readonly maxBatchBytes?: number
  /** Only the newest record of each key is kept for ever. */
  readonly compacted?: boolean
}

export interface Topic {
  readonly name: string
  readonly partitions: Partition[]
  readonly configs: Readonly<Record<string, string>>
  readonly maxBatchBytes: number
}

const failoverMs = 3_000

export class BrokerCluster {
  readonly options: ResolvedBrokerOptions
  readonly faults: RequestFaults
  readonly topics = new Map<string, Topic>()
  readonly coordinator: TransactionCoordinator
  readonly groups = new GroupOffsets()
  /** What was sent to the brokers and is no request. */
  readonly malformed: string[] = []
  /** Brokers that are gone, until when. */
  private readonly down = new Map<number, number>()
  private readonly coordinators = new Map<string, { broker: number; loadingUntil: number }>()
  private readonly prng: Prng
  private scanning = false

  constructor(options: BrokerOptions) {
    this.options = resolveBrokerOptions(options)
    this.prng = options.prng.fork('times')
    this.faults = new RequestFaults(options.prng.fork('faults'))
    const { world, firstProducerEpoch, transactionalIdExpirationMs } = this.options
    this.coordinator = new TransactionCoordinator(
      {
        now: () => world.now(),
        retryLater: callback => world.schedule(100, callback),
        mark: (at, marker, done) => this.mark(at, marker, done),
        markGroup: (group, marker, done) =>
          world.schedule(this.markerMs(), () => {
            this.groups.mark(group, marker, world.now())
            done(true)
          })
      },
      { firstEpoch: firstProducerEpoch, idExpirationMs: transactionalIdExpirationMs }
    )
  }

  createTopic(name: string, options: TopicOptions): void {
    const { brokers, world, replicationMs } = this.options
    const maxBatchBytes = options.maxBatchBytes ?? 1_048_588
    this.topics.set(name, {
      name,
      partitions: Array.from(
        { length: options.partitions },
        (_, i) => new Partition(world, i % brokers, () => 1 + this.prng.int(replicationMs))
      ),
      maxBatchBytes,
      configs: {
        'max.message.bytes': String(maxBatchBytes),
        'cleanup.policy': options.compacted === true ? 'compact' : 'delete',
        'min.insync.replicas': '2'
      }
    })
  }

  partition({ topic, partition }: TopicPartition): Partition | undefined {
    return this.topics.get(topic)?.partitions[partition]
  }

  get now(): number {
    return this.options.world.now()
  }

  isDown(broker: number): boolean {
    return (this.down.get(broker) ?? 0) > this.now
  }

  /** Who coordinates the transactional id. */
  coordinatorOf(transactionalId: string): { broker: number; loadingUntil: number } {
    let found = this.coordinators.get(transactionalId)
    if (found === undefined) {
      let sum = 0
      for (let i = 0; i < transactionalId.length; i++) sum = (sum * 31 + transactionalId.charCodeAt(i)) % 1_000_003
      found = { broker: sum % this.options.brokers, loadingUntil: 0 }
      this.coordinators.set(transactionalId, found)
    }
    return found
  }

  /** What a broker does with a request; `broker` undefined = whoever is responsible. Replies at most once. */
  handle<K extends CallKind>(kind: K, request: Request<K>, reply: (answer: Reply<K>) => void, broker?: number): void {
    this.wakeScan()
    handlers[kind](this, request, reply, broker)
  }

  /** One request from a client's process to whoever is responsible, through everything that can go wrong. */
  call<K extends CallKind>(kind: K, request: Request<K>, deliver: Deliver, reply: (answer: Reply<K>) => void): void {
    const { world } = this.options
    const treatment = this.faults.treat(kind, this.now)
    world.schedule(this.latency() + treatment.delayMs, () => {
      if (treatment.before !== undefined) return answer(failed(kind, request, treatment.before))
      this.handle(kind, request, got =>
        answer(treatment.after === undefined ? got : failed(kind, request, treatment.after))
      )
    })
    const answer = (got: Reply<K>): void => {
      if (treatment.loseReply) return
      world.schedule(this.latency(), () => deliver(() => reply(got)))
    }
  }

  latency(): number {
    return 0.5 + this.prng.next() * this.options.latencyMs
  }

  private markerMs(): number {
    return 0.5 + this.prng.next() * this.options.markerMs + this.faults.markerDelay(this.now)
  }

  private mark(at: TopicPartition, marker: Marker, done: (written: boolean) => void): void {
    this.options.world.schedule(this.markerMs(), () => {
      const partition = this.partition(at)
      if (partition === undefined) return done(true)
      if (partition.leaderlessUntil > this.now || this.isDown(partition.leader)) return done(false)
      // Who is deposed has stopped, whatever it is told.
      partition.mark(marker, error => done(error === 'NONE' || error === 'INVALID_PRODUCER_EPOCH'))
    })
  }

  /** The periodic work of the brokers runs only while somebody asks for something: an idle world has no events. */
  private wakeScan(): void {
    if (this.scanning) return
    this.scanning = true
    this.options.world.schedule(
      this.options.scanMs,
      () => {
        this.scanning = false
        if (this.scan() > 0) this.wakeScan()
      },
      'broker scan'
    )
  }

  /** Times transactions out and forgets what has expired. Answers what is still open. */
  private scan(): number {
    const { offsetsRetentionMs, producerIdExpirationMs } = this.options
    this.coordinator.scan()
    if (this.groups.expire(this.now - offsetsRetentionMs) > 0) reached('broker: group offsets expired')
    for (const { partitions, configs } of this.topics.values())
      for (const partition of partitions) {
        if (partition.expireProducers(this.now - producerIdExpirationMs) > 0) reached('broker: producer state expired')
        if (configs['cleanup.policy'] === 'compact') partition.compact()
      }
    return this.coordinator.openCount
  }

  /** Makes a fault part of the world for a while. */
  inject(fault: BrokerFault, durationMs: number): void {
    const { world, brokers } = this.options
    const until = this.now + durationMs
    switch (fault.kind) {
      case 'outage': {
        const broker = fault.broker % brokers
        this.faults.hit('outage')
        this.down.set(broker, until)
        world.schedule(Math.min(failoverMs, durationMs), () => this.moveFrom(broker))
        return
      }
      case 'leader-change': {
        const partition = this.partition(fault)
        if (partition === undefined) return
        this.faults.hit('leader-change')
        if (partition.changeLeader(this.another(partition.leader), until))
          reached('broker: new leader forgets the unacknowledged')
        return
      }
      case 'deposed-leader': {
        const partition = this.partition(fault)
        if (partition === undefined || partition.leaderlessUntil > this.now) return
        this.faults.hit('deposed-leader')
        partition.depose(this.another(partition.leader), until)
        return
      }
      case 'coordinator-change': {
        this.faults.hit('coordinator-change')
        const moves = (id: string): boolean => fault.transactionalId === undefined || fault.transactionalId === id
        this.moveCoordinators(moves, until)
        return
      }
      case 'hanging-transaction': {
        const partition = this.partition(fault)
        if (partition === undefined || partition.leaderlessUntil > this.now) return
        this.faults.hit('hanging-transaction')
        this.hang(fault, partition, durationMs)
        return
      }
      default:
        this.faults.add(fault, until)
    }
  }

  private another(broker: number): number {
    const { brokers } = this.options
    for (let i = 1; i < brokers; i++) {
      const candidate = (broker + i) % brokers
      if (!this.isDown(candidate)) return candidate
    }
    return broker
  }

  private moveFrom(broker: number): void {
    for (const { partitions } of this.topics.values())
      for (const partition of partitions)
        if (partition.leader === broker) partition.changeLeader(this.another(broker), this.now)
    this.moveCoordinators(id => this.coordinatorOf(id).broker === broker, this.now + 50)
  }

  private moveCoordinators(moves: (id: string) => boolean, loadingUntil: number): void {
    const moved = new Set([...this.coordinators.keys()].filter(moves))
    for (const id of moved) {
      const found = this.coordinatorOf(id)
      found.broker = this.another(found.broker)
      found.loadingUntil = loadingUntil
    }
    this.options.world.schedule(loadingUntil - this.now, () => this.coordinator.takeOver(id => moved.has(id)))
  }

  private hang(at: TopicPartition, partition: Partition, durationMs: number): void {
    const producerId = this.coordinator.allocate()
    const value = new TextEncoder().encode('hanging')
    const batch = { ...at, producerId, producerEpoch: 0, baseSequence: 0, transactional: true, sizeBytes: 100 }
    partition.append({ ...batch, records: [{ timestamp: 0, key: value, value }] }, undefined, () => undefined)
    const end = (): void => {
      if (partition.isOpen(producerId, 0))
        partition.mark({ producerId, producerEpoch: 0, coordinatorEpoch: 0, commit: false }, error => {
          if (error !== 'NONE') this.options.world.schedule(100, end)
        })
    }
    this.options.world.schedule(durationMs, end)
  }

  /** Every fault ends now. */
  heal(): void {
    this.faults.clear()
    this.down.clear()
    for (const { partitions } of this.topics.values())
      for (const partition of partitions) {
        partition.leaderlessUntil = 0
        partition.deposed = undefined
      }
  }

  /** Every record that is committed, by partition and offset: the truth, read past the high watermark and without any client. */
  committed(topic: string): CommittedRecord[] {
    return committedOf(this.topics, topic)
  }
}

/** The reply in which everything is refused. */
export function failed<K extends CallKind>(kind: K, request: Request<K>, error: Reply<'EndTxn'>['error']): Reply<K> {
  const replies: { readonly [Kind in CallKind]: (request: Request<Kind>) => Reply<Kind> } = {
    Metadata: ({ topics = [] }) => ({ brokers: [], topics: topics.map(topic => ({ topic, error, partitions: [] })) }),
    DescribeConfigs: () => ({ error, configs: {} }),
    FindCoordinator: () => ({ error, broker: -1 }),
    InitProducerId: () => ({ error, producerId: -1, producerEpoch: -1 }),
    AddPartitionsToTxn: () => ({ error }),
    AddOffsetsToTxn: () => ({ error }),
    Produce: ({ batches }) => ({
      partitions: batches.map(({ topic, partition }) => ({ topic, partition, error, baseOffset: -1 }))
    }),
    TxnOffsetCommit: () => ({ error }),
    OffsetCommit: () => ({ error }),
    EndTxn: () => ({ error, producerId: -1, producerEpoch: -1 }),
    ListOffsets: () => ({ error, offset: -1 }),
    Fetch: ({ places }) => ({ partitions: places.map(() => notFetched(error)) })
  }
  return replies[kind](request)
}
