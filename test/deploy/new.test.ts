/** `cairn new` makes a folder that type-checks, runs and passes its own test. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CairnFolder, root } from './cairn-cli.ts'

// Each line starts a process or more.
t.setTimeout(600_000)
const folder = new CairnFolder()
t.teardown(() => folder.remove())
const shop = join(folder.path, 'Shop')

function run(command: string, ...args: string[]): { code: number | null; text: string } {
  const { NODE_OPTIONS: _options, TAP: _tap, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: shop, encoding: 'utf8', env })
  return { code: status, text: stdout + stderr }
}

void t.test('a new folder holds a job, its test and what they need, and names no place on this machine', t => {
  t.match(folder.cairn('new', 'Shop'), { code: 0, stdout: /npm install\n +npx --no-install cairn run job\.ts/ })
  t.same(readdirSync(shop).sort(), [
    '.gitignore',
    'README.md',
    'job.test.ts',
    'job.ts',
    'package.json',
    'tsconfig.json',
    'visits.ndjson'
  ])
  for (const name of readdirSync(shop))
    t.notMatch(readFileSync(join(shop, name), 'utf8'), /__NAME__|:\/\/localhost/, name)
  const manifest = JSON.parse(folder.text('Shop/package.json')) as { dependencies: { cairn: string } }
  t.match(manifest, { name: 'shop', private: true, devDependencies: { tsx: /\d/, typescript: /\d/ } })
  t.equal(join(shop, manifest.dependencies.cairn.replace('file:', ''), '.'), join(root, '.'))
  t.end()
})

void t.test('what is there already is left alone, and a name that is none is refused', t => {
  t.match(folder.cairn('new', 'Shop'), {
    code: 1,
    stderr: /OPTION_INVALID: "Shop" is there already; nothing was changed/
  })
  t.match(folder.cairn('new', 'my shop'), { code: 1, stderr: /NAME_INVALID: job "my shop" must match/ })
  t.end()
})

void t.test('it type-checks, its test passes, and it runs with its broken line as a dead letter', t => {
  // What npm install would put there.
  mkdirSync(join(shop, 'node_modules/@types'), { recursive: true })
  symlinkSync(root, join(shop, 'node_modules/cairn'))
  for (const tool of ['tsx', 'typescript', '@types/node'])
    symlinkSync(join(root, 'node_modules', tool), join(shop, 'node_modules', tool))
  const types = run(process.execPath, 'node_modules/typescript/bin/tsc')
  t.same(types, { code: 0, text: '' })
  const tested = run(process.execPath, '--import', 'tsx', '--test', 'job.test.ts')
  t.match(tested, { code: 0, text: /pass 2[^]*fail 0/ })
  const ran = run(process.execPath, 'node_modules/cairn/deploy/bin/cairn.cjs', 'run', 'job.ts')
  t.match(ran, { code: 0, text: /job "Shop" has finished/ })
  const reports = readdirSync(join(shop, 'reports'))
    .filter(name => name.endsWith('.ndjson'))
    .flatMap(name => folder.text(`Shop/reports/${name}`).split('\n'))
    .filter(line => line !== '')
  t.equal(reports.length, 4)
  const letters = run(process.execPath, 'node_modules/cairn/deploy/bin/cairn.cjs', 'dead-letters', 'list', 'Shop')
  t.match(letters, { code: 0, text: /visits +visits\/0\/224 +Unexpected token.*JSON/ })
  t.end()
})
