/** What the simulated coordinator does as Kafka's does, mistakes of the older protocol included. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { BrokerCluster } from '../../../simulations/broker/broker-cluster.ts'
import type { CallKind, Reply, Request } from '../../../simulations/broker/requests.ts'
import type { BrokerOptions } from '../../../simulations/broker/world.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

function lab(options: Partial<BrokerOptions> = {}): {
  time: WorldTime
  cluster: BrokerCluster
  pass: (ms: number) => Promise<unknown>
  ask: <K extends CallKind>(kind: K, request: Request<K>) => Promise<Reply<K>>
  write: (owner: Owner, version: 1 | 2) => Promise<string>
} {
  const time = new WorldTime(1000)
  const cluster = new BrokerCluster({ world: time, prng: new Prng(1), ...options })
  cluster.createTopic('t', { partitions: 1 })
  const pass = (ms: number): Promise<unknown> => time.run({ untilMs: time.now() + ms })
  const ask = async <K extends CallKind>(kind: K, request: Request<K>): Promise<Reply<K>> => {
    let answer: Reply<K> | undefined
    cluster.handle(kind, request, reply => (answer = reply))
    await time.run({ until: () => answer !== undefined, untilMs: time.now() + 1000 })
    if (answer === undefined) throw new Error(`${kind} was not answered`)
    return answer
  }
  const write = async (owner: Owner, version: 1 | 2): Promise<string> => {
    const at = { topic: 't', partition: 0 }
    if (version === 1) await ask('AddPartitionsToTxn', { ...owner, partitions: [at] })
    const record = { timestamp: 1, key: undefined, value: new Uint8Array(1) }
    const batch = { ...at, ...owner, baseSequence: 0, transactional: true, records: [record], sizeBytes: 80 }
    const { partitions } = await ask('Produce', { transactionalId: owner.transactionalId, version, batches: [batch] })
    return partitions[0]?.error ?? ''
  }
  return { time, cluster, pass, ask, write }
}

interface Owner {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

const anybody = { transactionalId: 'x', producerId: -1, producerEpoch: -1 }
const timeoutMs = 5000

void t.test('version 1: a late end decides the next transaction of the same epoch (KAFKA-17754)', async t => {
  const { ask, write, pass, cluster } = lab({ transactionVersion: 1 })
  const owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
  await write(owner, 1)
  t.equal((await ask('EndTxn', { ...owner, version: 1, commit: true })).error, 'NONE')
  await pass(100)
  await ask('AddPartitionsToTxn', { ...owner, partitions: [{ topic: 't', partition: 0 }] })
  t.equal((await ask('EndTxn', { ...owner, version: 1, commit: true })).error, 'NONE', 'the late one')
  t.match(cluster.coordinator.stateOf('x'), /Commit/)
})

void t.test('version 2: a repeated end is recognised and decides nothing', async t => {
  const { ask, write, pass, cluster } = lab()
  const owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
  await write(owner, 2)
  const first = await ask('EndTxn', { ...owner, version: 2, commit: true })
  t.equal(first.producerEpoch, owner.producerEpoch + 1)
  await pass(100)
  t.same(await ask('EndTxn', { ...owner, version: 2, commit: true }), first)
  t.equal(await write({ ...owner, ...first }, 2), 'NONE')
  t.equal((await ask('EndTxn', { ...owner, version: 2, commit: true })).error, 'PRODUCER_FENCED')
  t.equal(cluster.coordinator.stateOf('x'), 'Ongoing')
})

void t.test('an end is answered before any marker; who initialises waits for them', async t => {
  const { ask, write, pass, cluster } = lab({ markerMs: 1 })
  cluster.inject({ kind: 'slow-markers', delayMs: 500 }, 10_000)
  const owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
  await write(owner, 2)
  t.equal((await ask('EndTxn', { ...owner, version: 2, commit: true })).error, 'NONE')
  t.equal(cluster.committed('t').length, 0)
  t.equal((await ask('InitProducerId', { ...anybody, timeoutMs })).error, 'CONCURRENT_TRANSACTIONS')
  await pass(1000)
  t.equal(cluster.committed('t').length, 1)
  t.equal((await ask('InitProducerId', { ...anybody, timeoutMs })).error, 'NONE')
})

void t.test('a marker of a deposed coordinator that comes late leaves the next transaction alone', async t => {
  const { ask, write, pass, cluster } = lab()
  const at = { topic: 't', partition: 0 }
  const position = (owner: Owner, offset: number): Promise<unknown> =>
    ask('TxnOffsetCommit', { ...owner, group: 'g', version: 2, offsets: [{ ...at, offset }] })
  let owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs: 60_000 })) }
  await write(owner, 2)
  await position(owner, 5)
  cluster.inject({ kind: 'slow-markers', delayMs: 5000 }, 20)
  owner = { ...owner, ...(await ask('EndTxn', { ...owner, version: 2, commit: true })) }
  await pass(50)
  cluster.inject({ kind: 'coordinator-change' }, 50)
  await pass(200)
  t.equal(cluster.coordinator.stateOf('x'), 'CompleteCommit', 'by the new one')
  t.equal(await write(owner, 2), 'NONE')
  await position(owner, 6)
  await pass(6000)
  t.equal(cluster.committed('t').length, 1, 'the next one is still open')
  t.equal(cluster.groups.fetch('g', at), 'unstable', 'and so is what it tells the group')
  await ask('EndTxn', { ...owner, version: 2, commit: false })
  await pass(200)
  t.equal(cluster.committed('t').length, 1)
  t.equal(cluster.groups.fetch('g', at), 5)
})

void t.test('an open transaction is aborted by the next owner, and by time; its writer is fenced', async t => {
  for (const takeover of [true, false]) {
    const { ask, write, pass, cluster } = lab()
    const owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
    await write(owner, 2)
    if (takeover) t.equal((await ask('InitProducerId', { ...anybody, timeoutMs })).error, 'CONCURRENT_TRANSACTIONS')
    await pass(20_000)
    t.equal(cluster.coordinator.stateOf('x'), 'CompleteAbort')
    t.equal(await write(owner, 2), 'INVALID_PRODUCER_EPOCH')
    t.equal((await ask('EndTxn', { ...owner, version: 2, commit: true })).error === 'NONE', false)
    t.equal(cluster.committed('t').length, 0)
  }
})

void t.test('an epoch that runs over takes a new producer id', async t => {
  const { ask, write, pass } = lab({ firstProducerEpoch: 32_765 })
  let owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
  const { producerId } = owner
  for (let i = 0; i < 3; i++) {
    t.equal(await write(owner, 2), 'NONE')
    owner = { ...owner, ...(await ask('EndTxn', { ...owner, version: 2, commit: true })) }
    await pass(200)
  }
  t.not(owner.producerId, producerId)
  t.equal(owner.producerEpoch, 1)
})

void t.test(
  'who takes an identity over whose epoch runs over leaves nothing to its old owner; who asks again gets it again',
  async t => {
    const { ask } = lab({ firstProducerEpoch: 32_766 })
    const first = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
    t.equal(first.producerEpoch, 32_766)
    const second = await ask('InitProducerId', { ...anybody, timeoutMs })
    t.match(second, { error: 'NONE', producerEpoch: 0 })
    t.equal((await ask('InitProducerId', { ...first, timeoutMs })).error, 'PRODUCER_FENCED')

    const other = { ...anybody, transactionalId: 'y' }
    const own = { ...other, ...(await ask('InitProducerId', { ...other, timeoutMs })) }
    const bumped = await ask('InitProducerId', { ...own, timeoutMs })
    t.match(bumped, { error: 'NONE', producerEpoch: 0 })
    t.same(await ask('InitProducerId', { ...own, timeoutMs }), bumped, 'the answer was lost')
  }
)

void t.test('group offsets count from their marker on, and expire', async t => {
  const { ask, pass, cluster } = lab({ offsetsRetentionMs: 60_000 })
  const owner = { ...anybody, ...(await ask('InitProducerId', { ...anybody, timeoutMs })) }
  const at = { topic: 't', partition: 0 }
  await ask('TxnOffsetCommit', { ...owner, group: 'g', version: 2, offsets: [{ ...at, offset: 9 }] })
  t.equal(cluster.groups.fetch('g', at), 'unstable')
  await ask('EndTxn', { ...owner, version: 2, commit: true })
  await pass(100)
  t.equal(cluster.groups.fetch('g', at), 9)
  for (let i = 0; i < 8; i++) {
    await pass(10_001)
    await ask('Metadata', { topics: [] })
  }
  t.equal(cluster.groups.fetch('g', at), undefined)
})
