import t from 'tap'
import {
  count,
  files,
  generator,
  global,
  job,
  json,
  session,
  sliding,
  sum,
  tumbling,
  type Aggregate,
  type Window,
  type WindowOptions
} from '../../actors/index.ts'
import type { AggregateSpec } from '../../actors/window-contents.ts'
import { alignedStart } from '../../actors/window-aligned.ts'
import { drive } from '../../simulations/driver/index.ts'

interface Reading {
  at: number
  n: number
}
const readings = generator<Reading>({ count: 0 }, () => ({ at: 0, n: 0 }))
const windowed = (window: Window, options: WindowOptions = {}, spec: AggregateSpec = { n: count() }) =>
  job('plan', j => ({
    rows: j
      .source('readings', readings)
      .keyBy(() => 'a')
      .window(window, options)
      .aggregate(spec)
  }))

const mistakes: [message: RegExp, () => unknown][] = [
  [/stage "readings-window": tumbling: size is 0; it must be longer/, () => windowed(tumbling(0))],
  [/tumbling: size is "soon"; write milliseconds/, () => windowed(tumbling('soon' as '1s'))],
  [/tumbling: size is 1\.5; it must be a whole number of ms/, () => windowed(tumbling(1.5))],
  [/tumbling: size is 1000000000000000; .* at most 100000000000000/, () => windowed(tumbling(1e15))],
  [/sliding: every is 0/, () => windowed(sliding(10, 0))],
  [/session: gap is 0/, () => windowed(session(0))],
  [/tumbling: offset is NaN|tumbling: offset is null/, () => windowed(tumbling(10, { offset: NaN }))],
  [/time is "wall"; it is 'event' or 'processing'/, () => windowed(tumbling(10, { time: 'wall' as 'event' }))],
  [/sliding\(10001ms, 10s\) needs 10001 panes a window/, () => windowed(sliding(10_001, 10_000))],
  [/a global window never ends: give it trigger/, () => windowed(global())],
  [
    /a global window never ends, so nothing is late/,
    () => windowed(global(), { lateness: 1, trigger: { early: '1s' } })
  ],
  [/nothing is late on processing time/, () => windowed(tumbling(10, { time: 'processing' }), { lateness: 5 })],
  [/lateness is -1/, () => windowed(tumbling(10), { lateness: -1 })],
  [/option "latness" is unknown/, () => windowed(tumbling(10), { latness: 1 } as WindowOptions)],
  [
    /trigger\.early is 0; for a result at every event write \{ every: 1 \}/,
    () => windowed(tumbling(10), { trigger: { early: 0 } })
  ],
  [/trigger\.early\.every is 0/, () => windowed(tumbling(10), { trigger: { early: { every: 0 } } })],
  [/aggregate\(\{\}\) has nothing to compute/, () => windowed(tumbling(10), {}, {})],
  [/aggregate "key" has the name of a field that every result has/, () => windowed(tumbling(10), {}, { key: count() })],
  [
    /aggregate "n": create\(\) holds a function, which cannot be stored/,
    () => windowed(tumbling(10), {}, { n: { ...count(), create: () => () => 0 } })
  ],
  [
    /aggregate "n": create\(\) gives the same object each time/,
    () => {
      const shared: number[] = []
      windowed(tumbling(10), {}, { n: { ...count(), create: () => shared } })
    }
  ]
]
for (const [message, build] of mistakes)
  void t.test(`refused when the job is built: ${message.source}`, t => {
    t.throws(build, { code: 'PLAN_INVALID', message })
    t.end()
  })

void t.test('two windows of one stream need two names', t => {
  const twice = (name?: string) =>
    job('twice', j => {
      const keyed = j.source('readings', readings).keyBy(() => 'a')
      keyed.window(tumbling(10)).aggregate({ n: count() })
      keyed.window(tumbling(20), name === undefined ? {} : { name }).aggregate({ n: count() })
    })
  t.throws(() => twice(), {
    code: 'PLAN_INVALID',
    message: /stage "readings-window" has the name of .*; give it a `name`/
  })
  t.doesNotThrow(() => twice('longer'))
  t.end()
})

void t.test('the plan says what a window stage does', t => {
  const says = (window: Window, options: WindowOptions = {}) => {
    const node = windowed(window, options).plan.nodes.find(each => each.kind === 'actor')
    return node?.kind === 'actor' ? [node.builtIn, node.describe] : []
  }
  t.same(says(sliding('1h', '5m'), { lateness: '10m' }), ['window', 'sliding(1h, 5m), lateness 10m'])
  t.same(says(tumbling('90m', { offset: -1_800_000 })), ['window', 'tumbling(90m, offset -30m)'])
  t.same(says(session(1500, { time: 'processing' }), { trigger: { early: '2s' } }), [
    'window',
    'session(1500ms, processing time), early after 2s'
  ])
  t.same(says(global(), { trigger: { early: { every: 3 } } }), ['window', 'global(), early at every 3 events'])
  t.end()
})

void t.test('windows begin at offset + k × size, before 1970 too, to the last ms of a Date', t => {
  t.equal(alignedStart(7, 0, 5), 5)
  t.equal(alignedStart(5, 0, 5), 5)
  t.equal(alignedStart(-1, 0, 5), -5)
  t.equal(alignedStart(-5, 0, 5), -5)
  t.equal(alignedStart(-6, 0, 5), -10)
  t.equal(alignedStart(1, 3, 5), -2)
  t.equal(alignedStart(-8.64e15, 1, 7) % 7, (1 - 7) % 7)
  t.equal(alignedStart(8.64e15, 0, 7), Number((8_640_000_000_000_000n / 7n) * 7n))
  t.end()
})

const sums = (onError: 'fail' | 'dead-letter') =>
  job(
    'sums',
    j => {
      const source = j.source('readings', readings, { time: reading => reading.at })
      const strict: Aggregate<Reading, number, number> = {
        ...sum((reading: Reading) => {
          if (reading.n === 13) throw new Error('thirteen')
          return reading.n
        }),
        result: acc => {
          if (acc === 7) throw new Error('seven')
          return acc
        }
      }
      const rows = source
        .keyBy(() => 'a')
        .window(tumbling(10))
        .aggregate({ total: strict })
      return {
        readings: source,
        rows: rows.to('rows', files('rows', json<{ start: number; total: number }>()))
      }
    },
    { onError }
  )

void t.test('an aggregate that throws costs its event or its result, not the windows after it', async t => {
  const d = await drive(sums('dead-letter'))
  d.readings.push(
    { at: 0, n: 13 },
    { at: 1, n: 3 },
    { at: 11, n: 7 },
    { at: 12, n: 13 },
    { at: 21, n: 1 },
    { at: 31, n: 2 }
  )
  await d.crash()
  d.readings.end()
  await d.settle()
  t.same(
    d.rows.take().map(row => [row.start, row.total]),
    [
      [0, 3],
      [20, 1],
      [30, 2]
    ]
  )
  t.match(d.deadLetters(), [
    { stage: 'readings-window', key: 'a', error: 'thirteen', event: { at: 0 } },
    { error: 'thirteen', event: { at: 12 } },
    { error: 'seven', event: 'fire' }
  ])
})

void t.test('an aggregate that throws stops a job that is to fail', async t => {
  const d = await drive(sums('fail'))
  d.readings.push({ at: 0, n: 13 })
  await t.rejects(d.settle(), { code: 'HANDLER_FAILED', message: /stage "readings-window", key a.*thirteen/ })
})

void t.test('a job with other aggregates or windows does not take the state', t => {
  const name = (window: Window, spec: Record<string, Aggregate<Reading, number, number>>) => {
    const node = windowed(window, {}, spec).plan.nodes.find(each => each.kind === 'actor')
    return node?.kind === 'actor' ? node.actor.actorName : undefined
  }
  const names = [
    name(tumbling(10), { n: count() }),
    name(tumbling(20), { n: count() }),
    name(tumbling(10, { offset: 1 }), { n: count() }),
    name(tumbling(10), { m: count() }),
    name(tumbling(10), { n: sum(reading => reading.n) })
  ]
  t.equal(new Set(names).size, names.length)
  t.end()
})
