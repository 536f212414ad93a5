import t from 'tap'
import { explore } from '../../simulations/explorer/explorer.ts'
import { scopes } from '../../simulations/explorer/scope.ts'

void t.test('no order of two leaders, one of which may crash at any step, breaks the output protocol', async t => {
  const { violation, exhausted, states } = await explore({ ...scopes.failover, inputs: 1, giveUps: 0, timeouts: 0 })
  t.equal(violation, undefined)
  t.ok(exhausted)
  t.ok(states > 10_000, `${states} states`)
})
