import t from 'tap'
import orders, { Account, Order } from '../../examples/orders.ts'
import { drive } from '../../simulations/driver/index.ts'

const placed = (order: string, customer: string, cents: number, at: number) => ({ order, customer, cents, at })

void t.test('an order charges its account once, however often it is placed, and across a crash', async t => {
  const d = await drive(orders)
  d.placed.push(placed('o1', 'ann', 300, 1), placed('o2', 'ann', 200, 2))
  await d.crash()
  d.placed.push(placed('o1', 'ann', 300, 3))
  await d.settle()
  t.same(d.repeats.take(), [{ order: 'o1', repeats: 1 }])
  t.same(
    d.receipts
      .take()
      .sort((a, b) => (a.order < b.order ? -1 : 1))
      .map(receipt => [receipt.order, receipt.accepted]),
    [
      ['o1', true],
      ['o2', true]
    ]
  )
  t.same(d.state(Account, 'ann'), { left: 99_500, refused: 0 })
  t.same(d.state(Order, 'o1'), { placed: 2 })
})

void t.test('an account refuses what it cannot pay, and says what is left', async t => {
  const d = await drive(orders)
  d.placed.push(placed('o1', 'bob', 99_000, 1))
  await d.settle()
  d.placed.push(placed('o2', 'bob', 2000, 2))
  await d.settle()
  d.placed.push(placed('o3', 'bob', 1000, 3))
  await d.settle()
  t.same(
    d.receipts.take().map(receipt => [receipt.order, receipt.accepted, receipt.left]),
    [
      ['o1', true, 1000],
      ['o2', false, 1000],
      ['o3', true, 0]
    ]
  )
  t.equal(d.state(Account, 'bob')?.refused, 1)
})
