/** What judges the offsets of a run's consumer group takes what is right, and notices what is not. */
import t from 'tap'
import { offsetsWrong } from '../../../../simulations/chaos/kafka/offsets-wrong.ts'

const line = (partition: number, offset: string, end: number, lag: string): string =>
  `cairn-transfers transfers  ${partition}  ${offset}  ${end}  ${lag}  -  -  -`
const text = (...lines: string[]): string =>
  ['', 'GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID', ...lines].join('\n')
const right = [0, 1].map(partition => line(partition, '100', 100, '0'))

void t.test('offsets at the ends are right, and every other one is said', t => {
  t.same(offsetsWrong(text(...right), 'transfers', 2), [])
  t.same(offsetsWrong(text(right[0] as string, line(1, '99', 100, '1')), 'transfers', 2), [
    "the group's offset of transfers/1 is 99, and the partition ends at 100: lag 1"
  ])
  t.same(offsetsWrong(text(right[0] as string, line(1, '101', 100, '-1')), 'transfers', 2), [
    "the group's offset of transfers/1 is 101, and the partition ends at 100: lag -1"
  ])
  t.match(offsetsWrong(text(right[0] as string, line(1, '-', 100, '-')), 'transfers', 2), [/transfers\/1 is -/])
  t.match(offsetsWrong(text(right[0] as string), 'transfers', 2), [/transfers\/1 is missing/])
  t.match(offsetsWrong(text(...right, ...right), 'transfers', 2), [/2 times/, /2 times/])
  t.equal(offsetsWrong('', 'transfers', 2).length, 2)
  t.end()
})
