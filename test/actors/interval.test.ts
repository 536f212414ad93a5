/** `interval` of a job: a time, or a goal from which it follows; and what the command line says instead. */
import t from 'tap'
import { Actor, generator, job, type Context, type JobOptions } from '../../actors/index.ts'
import { overriddenInterval } from '../../actors/interval.ts'

class Count extends Actor {
  receive(_event: string, _ctx: Context): void {}
}
const built = (interval?: unknown) =>
  job(
    'shop',
    j => {
      j.source(
        'numbers',
        generator({ count: 1 }, n => `k${n}`)
      )
        .keyBy(n => n)
        .actor(Count)
    },
    (interval === undefined ? {} : { interval }) as JobOptions
  ).plan
const interval = ({ intervalMs, latencyGoal }: ReturnType<typeof built>) => ({ intervalMs, latencyGoal })

void t.test('an interval is a time, or half of a latency goal until checkpoints show more', t => {
  t.same(interval(built()), { intervalMs: 1000, latencyGoal: undefined })
  t.same(interval(built('250ms')), { intervalMs: 250, latencyGoal: undefined })
  t.same(interval(built({ latency: '200ms' })), { intervalMs: 100, latencyGoal: { latencyMs: 200, share: 0.1 } })
  t.same(interval(built({ latency: 21, share: 0.9 })), { intervalMs: 11, latencyGoal: { latencyMs: 21, share: 0.9 } })
  t.end()
})

void t.test('all that is wrong with it is told at once', t => {
  for (const [given, ...sentences] of [
    ['5ms', 'interval is 5 ms; it must be at least 10 ms'],
    [
      'often',
      'interval is "often"; write milliseconds or a number with ms, s, m, h or d',
      'interval is 0 ms; it must be at least 10 ms'
    ],
    [{ latency: 0 }, 'interval.latency is 0ms; it must be at least 20 ms'],
    [
      { latency: 'soon', share: 2, every: 1 },
      'interval.every: there is no such option; a latency goal has `latency` and `share`',
      'interval.latency is "soon"; write milliseconds or a number with ms, s, m, h or d',
      'interval.share is 2; it is a part of the time, from 0.01 to 0.9'
    ],
    [{ latency: '1s', share: 0 }, 'interval.share is 0; it is a part of the time, from 0.01 to 0.9'],
    [{ latency: '1s', share: '10%' }, 'interval.share is "10%"; it is a part of the time, from 0.01 to 0.9']
  ] as const)
    t.throws(() => built(given), {
      code: 'PLAN_INVALID',
      message: `job "shop":\n  - ${sentences.join('\n  - ')}`
    })
  t.end()
})

void t.test('what the command line says goes over what the job says', t => {
  const fixed = built('1s')
  const goal = built({ latency: '200ms', share: 0.5 })
  t.same(overriddenInterval(fixed, {}), interval(fixed))
  t.same(overriddenInterval(goal, {}), interval(goal))
  t.same(overriddenInterval(goal, { intervalMs: 20 }), { intervalMs: 20, latencyGoal: undefined })
  t.same(overriddenInterval(goal, { latencyMs: 400 }), { intervalMs: 200, latencyGoal: { latencyMs: 400, share: 0.5 } })
  t.same(overriddenInterval(fixed, { latencyMs: 400 }), {
    intervalMs: 200,
    latencyGoal: { latencyMs: 400, share: 0.1 }
  })
  t.end()
})
