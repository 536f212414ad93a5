/** The transactions of a slot, told by hand what brokers answer. What random schedules find is in test/simulations/broker. */
import t from 'tap'
import type { ReplyOf } from '../../../runtime/kafka-protocol/messages.ts'
import { decodeBatches, encodeBatch } from '../../../runtime/kafka-protocol/record-batch.ts'
import type { SlotTransactions, TopicRecord } from '../../../runtime/kafka-protocol/transaction-machine.ts'
import { Cluster, coordinator, metadata, slot, type Answer } from './answering-cluster.ts'

const initialised = (producerEpoch: number, errorCode = 0): ReplyOf<'InitProducerId'> => ({
  throttleTimeMs: 0,
  errorCode,
  producerId: 5,
  producerEpoch
})

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const record = (text: string, partition = 0): TopicRecord => ({
  timestamp: 1,
  key: undefined,
  value: bytes(text),
  partition
})
const entry = { timestamp: 1, key: undefined, value: bytes('entry') }

async function begun(cluster: Cluster, change: { readonly maxBatchBytes?: number } = {}): Promise<SlotTransactions> {
  const transactions = slot(cluster, change)
  cluster.on('Metadata', { reply: metadata() }).on('FindCoordinator', { reply: coordinator() })
  cluster.on('InitProducerId', { reply: initialised(3) })
  cluster.run(transactions.initialise(cluster.now))
  cluster.asked.length = 0
  return transactions
}

type ProduceTopic = ReplyOf<'Produce'>['topics'][number]
const produced = (...codes: [topic: string, partition: number, code: number][]): Answer => ({
  reply: {
    throttleTimeMs: 0,
    topics: codes.map(([name, index, errorCode]): ProduceTopic => ({
      name,
      partitions: [
        {
          index,
          errorCode,
          baseOffset: 0,
          logAppendTimeMs: -1,
          logStartOffset: 0,
          recordErrors: [],
          errorMessage: null
        }
      ]
    }))
  }
})
const done = produced(['out', 0, 0], ['ledger', 1, 0])
const endedAt = (producerEpoch: number, errorCode = 0): Answer => ({
  reply: { throttleTimeMs: 0, errorCode, producerId: 5, producerEpoch }
})

void t.test('initialising waits while something is undecided, and looks for the coordinator again', async t => {
  const cluster = new Cluster()
  const transactions = slot(cluster)
  cluster.on('Metadata', { reply: metadata() })
  cluster.on('FindCoordinator', 'lost', { reply: coordinator() }, { reply: coordinator() })
  cluster.on(
    'InitProducerId',
    { reply: initialised(-1, 51) },
    { reply: initialised(-1, 16) },
    { reply: initialised(3) }
  )
  cluster.run(transactions.initialise(0))
  t.same(cluster.names(), [
    'Metadata',
    'FindCoordinator',
    'FindCoordinator',
    'InitProducerId',
    'InitProducerId',
    'FindCoordinator',
    'InitProducerId'
  ])
})

void t.test('initialising is given up when it is refused, lost, or takes too long', async t => {
  for (const [answers, message] of [
    [[{ reply: initialised(-1, 53) }], /TRANSACTIONAL_ID_AUTHORIZATION_FAILED/],
    [['lost'], /lost/],
    [new Array<Answer>(50).fill({ reply: initialised(-1, 51) }), /CONCURRENT_TRANSACTIONS/]
  ] as [Answer[], RegExp][]) {
    const cluster = new Cluster()
    cluster.on('Metadata', { reply: metadata() }).on('FindCoordinator', { reply: coordinator() })
    cluster.on('InitProducerId', ...answers)
    t.throws(() => cluster.run(slot(cluster).initialise(0)), message)
  }
})

void t.test('version 2: the epoch of the next transaction is the one that the end has answered', async t => {
  const cluster = new Cluster()
  const transactions = await begun(cluster)
  for (const epoch of [3, 4]) {
    cluster.on('Produce', done).on('EndTxn', endedAt(epoch + 1))
    t.same(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'published' })
    t.match(cluster.asked, [
      { name: 'Produce', broker: 1 },
      { name: 'EndTxn', broker: 2, body: { producerEpoch: epoch, committed: true } }
    ])
    cluster.asked.length = 0
  }
})

void t.test(
  'version 1: every transaction has an epoch of its own, asked for as the one we believe to have',
  async t => {
    const cluster = new Cluster()
    cluster.version = 1
    const transactions = await begun(cluster)
    const added = { reply: { throttleTimeMs: 0, topics: [] } }
    cluster.on('AddPartitionsToTxn', added, added).on('Produce', done, done).on('EndTxn', endedAt(-1), endedAt(-1))
    cluster.run(transactions.publish([record('a')], entry, 0))
    t.same(cluster.names(), ['AddPartitionsToTxn', 'Produce', 'EndTxn'])
    cluster.on('InitProducerId', { reply: initialised(4) })
    cluster.run(transactions.publish([record('a')], entry, 0))
    t.match(cluster.asked[0], { name: 'InitProducerId', body: { producerId: 5, producerEpoch: 3 } })
    t.match(cluster.asked[3], { name: 'EndTxn', maxVersion: 4, body: { producerEpoch: 4 } })
    cluster.on('InitProducerId', { reply: initialised(-1, 90) })
    t.same(cluster.run(transactions.publish([], entry, 0)), { kind: 'fenced' })
    t.same(cluster.run(transactions.publish([], entry, 0)), { kind: 'fenced' }, 'for ever')
  }
)

void t.test('anything but a definite success ends the producer, and nothing is asked again', async t => {
  const cases: [change: (cluster: Cluster) => void, kind: string, asked: string[]][] = [
    [cluster => cluster.on('Produce', 'lost'), 'unknown', ['Produce']],
    [cluster => cluster.on('Produce', produced(['out', 0, 7], ['ledger', 1, 0])), 'unknown', ['Produce']],
    [cluster => cluster.on('Produce', produced(['out', 0, 0])), 'unknown', ['Produce']],
    [cluster => cluster.on('Produce', produced(['out', 0, 6], ['ledger', 1, 47])), 'fenced', ['Produce']],
    [cluster => cluster.on('Produce', done).on('EndTxn', 'lost'), 'unknown', ['Produce', 'EndTxn']],
    [cluster => cluster.on('Produce', done).on('EndTxn', 'unsent'), 'unknown', ['Produce', 'EndTxn']],
    [cluster => cluster.on('Produce', done).on('EndTxn', endedAt(-1, 16)), 'unknown', ['Produce', 'EndTxn']],
    [cluster => cluster.on('Produce', done).on('EndTxn', endedAt(-1, 90)), 'fenced', ['Produce', 'EndTxn']]
  ]
  for (const [change, kind, asked] of cases) {
    const cluster = new Cluster()
    const transactions = await begun(cluster)
    change(cluster)
    t.equal(cluster.run(transactions.publish([record('a')], entry, 0)).kind, kind)
    t.same(cluster.names(), asked)
    t.equal(cluster.run(transactions.publish([record('a')], entry, 0)).kind, kind)
    t.same(cluster.names(), [], 'dead')
  }
})

void t.test('version 2: what is refused as busy is definitely not written, and is sent again', async t => {
  const cluster = new Cluster()
  const transactions = await begun(cluster)
  cluster.on('Produce', produced(['out', 0, 51], ['ledger', 1, 0]), produced(['out', 0, 51]), produced(['out', 0, 0]))
  cluster.on('EndTxn', endedAt(4))
  t.same(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'published' })
  t.match(cluster.asked[2], { name: 'Produce', body: { topics: [{ name: 'out' }] } })
})

void t.test('records that the topic does not take are refused, and the transaction is ended', async t => {
  const cluster = new Cluster()
  const transactions = await begun(cluster)
  cluster.on('Produce', produced(['out', 0, 10], ['ledger', 1, 0])).on('EndTxn', endedAt(4))
  t.match(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'refused' })
  t.match(cluster.asked[1], { name: 'EndTxn', body: { committed: false } })
  cluster.on('Produce', done).on('EndTxn', endedAt(5))
  t.same(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'published' })
  cluster.on('Produce', produced(['out', 0, 10], ['ledger', 1, 0])).on('EndTxn', 'lost')
  t.match(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'refused' })
  t.match(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'unknown' })
  const other = await begun(cluster)
  cluster.on('Produce', produced(['out', 0, 0], ['ledger', 1, 10]))
  t.match(
    cluster.run(other.publish([record('a')], entry, 0)),
    { kind: 'unknown' },
    'the entry is not the fault of records'
  )
})

void t.test('more than a batch takes goes out in rounds, numbered on', async t => {
  const cluster = new Cluster()
  const transactions = await begun(cluster, { maxBatchBytes: 300 })
  const records = Array.from({ length: 6 }, (_, i) => record(`${i}`.repeat(90)))
  cluster.on('Produce', done, produced(['out', 0, 0]), produced(['out', 0, 0])).on('EndTxn', endedAt(4))
  t.same(cluster.run(transactions.publish(records, entry, 0)), { kind: 'published' })
  const batches = cluster.asked.slice(0, 3).map(({ body }) => {
    const { topics } = body as unknown as { topics: { name: string; partitions: { records: Uint8Array }[] }[] }
    const sent = topics.find(({ name }) => name === 'out')?.partitions[0]?.records ?? new Uint8Array(0)
    t.ok(sent.length <= 300)
    return decodeBatches(sent)[0]
  })
  t.same(
    batches.map(batch => [batch?.baseSequence, batch?.records.length]),
    [
      [0, 2],
      [2, 2],
      [4, 2]
    ]
  )
})

const offset = (at: number): Answer => ({
  reply: {
    throttleTimeMs: 0,
    topics: [
      { name: 'ledger', partitions: [{ partitionIndex: 1, errorCode: 0, timestamp: -1, offset: at, leaderEpoch: 1 }] }
    ]
  }
})
const fetched = (records: Uint8Array): Answer => ({
  reply: {
    throttleTimeMs: 0,
    errorCode: 0,
    sessionId: 0,
    topics: [
      {
        topic: 'ledger',
        partitions: [
          {
            partitionIndex: 1,
            errorCode: 0,
            highWatermark: 0,
            lastStableOffset: 0,
            logStartOffset: 0,
            abortedTransactions: null,
            preferredReadReplica: -1,
            records
          }
        ]
      }
    ]
  }
})
const ledger = (...values: string[]): Uint8Array =>
  encodeBatch(
    values.map(value => ({
      timestamp: 1,
      key: bytes(value.startsWith('other') ? 'other' : 'id'),
      value: bytes(value)
    })),
    { producerId: 5, producerEpoch: 1, baseSequence: 0 }
  )

void t.test('the ledger is read to the end that was asked for, however often nothing comes', async t => {
  const cluster = new Cluster()
  const transactions = await begun(cluster)
  const none = fetched(new Uint8Array(0))
  cluster
    .on('ListOffsets', offset(0), offset(3))
    .on('Fetch', none, 'lost', none, fetched(ledger('one', 'two', 'other 3')))
  cluster.on('Metadata', { reply: metadata() })
  t.same(cluster.run(transactions.readLedger(0)), bytes('two'))
  const again = await begun(cluster)
  cluster.on('ListOffsets', offset(0), offset(3)).on('Fetch', ...new Array<Answer>(2000).fill(none))
  t.throws(() => cluster.run(again.readLedger(cluster.now)), /a transaction at offset 0 has no end, up to 3/)
})

void t.test('an entry goes only to the leader from which the ledger was read', async t => {
  for (const moved of [metadata(2, 1), metadata(1, 2)]) {
    const cluster = new Cluster()
    const transactions = await begun(cluster)
    cluster.on('ListOffsets', offset(0), offset(0))
    t.equal(cluster.run(transactions.readLedger(0)), undefined)
    // Another slot of the same process has learnt something new.
    cluster.view.apply(moved)
    cluster.names()
    t.match(cluster.run(transactions.publish([record('a')], entry, 0)), { kind: 'unknown' })
    t.same(cluster.names(), [], 'nothing was written')
  }
})

void t.test('an id that the broker does not map: forgotten if one may take it up again, else taken over', async t => {
  const unmapped = produced(['out', 0, 49], ['ledger', 1, 49])
  for (const [code, kind] of [
    [0, 'unknown'],
    [90, 'fenced']
  ] as const) {
    const cluster = new Cluster()
    const transactions = await begun(cluster)
    cluster.on('Produce', unmapped).on('InitProducerId', { reply: initialised(0, code) })
    t.match(cluster.run(transactions.publish([record('a')], entry, 0)), { kind })
    t.match(cluster.asked, [{ name: 'Produce' }, { name: 'InitProducerId', body: { producerId: 5, producerEpoch: 3 } }])
    t.match(cluster.run(transactions.publish([record('a')], entry, 0)), { kind }, 'the producer is dead either way')
  }
})

void t.test('a coordinator that may not be asked for is not asked for again', async t => {
  const cluster = new Cluster()
  const [found] = coordinator().coordinators
  cluster.on('Metadata', { reply: metadata() })
  cluster.on('FindCoordinator', { reply: { ...coordinator(), coordinators: [{ ...found, errorCode: 53 }] } })
  t.throws(() => cluster.run(slot(cluster).initialise(0)), /FindCoordinator: TRANSACTIONAL_ID_AUTHORIZATION_FAILED/)
})
