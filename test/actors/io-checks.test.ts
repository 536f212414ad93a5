import t from 'tap'
import { csv, files, generator, job, json, kafka, lines, topic, type Sink, type Source } from '../../actors/index.ts'
import type { CodedError } from '../../runtime/kernel/errors.ts'

/** The problems that are reported for a job from this source to these sinks. */
function problems(source: Source<unknown>, sinks: Record<string, Sink<unknown>> = {}): string[] {
  try {
    job('checked', j => {
      const stream = j.source('in', source)
      for (const [name, sink] of Object.entries(sinks)) stream.to(name, sink)
      return {}
    })
    return []
  } catch (error) {
    t.equal((error as CodedError).code, 'PLAN_INVALID')
    return (error as Error).message.split('\n  - ').slice(1)
  }
}

const value = json<unknown>()
const good = generator({ count: 1 }, n => n)

void t.test('inputs and outputs that make sense are accepted', t => {
  t.same(
    problems(good, { a: topic('t', { value, partitions: 3 }), b: topic('t', { value }), c: files('x', value) }),
    []
  )
  t.same(problems(lines(['a', 'b'], value)), [])
  t.same(problems(csv('a.csv')), [])
  t.same(problems(generator({ count: 0 }, n => n)), [])
  t.end()
})

void t.test('everything that is wrong with them is said before anything is opened', t => {
  t.match(problems(topic('a b', { value })), [/source "in": topic "a b" must match/])
  t.match(problems(topic('a', { value, from: 'now' as never })), [/from is "now"; it is 'earliest' or 'latest'/])
  t.match(problems(lines([], value)), [/source "in": it names no file/])
  t.match(problems(csv(['a', 'b', 'a'])), [/it names "a" twice/])
  t.match(problems(generator({ count: -1, partitions: 0.5 }, n => n)), [/count is -1/, /partitions is 0.5/])
  t.match(problems(generator({ count: 1, perSecond: 0 }, n => n)), [/perSecond is 0; it must be a number above 0/])
  t.match(problems(good, { out: topic('../x', { value }), more: topic('t', { value, partitions: 0 }) }), [
    /sink "out": topic "..\/x" must match/,
    /sink "more": partitions is 0; it must be a whole number from 1 to 1024/
  ])
  t.match(problems(good, { a: topic('t', { value, partitions: 2 }), b: topic('t', { value, partitions: 3 }) }), [
    /sink "b": topic "t" with 3 partitions, but sink "a" gives it 2/
  ])
  t.match(problems(good, { 'Dead-Letters': files('x', value) }), [/the name of the job's own dead letters/])
  t.match(problems(good, { a: files('', value) }), [/sink "a": its folder has no name/])
  t.end()
})

void t.test('a pattern of topics is a source only, begins at no offsets, and does not match what the job writes', t => {
  const out = kafka({ topic: 'orders-out', value })
  t.same(problems(kafka({ topic: /orders-(eu|us)/, value, from: new Date(5) }), { out }), [])
  t.same(problems(kafka({ topic: /rders-out/, value }), { out }), [], 'the whole name counts')
  t.match(problems(kafka({ topic: /orders-.*/g, value }), { out }), [
    /source "in": \/orders-\.\*\/g matches "orders-out", which sink "out" writes/
  ])
  t.same(problems(kafka({ topic: /orders-.*/, value, brokers: 'other:9092' }), { out }), [])
  t.match(problems(kafka({ topic: /a/, value, from: [1] as never })), [/from is a list of offsets/])
  t.match(problems(kafka({ topic: 7 as never, value })), [/topic is 7; it is a name or a regular expression/])
  t.match(problems(good, { out: kafka({ topic: /a/, value }) as never }), [/Kafka has no topic "\/a\/"/])
  t.end()
})

void t.test('a job file that no compiler has checked is told what it lacks', t => {
  const none = undefined as never
  t.match(problems(topic('t', { value: none })), [/source "in": it does not say how its values are written/])
  t.match(problems(kafka({ topic: 't', value, onMissing: 'skip' as never })), [
    /source "in": onMissing is "skip"; it is 'fail', 'earliest' or 'latest'/
  ])
  t.match(problems(good, { a: kafka({ topic: 't', value, compression: 'zip' as never }) }), [
    /sink "a": compression is "zip"; it is 'gzip', or left out/
  ])
  t.match(
    problems(good, {
      a: kafka({ topic: 't', value: none }),
      b: files('x', none),
      c: topic('t', { value, key: 'id' as never })
    }),
    [
      /sink "a": it does not say how its values are written; give it a codec, such as json\(\)/,
      /sink "b": it does not say/,
      /sink "c": key is "id"; it is a function of the value/
    ]
  )
  t.end()
})
