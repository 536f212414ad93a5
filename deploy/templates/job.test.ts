/** Runs the job on the real core, in memory and virtual time: hours of events in milliseconds. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { drive } from 'cairn/testing'
import job, { Visitor } from './job.ts'

const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 9, minute)).toISOString()

test('a user is reported once, after half an hour without a visit', async () => {
  const t = await drive(job)
  t.visits.push({ user: 'ann', page: '/', at: at(0) }, { user: 'ann', page: '/cart', at: at(20) })
  await t.settle()
  assert.equal(t.state(Visitor, 'ann')?.visits, 2)
  assert.deepEqual(t.reports.take(), [])

  t.visits.push({ user: 'bob', page: '/', at: at(55) })
  await t.settle()
  assert.deepEqual(t.reports.take(), [{ user: 'ann', visits: 2, pages: ['/', '/cart'] }])
})

test('a crash loses nothing', async () => {
  const t = await drive(job)
  t.visits.push({ user: 'ann', page: '/', at: at(0) })
  await t.settle()
  await t.crash()
  t.visits.push({ user: 'ann', page: '/', at: at(1) })
  t.visits.end()
  await t.settle()
  assert.deepEqual(t.reports.take(), [{ user: 'ann', visits: 2, pages: ['/'] }])
})
