import { join } from 'node:path'
import t from 'tap'
import payments, { Customer } from '../../examples/payments.ts'
import { openUserJob } from '../../deploy/simulate/open-user-job.ts'
import { drive } from '../../simulations/driver/index.ts'
import { firstFailure } from '../support/user-lab.ts'

void t.test('no crash, and no failure of the bank, charges anybody twice', async t => {
  const failure = await firstFailure(await openUserJob(join('examples', 'payments.ts')), 6, { records: 250 })
  t.equal(failure, undefined, JSON.stringify(failure?.findings))
})

void t.test('the limit is one of a day of the payments', async t => {
  t.chdir(t.testdir())
  const d = await drive(payments)
  const day = 86_400_000
  const payment = (id: string, cents: number, at: number) => ({ id, customer: 'ann', cents, at })
  d.payments.push(payment('p1', 30_000, 0), payment('p2', 30_000, 1), payment('p3', 30_000, day))
  await d.settle()
  t.same(
    d.receipts.take().map(({ accepted }) => accepted),
    [true, false, true]
  )
  t.same(d.state(Customer, 'ann'), { day: 1, spent: 30_000 })
})
