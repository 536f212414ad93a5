/** What `npm run chaos -- --planted` plants must fit the code as it is now. */
import t from 'tap'
import { mistakes } from '../../../simulations/chaos/mistakes.ts'
import { patchedBuild } from '../../../simulations/patched-build.ts'

void t.test('every mistake can be planted', t => {
  t.ok(mistakes.length >= 5)
  for (const { name, patches } of mistakes) t.doesNotThrow(() => patchedBuild(patches).remove(), name)
  t.end()
})
