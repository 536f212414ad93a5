import fc from 'fast-check'
import t from 'tap'
import { Actor, files, generator, job, json } from '../../actors/index.ts'
import { drive } from '../../simulations/driver/index.ts'

interface Click {
  id: string
  at: number
  n: number
}
const within = 100
const clicks = (outOfOrder: number, parallelism = 1) =>
  job(
    'clicks',
    j => {
      const source = j.source(
        'clicks',
        generator<Click>({ count: 0 }, () => ({ id: '', at: 0, n: 0 })),
        { time: click => click.at, outOfOrder }
      )
      const once = source.dedupe({ id: click => click.id, within })
      return { clicks: source, once: once.to('once', files('once', json<Click>())) }
    },
    { parallelism }
  )

/** The state of the stage: `drive` finds it by its name. */
abstract class Stage extends Actor {
  static readonly actorName = 'clicks-dedupe'
  until = 0
}

void t.test('the first of an id passes, repeats within the horizon do not', async t => {
  const d = await drive(clicks(1000))
  d.clicks.push({ id: 'a', at: 50, n: 0 }, { id: 'b', at: 50, n: 1 }, { id: 'a', at: 149, n: 2 })
  await d.crash()
  d.clicks.push({ id: 'a', at: 0, n: 3 }, { id: 'a', at: 150, n: 4 }, { id: 'a', at: 249, n: 5 })
  await d.settle()
  t.same(
    d.once
      .take()
      .map(click => click.n)
      .sort(),
    [0, 1, 4]
  )
})

void t.test('what passes is what a list of all that passed would let pass', async t => {
  const click = fc.record({
    id: fc.constantFrom('a', 'b', 'c'),
    step: fc.nat(60),
    early: fc.nat(120),
    crash: fc.nat(9)
  })
  await fc.assert(
    fc.asyncProperty(fc.array(click, { maxLength: 40 }), fc.constantFrom(1, 3), async (input, parallelism) => {
      const d = await drive(clicks(1000, parallelism))
      const passed: Click[] = []
      let now = 0
      for (const [n, { id, step, early, crash }] of input.entries()) {
        now += step
        const at = now - early
        const before = passed.filter(other => other.id === id)
        if (before.every(other => at - other.at >= within)) passed.push({ id, at, n })
        d.clicks.push({ id, at, n })
        if (crash === 0) await d.crash()
      }
      d.clicks.end()
      await d.settle()
      t.same(
        d.once.take().sort((a, b) => a.n - b.n),
        passed
      )
    }),
    { numRuns: 150 }
  )
})

void t.test('ids are forgotten: after ten horizons only those of the last one are kept', async t => {
  const d = await drive(clicks(0))
  const ids = Array.from({ length: 10 * within }, (_, n) => ({ id: `id${n}`, at: n, n }))
  d.clicks.push(...ids)
  await d.settle()
  t.equal(d.once.take().length, ids.length)
  const kept = ids.filter(({ id }) => d.state(Stage as never, id as never) !== undefined)
  t.equal(kept.length, within)
  t.equal(kept[0]?.id, 'id900')
})

void t.test('a horizon must be longer than 0, and two stages need two names', t => {
  const bad = () =>
    job('bad', j => {
      const source = j.source(
        'clicks',
        generator<Click>({ count: 0 }, () => ({ id: '', at: 0, n: 0 }))
      )
      const id = (click: Click) => click.id
      return { source, a: source.dedupe({ id, within: 0 }), b: source.dedupe({ id, within: '1h' }) }
    })
  t.throws(bad, { code: 'PLAN_INVALID', message: /"clicks-dedupe": within is 0[^]*give it a `name`/ })
  t.end()
})
