import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Actor, files, generator, job, json } from '../../actors/index.ts'
import { drive } from '../../simulations/driver/index.ts'

interface Click {
  id: string
  at: number
  n: number
}
// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

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

const click = fc.record({ id: fc.constantFrom('a', 'b', 'c'), step: fc.nat(60), early: fc.nat(120), crash: fc.nat(9) })
const input = fc.array(click, { maxLength: 40, size: 'max' })

/** What passed, and what a list of all that passed would let pass. */
async function both(
  steps: readonly { id: string; step: number; early: number; crash: number }[],
  parallelism: number,
  horizon = within
): Promise<{ passed: Click[]; expected: Click[] }> {
  const d = await drive(clicks(1000, parallelism))
  const expected: Click[] = []
  let now = 0
  for (const [n, { id, step, early, crash }] of steps.entries()) {
    now += step
    const at = now - early
    if (expected.every(other => other.id !== id || at - other.at >= horizon)) expected.push({ id, at, n })
    d.clicks.push({ id, at, n })
    if (crash === 0) await d.crash()
  }
  d.clicks.end()
  await d.settle()
  return { passed: d.once.take().sort((a, b) => a.n - b.n), expected }
}

void t.test('what passes is what a list of all that passed would let pass', async () => {
  await fc.assert(
    fc.asyncProperty(input, fc.constantFrom(1, 3), async (steps, parallelism) => {
      const { passed, expected } = await both(steps, parallelism)
      return isDeepStrictEqual(passed, expected)
    }),
    { numRuns: 150 }
  )
})

for (const horizon of [within - 1, within + 1])
  void t.test(`the list catches a horizon of ${horizon}`, async t => {
    const check = fc.asyncProperty(input, async steps => {
      const { passed, expected } = await both(steps, 1, horizon)
      return isDeepStrictEqual(passed, expected)
    })
    t.ok((await fc.check(check, { numRuns: 500, seed: 1, endOnFailure: true })).failed)
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
