/** Ctrl-C on a running job, and the commands that end it from outside. */
import t from 'tap'
import { CairnFolder } from './cairn-cli.ts'

// Each line starts a process or more.
t.setTimeout(600_000)
const folder = new CairnFolder()
t.teardown(() => folder.remove())
const endless = folder.file(
  'endless.ts',
  `
import { Actor, job, json, generator, files } from 'cairn'
class Count extends Actor {
  count = 0
  async receive() {
    this.count++
    if (process.env.STUCK) await new Promise(() => {})
  }
}
export default job('endless', j => {
  const source = j.source('numbers', generator({ count: 1e9 }, n => n))
  return { out: source.keyBy(n => n % 7).actor(Count).to('out', files('out', json())) }
}, { interval: '50ms' })`
)

void t.test('the first Ctrl-C drains with a last checkpoint; started again the job goes on', async t => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const running = folder.start('run', endless)
    await running.until(/checkpoint \d+/)
    running.child.kill(signal)
    t.match(await running.ended, { code: 0, stderr: /draining; [^]*"endless" drained; started again, it goes on/ })
  }
  t.match(JSON.parse(folder.cairn('checkpoint', 'list', 'endless', '--output', 'json').stdout), [
    { generation: 2, final: false }
  ])
})

void t.test('the second Ctrl-C ends a drain that cannot end, with exit code 130', async t => {
  folder.file(
    'stuck.ts',
    folder.text('endless.ts').replaceAll('process.env.STUCK', 'true').replace("'endless'", "'stuck'")
  )
  const running = folder.start('run', 'stuck.ts', '--storage', 'stuck')
  await running.until(/stuck: .*\d+ read/)
  running.child.kill('SIGINT')
  await running.until(/draining/)
  running.child.kill('SIGINT')
  t.equal((await running.ended).code, 130)
})

void t.test(
  'another process asks the running job: status, state, checkpoint, stop; a second run is refused',
  async t => {
    const running = folder.start('run', endless)
    await running.until(/checkpoint \d+/)
    t.match(folder.cairn('run', endless), {
      code: 1,
      stderr: /LOCKED: folder ".*endless" is in use by another process/
    })
    t.match(folder.cairn('status', 'endless'), { code: 0, stdout: /phase +running[^]*checkpoint +\{/ })
    const { code, stdout, stderr } = folder.cairn('state', 'get', 'endless', 'Count', '3')
    t.match({ code, stdout, stderr }, { code: 0, stdout: /count +\d+/, stderr: /^$/ })
    t.match(folder.cairn('checkpoint', 'create', endless), { code: 0, stdout: /epoch +\d+/ })
    t.match(folder.cairn('stop', 'endless'), { code: 0, stderr: /job "endless" has ended/ })
    t.match(await running.ended, { code: 0, stderr: /"endless" drained/ })
    t.match(folder.cairn('stop', 'endless'), { code: 1, stderr: /NOT_RUNNING/ })
  }
)
