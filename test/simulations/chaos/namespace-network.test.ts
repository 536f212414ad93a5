/** Packets between network namespaces: what is cut does not pass, what is not does, and connections outlive what was only away. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { namespacesAllowed } from '../../../simulations/chaos/namespace-network.ts'

const allowed = namespacesAllowed()
const skip = allowed ? {} : { skip: 'no network namespaces can be made here (Linux with unshare, nsenter, ip)' }

void t.test('cuts between namespaces', skip, async t => {
  const probe = fileURLToPath(new URL('namespace-probe.js', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [probe], { timeout: 60_000 })
  t.same(
    stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as unknown),
    [
      { what: 'all pass' },
      ...['freeze', 'swallow-up', 'swallow-down'].map(what => ({ what, passed: false, errors: [] })),
      { what: 'cut', refused: true },
      { what: 'ways out', routes: '' }
    ]
  )
})
