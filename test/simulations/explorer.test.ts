/** The exhaustive exploration, at the smallest scope; `npm run explore` goes further. */
import t from 'tap'
import { patchedBuild } from '../../simulations/patched-build.ts'
import { explore } from '../../simulations/explorer/explorer.ts'
import { rules } from '../../simulations/explorer/rules.ts'
import { scopes, type Scope } from '../../simulations/explorer/scope.ts'
import { withoutRules } from '../../simulations/explorer/without-rules.ts'

// A busy machine may need longer than tap's half minute.
t.setTimeout(600_000)

const once: Scope = { ...scopes.failover, inputs: 1, crashes: 0, giveUps: 0, timeouts: 0 }
const smallest: Readonly<Record<string, Scope>> = {
  'one of which may crash at any step': { ...once, crashes: 1 },
  'whose decision log is pruned': { ...once, kept: 1 },
  'of which one abandons an epoch': { ...once, timeouts: 1 },
  'whose ledger may lose an entry': { ...once, ledgerLosses: 1 },
  'whose storage may forget a decision': { ...once, decisionLosses: 1 },
  'of which one forks, with lost or late replies': { ...scopes.fork, giveUps: 1 }
}

for (const [which, scope] of Object.entries(smallest))
  void t.test(`no order of steps of two leaders, ${which}, breaks the output protocol`, async t => {
    const { violation, exhausted, states } = await explore(scope)
    t.equal(violation, undefined)
    t.ok(exhausted)
    t.ok(states > 10_000, `${states} states`)
  })

void t.test('a rule of the output protocol that is taken out is missed', { timeout: 600_000 }, async t => {
  const quick = rules.filter(rule => rule.slow !== true)
  for await (const { rule, found } of withoutRules(quick, () => 0)) {
    t.ok(found.violation, `${rule.name}: ${found.violation?.message} after ${found.depth} steps`)
    t.equal(found.violation?.story.length, found.depth)
  }
})

void t.test('a patch that fits nowhere, or twice, is refused', t => {
  const patch = (find: string) => [{ file: 'checkpoint/coordinator.js', find, replace: '' }]
  t.throws(() => patchedBuild(patch('no such text')), /fits 0 places/)
  t.throws(() => patchedBuild(patch('return')), /places, not one/)
  t.end()
})
