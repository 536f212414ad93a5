import t from 'tap'
import { countsFor, drawPlan, inTenMinutes } from '../../../simulations/chaos/plan.ts'

const tenMinutes = { seed: 1, durationMs: 600_000, workers: 4 }

void t.test('a plan is a function of its seed, and another seed gives another', t => {
  t.same(drawPlan(tenMinutes), drawPlan(tenMinutes))
  t.notSame(drawPlan(tenMinutes), drawPlan({ ...tenMinutes, seed: 2 }))
  t.end()
})

void t.test('ten minutes hold what the proof asks for', t => {
  const plan = drawPlan(tenMinutes)
  const count = (...kinds: string[]): number => plan.filter(({ kind }) => kinds.includes(kind)).length
  t.ok(count('kill', 'kill-leader', 'wipe-disk') >= 60)
  t.ok(count('pause') >= 20)
  t.ok(count('cut', 'cut-nats') >= 20)
  t.ok(count('kill-leader') >= 5)
  t.ok(count('restart-nats') >= 3)
  t.ok(plan.some(fault => fault.kind === 'restart-nats' && fault.empty))
  t.ok(plan.some(fault => fault.kind === 'kill-leader' && fault.during === 'checkpoint'))
  t.ok(plan.every(fault => fault.at >= 0 && fault.at < tenMinutes.durationMs))
  t.same(
    plan.map(({ at }) => at),
    plan.map(({ at }) => at).sort((a, b) => a - b)
  )
  t.end()
})

void t.test('a pair that is cut is a pair', t => {
  for (let seed = 0; seed < 20; seed++)
    for (const fault of drawPlan({ ...tenMinutes, seed })) if (fault.kind === 'cut') t.not(fault.from, fault.to)
  t.end()
})

void t.test('a short plan has every kind once, unless it is said otherwise', t => {
  t.ok(Object.values(countsFor(20_000)).every(count => count >= 1))
  const counts = { ...inTenMinutes, kill: 2, drain: 0, join: 0, 'rolling-restart': 0 }
  const plan = drawPlan({ seed: 1, durationMs: 20_000, workers: 4, counts })
  t.equal(plan.filter(({ kind }) => kind === 'kill').length, 2)
  t.notOk(plan.some(({ kind }) => kind === 'drain'))
  t.end()
})
