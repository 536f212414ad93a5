import t from 'tap'
import { LatencyNews } from '../../deploy/latency-news.ts'
import type { PaceGauges } from '../../runtime/core/checkpoint-pace.ts'

const pace = (kept: boolean): PaceGauges => ({
  intervalMs: 1300,
  goal: { latencyMs: 200, share: 0.1, expectedMs: 1430.4, kept }
})

void t.test('that a goal is not kept is told once, and that it is again', t => {
  const news = new LatencyNews()
  const told = (...paces: (PaceGauges | undefined)[]) => paces.map(each => news.look(each)?.text)
  t.same(told({ intervalMs: 1000, goal: undefined }, pace(true), undefined), [undefined, undefined, undefined])
  t.same(told(pace(false), pace(false), pace(true), pace(true)), [
    'the latency goal of 200 ms cannot be kept: output is up to 1430 ms late. Checkpoints come each 1300 ms, for what they take and their share of 0.1; look what makes them slow, or allow them more',
    undefined,
    'the latency goal of 200 ms is kept again',
    undefined
  ])
  t.equal(told(pace(false), undefined, pace(true)).filter(each => each !== undefined).length, 1, 'another one leads')
  t.end()
})
