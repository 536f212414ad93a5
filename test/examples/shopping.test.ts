import t from 'tap'
import shopping, { type Click } from '../../examples/shopping.ts'
import { drive } from '../../simulations/driver/index.ts'

const minute = 60_000
const click = (at: number, action: Click['action'], product: string, visitor = 'ann'): Click => ({
  visitor,
  action,
  product,
  cents: 700,
  at: at * minute
})

void t.test(
  'a visit ends half an hour after its last click, in whatever order its clicks come, across a crash',
  async t => {
    const d = await drive(shopping)
    d.clicks.push(click(0, 'look', 'cup'), click(20, 'put', 'cup'), click(17, 'put', 'pan'), click(40, 'buy', 'cup'))
    await d.crash()
    d.clicks.push(click(69, 'look', 'pan', 'bob'))
    await d.settle()
    t.same(d.visits.take(), [], 'it may go on')
    d.clicks.watermark(70 * minute)
    await d.settle()
    const ann = { visitor: 'ann', start: 0, minutes: 40, looked: 1, bought: 700, leftBehind: ['pan'] }
    t.same(d.visits.take(), [ann])
    t.same(d.abandoned.take(), [ann])
    d.clicks.end()
    await d.settle()
    t.match(d.visits.take(), [{ visitor: 'bob', minutes: 0, looked: 1, leftBehind: [] }])
    t.same(d.abandoned.take(), [])
  }
)

void t.test('a click that comes a day late is kept apart', async t => {
  const d = await drive(shopping)
  d.clicks.push(click(2000, 'look', 'cup'), click(500, 'look', 'cup'))
  await d.settle()
  t.same(d.late.take(), [click(500, 'look', 'cup')])
})
