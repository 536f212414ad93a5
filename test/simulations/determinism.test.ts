/**
 * Whatever the core took from the real world would make two runs of one seed differ: planted, each is noticed by comparing traces of
 * two processes. (The swarm compares its own seeds in the same way; `cairn simulate --twice` does so for any number.)
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { patchedBuild, type Patch } from '../../simulations/patched-build.ts'

// Each of the tests runs eight seeds.
t.setTimeout(400_000)

const child = fileURLToPath(new URL('./trace-child.js', import.meta.url))
const build = fileURLToPath(new URL('../../', import.meta.url))
const seeds = ['1', '2', '3', '4']

async function traces(folder: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [child, folder, ...seeds])
  return stdout
}

const strays: readonly (readonly [what: string, patch: Patch])[] = [
  [
    'the real time in a deadline',
    {
      file: 'runtime/core/cluster-leader.js',
      find: 'this.members.set(report.worker, { report, heardAt: now });',
      replace: 'this.members.set(report.worker, { report, heardAt: now - (Date.now() % 2400) });'
    }
  ],
  [
    'chance in a batch',
    {
      file: 'runtime/core/exchange.js',
      find: 'if (this.open.length >= batchBytes)',
      replace: 'if (this.open.length >= batchBytes * Math.random())'
    }
  ],
  [
    'an order of iteration that is another in each process',
    {
      file: 'runtime/core/worker.js',
      find: 'for (const channel of this.topology.outgoing.values()) for (const frame of channel.take())',
      replace:
        'const salt = (globalThis.salt ??= Math.random() * 1e6), place = ({ name }) => (salt * (1 + name.edge * 7 + name.to)) % 1; for (const channel of [...this.topology.outgoing.values()].sort((a, b) => place(a) - place(b))) for (const frame of channel.take())'
    }
  ]
]

void t.test('two processes run the same seeds event for event', { timeout: 120_000 }, async t => {
  const [one, other] = await Promise.all([traces(build), traces(build)])
  t.equal(one, other)
  t.equal(one.trim().split('\n').length, seeds.length)
})

for (const [what, patch] of strays)
  void t.test(`${what} is noticed`, { timeout: 120_000 }, async t => {
    const patched = patchedBuild([patch])
    t.teardown(() => patched.remove())
    const [one, other] = await Promise.all([traces(patched.folder), traces(patched.folder)])
    t.not(one, other)
  })
