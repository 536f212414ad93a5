/** `npm test`: prepares the project, lints, runs every test this machine can run, and closes with `N passed, N failed`. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fillDemo } from './fill-demo.mjs'
import { prepare, root, run } from './prepare.mjs'

prepare()
await fillDemo()
run('checking the formatting', process.execPath, [
  'node_modules/prettier/bin/prettier.cjs',
  '--check',
  '--log-level',
  'warn',
  '.'
])
run('linting', process.execPath, ['node_modules/eslint/bin/eslint.js', '--max-warnings', '0', '.'])

const tests = []
const collect = folder => {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true }))
    if (entry.isDirectory()) collect(`${folder}/${entry.name}`)
    else if (entry.name.endsWith('.test.js')) tests.push(`${folder}/${entry.name}`)
}
collect('dist/test')

/** Runs one file in a process of its own. */
async function runFile(test) {
  const result = { passed: 0, failures: [], left: [] }
  const began = performance.now()
  const child = spawn(process.execPath, ['--enable-source-maps', test], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    // A whole file: tap's own 30 seconds are too short on a busy machine. Tests set their own, shorter ones.
    env: { TAP_TIMEOUT: '600', ...process.env }
  })
  const exit = new Promise(resolve => child.on('exit', code => resolve(code ?? 1)))
  let details = ''
  // What a random test began from, among them.
  let comments = ''
  for await (const line of createInterface(child.stdout)) {
    if (/^ok .* # SKIP/.test(line)) result.left.push(line)
    else if (/^ok /.test(line)) result.passed++
    else if (/^not ok /.test(line)) result.failures.push(line)
    if (/^ *# (?!Subtest|time=|\{)/.test(line)) comments += `${line}\n`
    // Details come before the line that sums up, indented.
    if (details !== '' || /^ *not ok /.test(line)) details += `${line}\n`
  }
  process.stderr.write(details === '' ? '' : comments + details)
  const code = await exit
  const { passed, failures, left } = result
  if (code !== 0 && failures.length === 0) failures.push(`${test} ended with code ${code}`)
  if (passed + left.length === 0 && failures.length === 0) failures.push(`${test} ran no test`)
  const seconds = Math.round((performance.now() - began) / 1000)
  process.stdout.write(
    `${failures.length === 0 ? 'ok' : 'FAILED'} ${test.slice('dist/test/'.length)}: ${passed} passed, ${seconds} s\n`
  )
  for (const failure of failures) process.stdout.write(`    ${failure}\n`)
  for (const line of left)
    process.stdout.write(`    SKIPPED ${line.replace(/^ok \d+ - /, '').replace(/ # SKIP/, ':')}\n`)
  return result
}

let passed = 0
let failed = 0
const skipped = []
// As many at once as there are cores. Long ones go first, so that no core waits at the end: the longest, then the rooms that are last in the
// alphabet, which have most of the others.
const isLongest = test => test.includes('/command-line/')
const waiting = tests.sort((a, b) => Number(isLongest(b)) - Number(isLongest(a)) || (a < b ? 1 : -1))
async function runFiles() {
  for (let test = waiting.shift(); test !== undefined; test = waiting.shift()) {
    const result = await runFile(test)
    passed += result.passed
    failed += result.failures.length
    skipped.push(...result.left.map(() => test.slice('dist/test/'.length)))
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, runFiles))
if (skipped.length > 0)
  process.stdout.write(
    `\nSKIPPED: ${skipped.length} tests of ${[...new Set(skipped)].join(', ')}, for want of a service (see above)\n\n`
  )
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
