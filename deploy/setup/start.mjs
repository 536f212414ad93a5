/**
 * `npm start`: prepares the project, fills the demo's topic and runs examples/airports.ts, embedded, with no servers. Arguments go
 * to `cairn run`.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { demoFolder as folder, fillDemo } from './fill-demo.mjs'
import { prepare, root } from './prepare.mjs'

const out = join(folder, 'out')
const args = process.argv.slice(2)
const say = text => process.stderr.write(`${text}\n`)

prepare()
const { nodeClock } = await import('../../dist/runtime/adapters/node-clock.js')
const { readResults } = await import('../../dist/deploy/demo/results.js')
const { StoredJob } = await import('../../dist/deploy/stored-job.js')
const { openStorage } = await import('../../dist/deploy/storage-place.js')
const { summary, tryNext } = await import('../../dist/deploy/demo/summary.js')

if ((await fillDemo()) === 'running') {
  say('the demo is running already, in another process: kill that one first, or let it end (about 45 seconds)')
  process.exit(1)
}

/** Undefined where that cannot be said; `cairn run` then says why. */
const finished = async () => {
  try {
    const place = await openStorage(join(root, '.cairn'))
    return (await new StoredJob('airports', place.lineages('airports')).checkpoints())[0]?.final
  } catch (error) {
    // What is wrong with the code, and not with what is stored.
    if (error.code === undefined) throw error
    return undefined
  }
}
const before = (await finished()) === true && !args.includes('--fresh')
const cairn = join(root, 'deploy/bin/cairn.cjs')
const job = spawn(process.execPath, [cairn, 'run', 'examples/airports.ts', '--storage', '.cairn', ...args], {
  cwd: root,
  stdio: 'inherit'
})
if (!before)
  say(
    `running examples/airports.ts at two days of flights a second, about 45 seconds; "kill -9 ${job.pid}" at any time`
  )
// An interrupt from the keyboard reaches the job as well, which drains and then ends.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => job.kill('SIGTERM'))
job.on('exit', (code, signal) => {
  if (signal !== null) say(`\nkilled by ${signal}; run npm start again: it goes on where it was`)
  if (code !== 0) process.exit(code ?? 1)
  finish().catch(error => {
    say(error.stack)
    process.exit(1)
  })
})

async function finish() {
  if ((await finished()) !== true) say('\nstopped before the end; run npm start again: it goes on where it was')
  else process.stdout.write(`\n${summary(await readResults(folder, out, nodeClock))}\n\n${tryNext}`)
}
