/** Every test that uses `drive`, unchanged, against the built command line: its jobs run in processes of `cairn run`. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { root } from '../deploy/cairn-cli.ts'
import { excused } from './excused.ts'

const tests = join(root, 'dist/test')
const usesDriver = (path: string): boolean =>
  /from ['"][./]*\/simulations\/driver\/index\.js['"]/.test(readFileSync(path, 'utf8'))

/** Of the files that use `drive`, themselves or through test/support. */
function driveFiles(): string[] {
  const support = readdirSync(join(tests, 'support')).filter(
    name => name.endsWith('.js') && usesDriver(join(tests, 'support', name))
  )
  return readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.js'))
    .filter(name => {
      const text = readFileSync(join(tests, name), 'utf8')
      return usesDriver(join(tests, name)) || support.some(helper => text.includes(`/support/${helper}`))
    })
    .map(name => name.replaceAll('\\', '/').replace('.test.js', ''))
    .sort()
}

async function run(file: string, env: Readonly<Record<string, string>> = {}): Promise<{ ok: boolean; output: string }> {
  const path = join(tests, `${file}.test.js`)
  const left = excused[file]
  const child = spawn(process.execPath, ['--import', pathToFileURL(join(tests, 'command-line/hook.js')).href, path], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      TAP: '1',
      TAP_TIMEOUT: '280',
      DRIVE_FILE: pathToFileURL(path).href,
      DRIVE_EXCUSED: JSON.stringify(typeof left === 'object' ? left : {}),
      ...env
    }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += String(chunk)))
  const code = await new Promise(resolve => child.on('close', resolve))
  // Something passed that was not left out.
  return { ok: code === 0 && /^ok (?!.*# SKIP)/m.test(output), output }
}

// What hangs is ended by the limit of each program; this one is for all of them, one after another, on a machine that may be busy.
t.setTimeout(1_800_000)
const files = driveFiles()

void t.test('what is left out is named with its reason, and is there', t => {
  for (const [file, left] of Object.entries(excused)) {
    t.ok(files.includes(file), `${file} uses drive`)
    if (typeof left === 'string') t.comment(`left out: ${file}: ${left}`)
    else for (const [name, reason] of Object.entries(left)) t.comment(`left out: ${file}, "${name}": ${reason}`)
  }
  t.end()
})

for (const file of files.filter(each => typeof excused[each] !== 'string'))
  void t.test(`${file} passes against the command line`, { timeout: 600_000 }, async t => {
    const { ok, output } = await run(file)
    t.ok(ok, file, { output })
    for (const name of Object.keys(excused[file] ?? {}))
      t.ok(output.includes(` - ${name} # SKIP`), `there is a test "${name}" to leave out`)
  })

void t.test('a job that loses its output makes a test fail', { timeout: 600_000 }, async t => {
  const { ok, output } = await run('examples/fraud', { DRIVE_DROP: '1' })
  t.notOk(ok)
  t.match(output, /not ok [0-9]+ - an amount unlike the account/)
})
