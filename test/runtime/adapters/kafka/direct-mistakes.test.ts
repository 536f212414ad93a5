/** What a reader of Kafka's topics must not do is noticed by its rules: each mistake is one that a good engineer could make. */
import t from 'tap'
import { planted, type Change } from '../../../support/planted.ts'
import { verdict } from '../../ports/judge.ts'
import { testDirectReader } from './direct-rules.ts'
import type { Made } from './simulated-lab.ts'

t.setTimeout(600_000)

const records = 'runtime/kafka-protocol/fetched-records.js'
const protocol = 'runtime/kafka-protocol/fetch-protocol.js'
const view = 'runtime/kafka-protocol/protocol.js'
const consumer = 'runtime/adapters/kafka/direct-consumer.js'
const chunks = 'runtime/adapters/kafka/chunk-feed.js'
const reader = 'runtime/adapters/kafka/kafka-reader.js'

const mistakes: Readonly<Record<string, Change>> = {
  'aborted transactions are not left out': [records, '|| !skipped.has(producerId)', ''],
  'marks of transactions are handed out': [
    records,
    'if ((attributes & controlBit) !== 0) {',
    'if ((attributes & controlBit) !== 0 && isAbort(bytes, from, end)) {'
  ],
  'records before the position are handed out': [records, 'if (offset < position) continue;', ''],
  'records are numbered one by one, whatever compaction has taken': [
    records,
    'const offset = baseOffset + cursor.varint();',
    'cursor.varint(); const offset = baseOffset + count - left;'
  ],
  'the next position is behind the last record, not behind its batch': [
    records,
    'const lastOffset = baseOffset + view.getUint32(at + lastDeltaAt);',
    'const lastOffset = baseOffset + view.getUint32(at + countAt) - 1;'
  ],
  'times are counted from the largest one of the batch': [
    records,
    'baseTime: int64(view, at + baseTimeAt)',
    'baseTime: int64(view, at + maxTimeAt)'
  ],
  'a tombstone is an empty value': [records, 'return from < 0 ? undefined', 'return from < 0 ? new Uint8Array(0)'],
  'the position moves before the records are handed out': [
    chunks,
    'next: isWhole ? records.next : records.offset(end - 1) + 1',
    'next: records.next'
  ],
  'one record is left out where an answer is taken in parts': [chunks, 'chunk.taken = end;', 'chunk.taken = end + 1;'],
  'what is kept outlives a change of the position': [
    chunks,
    'super.clear(position); this.chunks = [];',
    'super.clear(position);'
  ],
  'what was taken is counted still': [chunks, 'this.bytes -= size;', ''],
  'an answer to an older question counts': [
    consumer,
    'if (answer === undefined || feed.turn !== turn)',
    'if (answer === undefined)'
  ],
  'what was fetched is fetched again': [consumer, 'feed.asksAt = records.next;', 'feed.asksAt = at;'],
  'a partition is never paused': [consumer, 'return feed.bytes <= this.feedLimit;', 'return true;'],
  'a paused partition is never resumed': [consumer, 'eased() { this.pump(); }', 'eased() {}'],
  'a leader that refuses is asked again and again': [
    consumer,
    'this.fetches.view.forget(feed.topic, feed.partition); if (error.code',
    'if (error.code'
  ],
  'a broker that is lost is asked again and again': [
    consumer,
    'for (const { feed } of asked) this.fetches.view.forget(feed.topic, feed.partition);',
    ''
  ],
  'a deposed leader is believed': [view, 'if (epoch < (this.elections.get(key) ?? -1))', 'if (false)'],
  'a topic that is gone is looked for, for ever': [consumer, 'if (this.now - feed.deniedSince < goneMs)', 'if (true)'],
  'a topic that is denied once is gone': [consumer, 'if (this.now - feed.deniedSince < goneMs)', 'if (false)'],
  'every error of a broker is final': [consumer, 'isFinal(error.code))', 'true)'],
  'a missing right is waited for': [consumer, 'isFinal(error.code))', 'false)'],
  'an offset that is out of range is asked for again and again': [
    consumer,
    'if (errorCode === outOfRange) {',
    'if (errorCode === outOfRange) { return false;'
  ],
  'where reading begins is not compared with the bounds': [
    consumer,
    'if (position < bounds.earliest || position > bounds.end)',
    'if (false)'
  ],
  'a position behind the end is not noticed': [
    consumer,
    'if (position < bounds.earliest || position > bounds.end)',
    'if (position < bounds.earliest)'
  ],
  'the policy for what is gone is not looked at': [
    reader,
    'if (onMissing === undefined || position > end)',
    'if (position > end)'
  ],
  'the policy for what is gone also hides a lost end': [
    reader,
    'if (onMissing === undefined || position > end)',
    'if (onMissing === undefined)'
  ],
  '"earliest" and "latest" are taken for each other': [
    reader,
    "const next = onMissing === 'earliest' ? earliest : end;",
    "const next = onMissing === 'earliest' ? end : earliest;"
  ],
  'open transactions are read': [protocol, 'isolationLevel: readCommitted,', 'isolationLevel: 0,'],
  '"latest" is behind open transactions': [
    consumer,
    'offsetOf(view, place, { time: latest, isolationLevel: readCommitted,',
    'offsetOf(view, place, { time: latest, isolationLevel: 0,'
  ],
  '"caught up" is said wherever an answer ends': [
    consumer,
    'feed.eof = records.next >= answer.lastStableOffset ? records.next : undefined;',
    'feed.eof = records.next;'
  ],
  'the first record of a time is the last before it': [
    consumer,
    'Math.min(end, found)',
    'Math.max(0, Math.min(end, found) - 1)'
  ]
}

async function found([file, find, replace]: Change): Promise<string | undefined> {
  let release = (): void => undefined
  try {
    const load = planted({ teardown: work => (release = work) }, [[file, find, replace]])
    const made = { ...(await load<Made>(consumer)), ...(await load<Made>(reader)) }
    return await verdict(t => testDirectReader(t, made))
  } finally {
    release()
  }
}

for (const [name, change] of Object.entries(mistakes))
  void t.test(`noticed: ${name}`, async t => {
    const what = await found(change)
    t.type(what, 'string')
    if (what !== undefined) t.comment(what.slice(0, 200))
  })

void t.test('without a mistake nothing is', async t => {
  t.equal(await found([consumer, 'const pauseMs = 200;', 'const pauseMs = 201;']), undefined)
})
