import t from 'tap'
import { TopicPartitions } from '../../../../runtime/adapters/kafka/topic-partitions.ts'

const counts = (topics: Record<string, number>): Map<string, number> => new Map(Object.entries(topics))

void t.test('of one topic the number is that of the partition', t => {
  const plain = new TopicPartitions('orders')
  t.same(plain.find(counts({ orders: 2, other: 3 })), [
    { name: '0', number: 0 },
    { name: '1', number: 1 }
  ])
  t.same(plain.place(7), { topic: 'orders', partition: 7 })
  t.end()
})

void t.test('of a pattern it depends on neither the other topics nor the order in which they are found', t => {
  const [one, other] = [new TopicPartitions(/orders-.+/), new TopicPartitions(/orders-.+/)]
  const first = one.find(counts({ 'orders-us': 2, payments: 1 }))
  const later = one.find(counts({ 'orders-eu': 1, 'orders-us': 3 }))
  t.same(other.find(counts({ 'orders-us': 3, 'orders-eu': 1 })), later)
  t.same(
    later.map(({ name }) => name),
    ['orders-eu/0', 'orders-us/0', 'orders-us/1', 'orders-us/2']
  )
  t.same(later.slice(1, 3), first, 'and stays')
  t.same(
    later.map(({ number }) => one.place(number)),
    [
      { topic: 'orders-eu', partition: 0 },
      { topic: 'orders-us', partition: 0 },
      { topic: 'orders-us', partition: 1 },
      { topic: 'orders-us', partition: 2 }
    ]
  )
  t.ok(later.every(({ number }) => Number.isSafeInteger(number)))
  t.same(one.place(5), undefined)
  // They are in checkpoints.
  t.equal(first[0]?.number, 7_053_145_222_212_008)
  t.end()
})

void t.test(
  'a pattern is of the whole name, whatever its flags; what Kafka and Cairn keep for themselves is not meant',
  t => {
    const all = new TopicPartitions(/.*/g)
    for (let i = 0; i < 3; i++) t.equal(all.reads('orders'), true)
    t.equal(all.reads('__consumer_offsets'), false)
    t.equal(all.reads('cairn-shop-ledger'), false)
    t.equal(all.reads('cairn-shop-redriven'), false)
    t.equal(new TopicPartitions(/a|orders/).reads('orders-eu'), false)
    t.equal(new TopicPartitions(/ORDERS/i).reads('orders'), true)
    t.end()
  }
)

void t.test('topics of one partition each are spread over slots', t => {
  const many = new TopicPartitions(/t\d+/)
  const found = many.find(new Map(Array.from({ length: 800 }, (_, i) => [`t${i}`, 1])))
  const slots = Array.from({ length: 8 }, (_, slot) => found.filter(({ number }) => number % 8 === slot).length)
  t.ok(
    slots.every(count => count > 60 && count < 140),
    slots.join()
  )
  t.end()
})

void t.test('a topic with more partitions than a pattern can number is refused', t => {
  t.throws(() => new TopicPartitions(/a/).find(counts({ a: 16_382 })), { code: 'OPTION_INVALID', message: /16382/ })
  t.end()
})
