/** Every example runs as its reader would run it, to its end, with an outcome that is the same each time. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

/** Records per output folder of each example. */
const outcomes: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  fraud: { alerts: 45, held: 842 },
  orders: { receipts: 15_000, repeats: 5_000 },
  routes: { routes: 199 },
  payments: { receipts: 500 },
  shopping: { visits: 4001, abandoned: 1340, late: 4 }
}

function records(folder: string): unknown[] {
  return readdirSync(folder)
    .filter(name => name.endsWith('.ndjson'))
    .flatMap(name => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as unknown)
}

for (const [name, outputs] of Object.entries(outcomes))
  void t.test(`examples/${name}.ts runs to its end by the command line`, t => {
    const cwd = mkdtempSync(join(tmpdir(), `cairn-${name}-`))
    t.teardown(() => rmSync(cwd, { recursive: true, force: true }))
    const run = (): { status: number | null; stderr: string } =>
      spawnSync(
        process.execPath,
        [join(root, 'deploy/bin/cairn.cjs'), 'run', join(root, 'examples', `${name}.ts`), '--parallelism', '2'],
        { cwd, encoding: 'utf8', timeout: 600_000 }
      )
    t.match(run(), { status: 0, stderr: /finished/ })
    for (const [output, count] of Object.entries(outputs))
      t.equal(records(join(cwd, '.cairn', name, output)).length, count, output)
    t.match(run(), { status: 0, stderr: /has finished/ })
    t.end()
  })
