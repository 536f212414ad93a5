/** The suites of storage, transport and control bus catch planted bugs; without one they pass. */
import t from 'tap'
import { verdict } from './judge.ts'
import { worldMutants } from './world-mutants.ts'

for (const { name, suite } of worldMutants)
  void t.test(name, async t => {
    const found = await verdict(suite)
    if (name.endsWith(': none')) t.equal(found, undefined, 'the truth passes')
    else t.type(found, 'string', `caught: ${found}`)
  })
