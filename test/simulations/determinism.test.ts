/**
 * Whatever the core took from the real world would make two runs of one seed differ: planted, each is noticed by comparing traces of
 * two processes. (The swarm compares its own seeds in the same way; `cairn simulate --twice` does so for any number.)
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { patchedBuild, type Patch } from '../../simulations/patched-build.ts'

t.setTimeout(600_000)

const child = fileURLToPath(new URL('./trace-child.js', import.meta.url))
const build = fileURLToPath(new URL('../../', import.meta.url))
// Small ones, with several workers.
const seeds = ['5018', '5022']

/** Of two processes, side by side. */
async function traces(folder: string): Promise<readonly string[]> {
  const run = async (stray: string): Promise<string> => {
    const env = { ...process.env, STRAY: stray }
    const { stdout } = await promisify(execFile)(process.execPath, [child, folder, ...seeds], { env })
    return stdout
  }
  return Promise.all([run('forwards'), run('backwards')])
}

const strays: readonly (readonly [what: string, patch: Patch])[] = [
  [
    'the real time in a deadline',
    {
      file: 'runtime/core/elector.js',
      find: 'return this.nextAt;',
      replace: 'return this.nextAt + (Date.now() % 100);'
    }
  ],
  [
    'chance in a batch',
    {
      file: 'runtime/core/exchange.js',
      find: 'if (this.open.length >= batchBytes)',
      replace: 'if (this.open.length >= batchBytes || Math.random() < 0.5)'
    }
  ],
  [
    'an order of iteration that is another in each process',
    {
      file: 'runtime/core/worker.js',
      find: 'for (const channel of this.topology.outgoing.values()) for (const frame of channel.take())',
      replace:
        "const all = [...this.topology.outgoing.values()]; for (const channel of process.env.STRAY === 'backwards' ? all.reverse() : all) for (const frame of channel.take())"
    }
  ]
]

void t.test('two processes run the same seeds event for event', async t => {
  const [one, other] = await traces(build)
  t.equal(one, other)
  t.equal(one?.trim().split('\n').length, seeds.length)
})

for (const [what, patch] of strays)
  void t.test(`${what} is noticed`, async t => {
    const patched = patchedBuild([patch])
    t.teardown(() => patched.remove())
    const [one, other] = await traces(patched.folder)
    t.not(one, other)
  })
