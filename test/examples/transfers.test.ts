import t from 'tap'
import transfers, { Payer } from '../../examples/transfers.ts'
import { drive } from '../../simulations/driver/index.ts'

void t.test('what is paid arrives, never more than there is, and once across a crash', async t => {
  const d = await drive(transfers)
  d.transfers.push({ id: 't1', from: 'ann', to: 'bob', cents: 60_000 })
  await d.crash()
  d.transfers.push({ id: 't2', from: 'ann', to: 'bob', cents: 60_000 })
  await d.settle()
  t.same(
    d.paid.take().map(({ transfer, cents, balance }) => [transfer, cents, balance]),
    [
      ['t1', -60_000, 40_000],
      ['t2', -40_000, 0]
    ]
  )
  t.same(
    d.received.take().map(({ transfer, account, balance }) => [transfer, account, balance]),
    [
      ['t1', 'bob', 60_000],
      ['t2', 'bob', 100_000]
    ]
  )
  t.same(d.state(Payer, 'ann'), { balance: 0 })
})
