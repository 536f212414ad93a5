/** What a broker answers to each kind of request. */
import { reached } from '../../runtime/kernel/marks.ts'
import type { BrokerCluster } from './broker-cluster.ts'
import type { Partition } from './partition.ts'
import type {
  BrokerError,
  CallKind,
  FetchedPartition,
  FetchPlace,
  NewBatch,
  Reply,
  Request,
  TopicPartition
} from './requests.ts'

type Handler<K extends CallKind> = (
  cluster: BrokerCluster,
  request: Request<K>,
  reply: (answer: Reply<K>) => void,
  broker: number | undefined
) => void

/** The partition, when this broker leads it now. */
function led(cluster: BrokerCluster, at: TopicPartition, broker: number | undefined): Partition | BrokerError {
  const partition = cluster.partition(at)
  if (partition === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION'
  const { deposed } = partition
  if (deposed !== undefined && deposed.broker === broker && deposed.until > cluster.now) {
    reached('broker: asked a deposed leader')
    return deposed.frozen
  }
  if (partition.leaderlessUntil > cluster.now) {
    reached('broker: no leader')
    return 'NOT_LEADER_OR_FOLLOWER'
  }
  if (cluster.isDown(partition.leader)) return 'NOT_LEADER_OR_FOLLOWER'
  if (broker !== undefined && broker !== partition.leader) {
    reached('broker: asked one that does not lead')
    return 'NOT_LEADER_OR_FOLLOWER'
  }
  return partition
}

function coordinates(cluster: BrokerCluster, transactionalId: string, broker: number | undefined): BrokerError {
  const found = cluster.coordinatorOf(transactionalId)
  if (cluster.isDown(found.broker)) return 'COORDINATOR_NOT_AVAILABLE'
  if (broker !== undefined && broker !== found.broker) {
    reached('broker: asked one that does not coordinate')
    return 'NOT_COORDINATOR'
  }
  if (found.loadingUntil > cluster.now) {
    reached('broker: coordinator loads')
    return 'COORDINATOR_LOAD_IN_PROGRESS'
  }
  return 'NONE'
}

function produceOne(
  cluster: BrokerCluster,
  request: Request<'Produce'>,
  batch: NewBatch,
  broker: number | undefined,
  done: (error: BrokerError, baseOffset: number) => void
): void {
  const partition = led(cluster, batch, broker)
  if (typeof partition === 'string') return done(partition, -1)
  if (batch.corrupt === true) return done('CORRUPT_MESSAGE', -1)
  if (batch.sizeBytes > (cluster.topics.get(batch.topic)?.maxBatchBytes ?? 0)) return done('MESSAGE_TOO_LARGE', -1)
  const { coordinator, options } = cluster
  if (batch.transactional && !partition.isOpen(batch.producerId, batch.producerEpoch)) {
    const transactionalId = request.transactionalId ?? ''
    const at = { topic: batch.topic, partition: batch.partition }
    if (request.version === 2) {
      // KIP-890: the leader itself adds the partition.
      const { producerId, producerEpoch } = batch
      const home = coordinates(cluster, transactionalId, undefined)
      const added =
        home === 'NONE'
          ? coordinator.addPartitions({ transactionalId, producerId, producerEpoch, partitions: [at] })
          : home
      if (added !== 'NONE') return done(ofLeader(added), -1)
    } else if (options.verifiesPartitions) {
      const verified = coordinator.verify(transactionalId, batch.producerId, batch.producerEpoch, at)
      if (verified !== 'NONE') return done(verified, -1)
    }
  }
  const serial = coordinator.serialOf(batch.producerId, batch.producerEpoch)
  if (batch.transactional && serial === undefined) reached('broker: a write without a transaction')
  partition.append(batch, serial, done)
}

/** Groups have coordinators as transactional ids have; no id has a blank in it. */
const homeOf = (group: string): string => `group ${group}`

/** How a leader tells its client what the coordinator told it. */
function ofLeader(error: BrokerError): BrokerError {
  if (error === 'PRODUCER_FENCED') return 'INVALID_PRODUCER_EPOCH'
  if (error.startsWith('COORDINATOR') || error === 'NOT_COORDINATOR') return 'NOT_ENOUGH_REPLICAS'
  return error
}

export const handlers: { readonly [K in CallKind]: Handler<K> } = {
  Metadata: (cluster, { topics = [...cluster.topics.keys()] }, reply, broker) =>
    reply({
      brokers: Array.from({ length: cluster.options.brokers }, (_, i) => i).filter(broker => !cluster.isDown(broker)),
      topics: topics.map(topic => {
        const found = cluster.topics.get(topic)
        if (found === undefined) return { topic, error: 'UNKNOWN_TOPIC_OR_PARTITION', partitions: [] }
        const partitions = found.partitions.map(({ leader, leaderEpoch, leaderlessUntil, deposed }) => {
          if (deposed !== undefined && deposed.broker === broker && deposed.until > cluster.now)
            return { error: 'NONE', leader: deposed.broker, leaderEpoch: deposed.frozen.leaderEpoch } as const
          return leaderlessUntil > cluster.now || cluster.isDown(leader)
            ? ({ error: 'LEADER_NOT_AVAILABLE', leader: -1, leaderEpoch: -1 } as const)
            : ({ error: 'NONE', leader, leaderEpoch } as const)
        })
        return { topic, error: 'NONE', partitions }
      })
    }),

  DescribeConfigs: (cluster, { topic }, reply) => {
    const configs = cluster.topics.get(topic)?.configs
    reply(configs === undefined ? { error: 'UNKNOWN_TOPIC_OR_PARTITION', configs: {} } : { error: 'NONE', configs })
  },

  FindCoordinator: (cluster, request, reply) => {
    const { broker } = cluster.coordinatorOf('group' in request ? homeOf(request.group) : request.transactionalId)
    reply(cluster.isDown(broker) ? { error: 'COORDINATOR_NOT_AVAILABLE', broker: -1 } : { error: 'NONE', broker })
  },

  InitProducerId: (cluster, request, reply, broker) => {
    const error = coordinates(cluster, request.transactionalId, broker)
    reply(error === 'NONE' ? cluster.coordinator.initialise(request) : { error, producerId: -1, producerEpoch: -1 })
  },

  AddPartitionsToTxn: (cluster, request, reply, broker) => {
    const unknown = request.partitions.some(at => cluster.partition(at) === undefined)
    const error = unknown ? 'UNKNOWN_TOPIC_OR_PARTITION' : coordinates(cluster, request.transactionalId, broker)
    reply({ error: error === 'NONE' ? cluster.coordinator.addPartitions(request) : error })
  },

  AddOffsetsToTxn: (cluster, request, reply, broker) => {
    const error = coordinates(cluster, request.transactionalId, broker)
    reply({ error: error === 'NONE' ? cluster.coordinator.addGroup(request) : error })
  },

  Produce: (cluster, request, reply, broker) => {
    const partitions: Reply<'Produce'>['partitions'][number][] = []
    let missing = request.batches.length
    if (missing === 0) reply({ partitions })
    request.batches.forEach((batch, i) => {
      const { topic, partition } = batch
      produceOne(cluster, request, batch, broker, (error, baseOffset) => {
        partitions[i] = { topic, partition, error, baseOffset }
        if (--missing === 0) reply({ partitions })
      })
    })
  },

  OffsetCommit: (cluster, { group, offsets }, reply, broker) => {
    const error = coordinates(cluster, homeOf(group), broker)
    if (error !== 'NONE') return reply({ error })
    if (offsets.some(at => cluster.partition(at) === undefined)) return reply({ error: 'UNKNOWN_TOPIC_OR_PARTITION' })
    cluster.groups.commit(group, offsets, cluster.now)
    reply({ error: 'NONE' })
  },

  TxnOffsetCommit: (cluster, request, reply, broker) => {
    const home = coordinates(cluster, homeOf(request.group), broker)
    if (home !== 'NONE') return reply({ error: home })
    const { transactionalId, producerId, producerEpoch, group, offsets, version } = request
    if (offsets.some(at => cluster.partition(at) === undefined)) return reply({ error: 'UNKNOWN_TOPIC_OR_PARTITION' })
    if (version === 2) {
      const added = cluster.coordinator.addGroup({ transactionalId, producerId, producerEpoch, group })
      if (added !== 'NONE') return reply({ error: added })
    }
    const transaction = cluster.coordinator.serialOf(producerId, producerEpoch)
    if (transaction === undefined) return reply({ error: 'INVALID_PRODUCER_EPOCH' })
    cluster.groups.commitLater(group, producerId, transaction, offsets)
    reply({ error: 'NONE' })
  },

  EndTxn: (cluster, request, reply, broker) => {
    const error = coordinates(cluster, request.transactionalId, broker)
    reply(error === 'NONE' ? cluster.coordinator.end(request) : { error, producerId: -1, producerEpoch: -1 })
  },

  ListOffsets: (cluster, request, reply, broker) => {
    const partition = led(cluster, request, broker)
    if (typeof partition === 'string') return reply({ error: partition, offset: -1 })
    const { at } = request
    const latest = request.readCommitted ? partition.lastStable : partition.highWatermark
    const offset = at === 'earliest' ? partition.logStart : at === 'latest' ? latest : firstSince(partition, at, latest)
    reply({ error: 'NONE', offset })
  },

  Fetch: (cluster, request, reply, broker) => fetch(cluster, request, reply, broker, cluster.now + request.maxWaitMs)
}

/** Of the first record of that time or later; -1: there is none before `limit`. */
function firstSince({ batches, logStart }: Partition, time: number, limit: number): number {
  for (const { records } of batches)
    for (const { offset, timestamp } of records)
      if (timestamp >= time && offset >= logStart && offset < limit) return offset
  return -1
}

export const notFetched = (error: BrokerError): FetchedPartition => ({
  error,
  batches: [],
  aborted: [],
  logStart: -1,
  highWatermark: -1,
  lastStable: -1
})

function fetch(
  cluster: BrokerCluster,
  request: Request<'Fetch'>,
  reply: (answer: Reply<'Fetch'>) => void,
  broker: number | undefined,
  until: number
): void {
  let left = request.maxBytes
  const partitions = request.places.map(place => {
    const found = fetchOne(cluster, place, request.readCommitted, broker, left)
    for (const { sizeBytes } of found.batches) left -= sizeBytes
    return found
  })
  const isNothing = partitions.every(({ error, batches }) => error === 'NONE' && batches.length === 0)
  if (!isNothing || cluster.now >= until) return reply({ partitions })
  let woken = false
  const again = (): void => {
    if (!woken) {
      woken = true
      fetch(cluster, request, reply, broker, until)
    }
  }
  for (const place of request.places) {
    const partition = led(cluster, place, broker)
    if (typeof partition !== 'string') partition.watch(again)
  }
  cluster.options.world.schedule(until - cluster.now, again)
}

function fetchOne(
  cluster: BrokerCluster,
  place: FetchPlace,
  readCommitted: boolean,
  broker: number | undefined,
  left: number
): FetchedPartition {
  const partition = led(cluster, place, broker)
  if (typeof partition === 'string') return notFetched(partition)
  const { logStart, highWatermark, lastStable, end } = partition
  const ends = { logStart, highWatermark, lastStable }
  const { offset } = place
  if (offset < logStart || offset > end) return { ...notFetched('OFFSET_OUT_OF_RANGE'), ...ends }
  const limit = readCommitted ? lastStable : highWatermark
  const batches = left <= 0 ? [] : partition.read(offset, limit, Math.min(left, place.maxBytes))
  const last = batches.at(-1)?.lastOffset ?? -1
  const aborted = readCommitted
    ? partition.aborted
        .filter(each => each.lastOffset >= offset && each.firstOffset <= last)
        .map(({ producerId, firstOffset }) => ({ producerId, firstOffset }))
    : []
  return { error: 'NONE', batches, aborted, ...ends }
}
