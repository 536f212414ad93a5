import { join } from 'node:path'
import t from 'tap'
import { openUserJob } from '../../deploy/simulate/open-user-job.ts'
import { runSeed } from '../support/user-lab.ts'

void t.test('both bugs are found within a few seeds, and told with their places', async t => {
  const job = await openUserJob(join('examples', 'payments-with-a-bug.ts'))
  const found = new Map<string, string>()
  for (let seed = 1; seed <= 8 && found.size < 2; seed++)
    for (const { checker, violation } of (await runSeed(job, seed, { records: 250 })).findings)
      found.set(checker, violation)
  t.match(
    found.get('invariant'),
    /^"no payment is charged twice" does not hold: service "bank": payment p\d+ was charged under two references$/
  )
  t.match(found.get('clock'), /^the result depends on the wall clock .*\(payments-with-a-bug\.ts:\d+:\d+\)/)
  t.same([...found.keys()].sort(), ['clock', 'invariant'])
})
