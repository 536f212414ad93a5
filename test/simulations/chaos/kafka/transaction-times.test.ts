import t from 'tap'
import { timesOf, transactionsIn } from '../../../../simulations/chaos/kafka/transaction-times.ts'

const line = (id: string, status: number, start: number, end: number): string =>
  JSON.stringify({
    key: { version: 0, data: { transactionalId: id } },
    value: {
      version: 1,
      data: {
        producerId: 1,
        transactionStatus: status,
        transactionPartitions: [],
        transactionLastUpdateTimestampMs: end,
        transactionStartTimestampMs: start
      }
    }
  })

void t.test('what has ended is read from the log of the coordinators', t => {
  const text = [
    'Processed a total of 7 messages\n',
    line('shop.1.out.0', 0, -1, 5),
    line('shop.1.out.0', 1, 10, 10),
    line('shop.1.out.0', 2, 10, 12),
    line('shop.1.out.0', 4, 10, 15),
    line('other.1.out.0', 4, 10, 15),
    line('shop.1.out.1', 5, 20, 9_020),
    // A new producer of an id that had nothing open.
    line('shop.1.out.1', 5, -1, 9_030),
    JSON.stringify({ key: { version: 0, data: { transactionalId: 'shop.1.out.1' } }, value: null })
  ].join('')
  t.same(transactionsIn(text, 'shop.'), [
    { id: 'shop.1.out.0', startMs: 10, endMs: 15, isAborted: false },
    { id: 'shop.1.out.1', startMs: 20, endMs: 9_020, isAborted: true }
  ])
  t.end()
})

void t.test(
  'what has ended while all brokers were up is held to the limit; what was left, and the rest, are told apart',
  t => {
    const of = (startMs: number, endMs: number, isAborted = false) => ({ id: 'x', startMs, endMs, isAborted })
    const all = [of(0, 20), of(100, 1_100), of(3_000, 5_500), of(9_010, 9_020), of(10_000, 18_000, true)]
    const away = [{ fromMs: 5_400, toMs: 9_000 }]
    t.same(timesOf(all, away, [10_002], 1_000), {
      ended: 5,
      longestMs: 1_000,
      longestAwayMs: 2_500,
      left: 1,
      longestLeftMs: 8_000,
      tooLong: []
    })
    const sentence =
      /of x that was committed was open for 2500 ms, from 1970-01-01T00:00:03.000Z on, with all brokers up/
    t.match(timesOf(all, [], [4_000, 10_002], 1_000).tooLong, [sentence], 'a committed one was not left')
    t.match(
      timesOf(all, away, [9_799, 18_001], 1_000).tooLong,
      [/open for 8000 ms/],
      'nobody was struck while it was open'
    )
    t.same(timesOf(all, away, [9_800], 1_000).tooLong, [], 'what began it was on its way when its sender was struck')
    t.end()
  }
)
