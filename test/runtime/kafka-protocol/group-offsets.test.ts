/** Offsets of sources, in transactions and alone: they stand in nobody's way. */
import t from 'tap'
import type { KafkaRefusal } from '../../../runtime/kafka-protocol/error-names.ts'
import { GroupOffsets } from '../../../runtime/kafka-protocol/group-offsets.ts'
import type { SlotTransactions } from '../../../runtime/kafka-protocol/transaction-machine.ts'
import { Cluster, coordinator, metadata, slot, type Answer } from './answering-cluster.ts'

const offsets = [
  { topic: 'in', partition: 0, offset: 7 },
  { topic: 'in', partition: 2, offset: 9 },
  { topic: 'more', partition: 1, offset: 1 }
]
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const records = [{ timestamp: 1, key: undefined, value: bytes('a'), partition: 0 }]
const entry = { timestamp: 1, key: undefined, value: bytes('entry') }
const initialised: Answer = { reply: { throttleTimeMs: 0, errorCode: 0, producerId: 5, producerEpoch: 3 } }
const added = (errorCode = 0): Answer => ({ reply: { throttleTimeMs: 0, errorCode } })
const ended: Answer = { reply: { throttleTimeMs: 0, errorCode: 0, producerId: 5, producerEpoch: 4 } }
const committed = (...codes: readonly number[]): Answer => ({
  reply: {
    throttleTimeMs: 0,
    topics: ['in', 'more'].map((name, i) => ({
      name,
      partitions: [{ partitionIndex: 0, errorCode: codes[i] ?? codes[0] ?? 0 }]
    }))
  }
})
const produced: Answer = {
  reply: {
    throttleTimeMs: 0,
    topics: (
      [
        ['out', 0],
        ['ledger', 1]
      ] as const
    ).map(([name, index]) => ({
      name,
      partitions: [
        {
          index,
          errorCode: 0,
          baseOffset: 0,
          logAppendTimeMs: -1,
          logStartOffset: 0,
          recordErrors: [],
          errorMessage: null
        }
      ]
    }))
  }
}
const located = { reply: coordinator() }

function begun(version: 1 | 2): { cluster: Cluster; transactions: SlotTransactions; refused: KafkaRefusal[] } {
  const cluster = new Cluster()
  cluster.version = version
  const refused: KafkaRefusal[] = []
  const groupOffsets = new GroupOffsets({ view: cluster.view, group: 'g', refused: why => void refused.push(why) })
  const transactions = slot(cluster, { groupOffsets })
  cluster.on('Metadata', { reply: metadata() }).on('FindCoordinator', located).on('InitProducerId', initialised)
  cluster.run(transactions.initialise(0))
  cluster.asked.length = 0
  return { cluster, transactions, refused }
}

void t.test('version 2: they are written behind the records, before the end', async t => {
  const { cluster, transactions } = begun(2)
  cluster.on('Produce', produced).on('FindCoordinator', located).on('TxnOffsetCommit', committed()).on('EndTxn', ended)
  t.same(cluster.run(transactions.publish(records, entry, 0, offsets)), { kind: 'published' })
  t.match(cluster.asked[1], { name: 'FindCoordinator', body: { key: 'g', keyType: 0 } })
  t.match(cluster.asked[2], {
    broker: 2,
    name: 'TxnOffsetCommit',
    body: {
      groupId: 'g',
      transactionalId: 'id',
      producerId: 5,
      producerEpoch: 3,
      generationId: -1,
      topics: [
        {
          name: 'in',
          partitions: [
            { partitionIndex: 0, committedOffset: 7 },
            { partitionIndex: 2, committedOffset: 9 }
          ]
        },
        { name: 'more', partitions: [{ partitionIndex: 1, committedOffset: 1 }] }
      ]
    }
  })
  t.same(cluster.names(), ['Produce', 'FindCoordinator', 'TxnOffsetCommit', 'EndTxn'])
  cluster.on('TxnOffsetCommit', committed()).on('EndTxn', ended)
  t.same(cluster.run(transactions.publish([], undefined, 0, offsets)), { kind: 'published' })
  t.same(cluster.names(), ['TxnOffsetCommit', 'EndTxn'], 'alone; the coordinator is known')
})

void t.test('version 1: the group is added to the transaction first, and an older request is spoken', async t => {
  const { cluster, transactions } = begun(1)
  const addedPartitions = { reply: { throttleTimeMs: 0, topics: [] } }
  cluster.on('AddPartitionsToTxn', addedPartitions).on('Produce', produced).on('FindCoordinator', located)
  cluster.on('AddOffsetsToTxn', added()).on('TxnOffsetCommit', committed()).on('EndTxn', ended)
  t.same(cluster.run(transactions.publish(records, entry, 0, offsets)), { kind: 'published' })
  t.match(cluster.asked.at(-2), { name: 'TxnOffsetCommit', maxVersion: 4 })
  t.same(cluster.names(), [
    'AddPartitionsToTxn',
    'Produce',
    'FindCoordinator',
    'AddOffsetsToTxn',
    'TxnOffsetCommit',
    'EndTxn'
  ])
})

void t.test('what cannot be told now is left out, for a while, and the records go all the same', async t => {
  const { cluster, transactions, refused } = begun(2)
  cluster
    .on('Produce', produced)
    .on('FindCoordinator', located)
    .on('TxnOffsetCommit', committed(16))
    .on('EndTxn', ended)
  const left = { kind: 'published', offsets: 'left-out' }
  t.same(cluster.run(transactions.publish(records, entry, 0, offsets)), left)
  cluster.names()
  cluster.on('Produce', produced).on('EndTxn', ended)
  t.same(cluster.run(transactions.publish(records, entry, 1_000, offsets)), left)
  t.same(cluster.names(), ['Produce', 'EndTxn'], 'nobody is asked')
  t.same(cluster.run(transactions.publish([], undefined, 1_000, offsets)), left)
  t.same(cluster.names(), [], 'there is no transaction without them')
  cluster.on('FindCoordinator', located).on('TxnOffsetCommit', committed()).on('EndTxn', ended)
  t.same(cluster.run(transactions.publish([], undefined, 10_000, offsets)), { kind: 'published' })
  t.same(refused, [])
})

void t.test('an error that nobody foresaw is tried again: only what is known to last is given up', async t => {
  for (const code of [-1, 7, 13, 19, 56, 9999]) {
    const { cluster, transactions, refused } = begun(2)
    cluster.on('FindCoordinator', located).on('TxnOffsetCommit', committed(code)).on('EndTxn', ended)
    t.match(cluster.run(transactions.publish([], undefined, 0, offsets)), { offsets: 'left-out' }, `code ${code}`)
    t.same(refused, [])
    cluster.on('FindCoordinator', located).on('TxnOffsetCommit', committed()).on('EndTxn', ended)
    t.same(cluster.run(transactions.publish([], undefined, 10_000, offsets)), { kind: 'published' })
  }
})

void t.test('an answer that is lost makes the transaction uncertain, and the next one goes without them', async t => {
  const { cluster, transactions } = begun(2)
  cluster.on('Produce', produced).on('FindCoordinator', located).on('TxnOffsetCommit', 'lost')
  t.match(cluster.run(transactions.publish(records, entry, 0, offsets)), { kind: 'unknown' })
  cluster.on('Metadata', { reply: metadata() }).on('FindCoordinator', located).on('InitProducerId', initialised)
  const again = begun(2)
  again.cluster.on('Produce', produced).on('FindCoordinator', 'unsent').on('EndTxn', ended)
  t.same(again.cluster.run(again.transactions.publish(records, entry, 0, offsets)), {
    kind: 'published',
    offsets: 'left-out'
  })
})

void t.test(
  'what will never be told is said once and left out for good; of a topic alone, the others are told',
  async t => {
    const { cluster, transactions, refused } = begun(2)
    cluster
      .on('Produce', produced)
      .on('FindCoordinator', located)
      .on('TxnOffsetCommit', committed(0, 29))
      .on('EndTxn', ended)
    t.same(cluster.run(transactions.publish(records, entry, 0, offsets)), { kind: 'published' })
    t.match(
      refused.map(({ message }) => message),
      ['TxnOffsetCommit: TOPIC_AUTHORIZATION_FAILED']
    )
    cluster.names()
    cluster.on('TxnOffsetCommit', committed(30)).on('EndTxn', ended)
    cluster.run(transactions.publish([], undefined, 0, offsets))
    t.match(cluster.asked[0], { body: { topics: [{ name: 'in' }] } })
    t.equal((cluster.asked[0] as { body: { topics?: unknown[] } }).body.topics?.length, 1)
    cluster.names()
    t.same(cluster.run(transactions.publish([], undefined, 0, offsets)), { kind: 'published' })
    t.same(cluster.names(), [])
    t.equal(refused.length, 2)
  }
)

void t.test('fenced is fenced, and a transaction in doubt is in doubt', async t => {
  for (const [code, kind] of [
    [47, 'fenced'],
    [90, 'fenced'],
    [48, 'unknown'],
    [120, 'unknown']
  ] as const) {
    const { cluster, transactions } = begun(2)
    cluster.on('FindCoordinator', located).on('TxnOffsetCommit', committed(code))
    t.match(cluster.run(transactions.publish([], undefined, 0, offsets)), { kind })
    t.equal(cluster.names().includes('EndTxn'), false)
  }
})

void t.test('version 2: markers that are on their way are waited for', async t => {
  const { cluster, transactions } = begun(2)
  cluster
    .on('FindCoordinator', located)
    .on('TxnOffsetCommit', committed(51), committed(51), committed())
    .on('EndTxn', ended)
  t.same(cluster.run(transactions.publish([], undefined, 0, offsets)), { kind: 'published' })
})

void t.test('alone, without a transaction', async t => {
  const cluster = new Cluster()
  const group = new GroupOffsets({ view: cluster.view, group: 'g' })
  cluster.on('FindCoordinator', located).on('OffsetCommit', committed(14))
  t.equal(cluster.run(group.commit(offsets, 0)), 'later')
  t.equal(cluster.run(group.commit(offsets, 100)), 'later', 'nobody is asked for a while')
  cluster.on('FindCoordinator', located).on('OffsetCommit', committed())
  t.equal(cluster.run(group.commit(offsets, 10_000)), 'told')
  cluster.on('OffsetCommit', 'lost')
  t.equal(cluster.run(group.commit(offsets, 10_000)), 'later')
})
