/** A real process is killed with SIGKILL again and again; the output equals that of an undisturbed run. */
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Prng } from '../../runtime/kernel/prng.ts'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const cairn = join(root, 'deploy/bin/cairn.cjs')

interface Ended {
  readonly signal: NodeJS.Signals | null
  readonly code: number | null
  readonly stderr: string
}

function run(folder: string, args: readonly string[], killAt?: string, killAfterMs?: number): Promise<Ended> {
  const env = { ...process.env, ...(killAt === undefined ? {} : { CAIRN_TEST_KILL_AT: killAt }) }
  const child = spawn(process.execPath, [cairn, 'run', 'orders.ts', ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let stderr = ''
  child.stderr.on('data', chunk => (stderr += String(chunk)))
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
  return new Promise(resolve =>
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stderr })
    })
  )
}

/** Lines per key, in the order of publication. */
function outputs(folder: string, sink: string, key: string): Record<string, string[]> {
  const path = join(folder, '.cairn/orders', sink)
  const byKey: Record<string, string[]> = {}
  for (const name of readdirSync(path).sort()) {
    if (!name.endsWith('.ndjson')) continue
    for (const line of readFileSync(join(path, name), 'utf8').split('\n')) {
      if (line === '') continue
      const value = JSON.parse(line) as Record<string, string>
      ;(byKey[value[key] as string] ??= []).push(line)
    }
  }
  return byKey
}

for (const parallelism of [1, 3]) {
  void t.test(
    `killed at every step, parallelism ${parallelism}: the output is that of an undisturbed run`,
    { timeout: 240_000 },
    async t => {
      const folders = ['calm', 'killed'].map(() => mkdtempSync(join(tmpdir(), 'cairn-kill-'))) as [string, string]
      t.teardown(() => folders.forEach(folder => rmSync(folder, { recursive: true, force: true })))
      for (const folder of folders) copyFileSync(join(root, 'examples/orders.ts'), join(folder, 'orders.ts'))
      const [calm, killed] = folders
      const args = ['--parallelism', String(parallelism), '--interval', '10ms']
      const undisturbed = await run(calm, args)
      t.equal(undisturbed.code, 0, undisturbed.stderr)

      const seed = process.env['CAIRN_SEED'] ?? String(parallelism)
      t.comment(`seed ${seed}`)
      const random = new Prng(seed)
      const points = ['delta', 'before-decision', 'after-decision', 'publish', 'published']
      let kills = 0
      for (let round = 0; round < 15; round++) {
        const ended = await run(killed, args, `${points[round % points.length]}:${1 + random.int(3)}`)
        if (ended.signal === 'SIGKILL') kills++
        else if (ended.code !== 0) t.fail(ended.stderr)
      }
      for (let round = 0; round < 5; round++)
        if ((await run(killed, args, undefined, 50 + random.int(400))).signal === 'SIGKILL') kills++
      const last = await run(killed, args)
      t.equal(last.code, 0, last.stderr)
      t.ok(kills >= 8, `${kills} kills`)
      t.same(outputs(killed, 'repeats', 'order'), outputs(calm, 'repeats', 'order'))
      const sorted = (all: Record<string, string[]>): unknown =>
        parallelism === 1 ? all : Object.fromEntries(Object.entries(all).map(([key, lines]) => [key, lines.length]))
      t.same(sorted(outputs(killed, 'receipts', 'customer')), sorted(outputs(calm, 'receipts', 'customer')))
    }
  )
}

void t.test('the comparison notices one line lost, doubled or out of order', t => {
  const lines = { a: ['1', '2'] }
  for (const wrong of [['1'], ['1', '1', '2'], ['2', '1']]) t.notSame({ a: wrong }, lines)
  t.end()
})
