/** The comparison notices what no rule explains. */
import t from 'tap'
import { differences, type PeerRow } from './peer-differences.ts'
import type { PeerEvent, Program } from './peer-job.ts'

const at = (timestamp: number, value = 1, partition = 0): PeerEvent => ({ key: 'k', partition, value, timestamp })
const window = (start: number, end: number, n: number, timestamp: number): PeerRow => {
  return { key: 'k', start, end, n, sum: n, timestamp }
}

const sentences = (
  program: Program,
  cairn: readonly PeerRow[],
  streams: readonly PeerRow[],
  events: readonly PeerEvent[]
): readonly string[] => differences(program, cairn, streams, events).unexplained

void t.test('an update that is missing, wrong or of another time', t => {
  const events = [at(10), at(5)]
  const first = { key: 'k', n: 1, timestamp: 10 }
  t.same(
    sentences('count', [first, { key: 'k', n: 2, timestamp: 5 }], [first, { key: 'k', n: 2, timestamp: 10 }], events),
    []
  )
  t.match(sentences('count', [first], [first, { key: 'k', n: 2, timestamp: 10 }], events), [
    /update 2 is undefined here/,
    /of undefined/,
    /more updates/
  ])
  t.match(
    sentences('count', [first, { key: 'k', n: 2, timestamp: 5 }], [first, { key: 'k', n: 2, timestamp: 5 }], events),
    [/update 2 is of 5 here and 5 there/]
  )
  t.end()
})

void t.test('a window that only one has, or with another result; not a first result that was replaced', t => {
  const events = [at(1), at(2_000), at(3)]
  const theirs = [window(0, 1_000, 2, 3), window(2_000, 3_000, 1, 2_000)]
  const own = [window(0, 1_000, 1, 999), window(0, 1_000, 2, 999), window(2_000, 3_000, 1, 2_999)]
  t.same(sentences('tumbling', own, theirs, events), [])
  t.match(sentences('tumbling', own.slice(1), theirs.slice(1), events), [/of k from 0: .* here, undefined there/])
  t.match(sentences('tumbling', own.slice(0, 1), theirs.slice(0, 1), events), [/"n":1.* here, .*"n":2/])
  t.match(sentences('tumbling', own, [{ ...theirs[0], timestamp: 4 } as PeerRow, theirs[1] as PeerRow], events), [
    /of 4 there/
  ])
  t.end()
})

void t.test(
  'lateness explains a difference only behind the time of a partition, and only where there are several',
  t => {
    const early = [window(0, 1_000, 2, 999)]
    const streams = [window(0, 1_000, 1, 1)]
    t.match(sentences('tumbling', early, streams, [at(1), at(1_599), at(3), at(9, 1, 1)]), [/"n":2/])
    t.same(sentences('tumbling', early, streams, [at(1), at(1_600), at(3), at(9, 1, 1)]), [])
    t.match(sentences('tumbling', early, streams, [at(1), at(1_600), at(3)]), [/"n":2/])
    t.end()
  }
)

void t.test('a repeat that passes only here', t => {
  const row = (timestamp: number): PeerRow => ({ key: 'k', value: 1, timestamp })
  t.match(sentences('dedupe', [row(1), row(2)], [row(1)], [at(1), at(2)]), [
    /k\/1 passes 2 times here and 1 times there/
  ])
  t.same(sentences('dedupe', [row(1), row(2)], [row(1), row(2)], [at(1), at(2)]), [])
  t.end()
})
