import t from 'tap'
import fraud, { Account, type Transfer } from '../../examples/fraud.ts'
import { drive } from '../../simulations/driver/index.ts'

const minute = 60_000
const transfer = (at: number, change: Partial<Transfer> = {}): Transfer => ({
  from: 'ann',
  to: 'bob',
  cents: 1000,
  at,
  ...change
})

void t.test('an amount unlike the account, to somebody new, holds it for an hour, across a crash', async t => {
  const d = await drive(fraud)
  d.transfers.push(...[0, 1, 2, 3, 4].map(n => transfer(n * minute)))
  d.transfers.push(transfer(5 * minute, { cents: 50_000 }))
  await d.settle()
  t.same(d.alerts.take(), [], 'to somebody known it may be large')
  const stolen = transfer(6 * minute, { cents: 500_000, to: 'eve' })
  d.transfers.push(stolen)
  await d.settle()
  t.match(d.alerts.take(), [{ account: 'ann', reason: /somebody new/, at: 6 * minute }])
  await d.crash()
  d.transfers.push(transfer(65 * minute))
  await d.settle()
  t.same(d.held.take(), [stolen, transfer(65 * minute)], 'what is held waits for a person')
  d.transfers.push(transfer(67 * minute), transfer(68 * minute))
  await d.settle()
  t.same(d.held.take(), [])
  t.equal(d.state(Account, 'ann')?.transfers, 8)
})

void t.test('five transfers within a minute are an alert, over more than a minute they are not', async t => {
  const d = await drive(fraud)
  d.transfers.push(...[0, 1, 2, 3, 4].map(n => transfer(n * 15_001, { from: 'slow' })))
  d.transfers.push(...[0, 1, 2, 3, 4].map(n => transfer(61_000 + n * 1000, { from: 'fast' })))
  await d.settle()
  t.match(d.alerts.take(), [{ account: 'fast', reason: 'five transfers within a minute' }])
  t.equal(d.state(Account, 'slow')?.transfers, 5)
})
