/** `cairn dev` restarts the job when it is saved, keeps its state, and says what changed. */
import t from 'tap'
import { CairnFolder } from './cairn-cli.ts'

// Each line starts a process or more.
t.setTimeout(600_000)
const folder = new CairnFolder()
t.teardown(() => folder.remove())

const jobText = (fields: string, rest = ''): string => `
import { Actor, job, json, generator, files } from 'cairn'
import { modulus } from './settings.ts'
class Count extends Actor {
  count = 0
  ${fields}
  async receive() {
    this.count++
  }
}
export default job('endless', j => {
  const source = j.source('numbers', generator({ count: 1e9 }, n => n))
  return { out: source.keyBy(n => n % modulus).actor(Count).to('out', files('out', json())) }
}, { interval: '50ms' ${rest} })`
const count = (): number =>
  Number(
    (JSON.parse(folder.cairn('state', 'get', 'endless', 'Count', '0', '--output', 'json').stdout) as { count: number })
      .count
  )

void t.test('a save restarts the job with its state; one that cannot run leaves it alone', async t => {
  folder.file('settings.ts', 'export const modulus = 7')
  folder.file('job.ts', jobText(''))
  const dev = folder.start('dev', 'job.ts')
  await dev.until(/checkpoint \d+/)
  const before = count()

  folder.file('job.ts', jobText('greatest = 0', ', parallelism: 2'))
  await dev.until(
    /saved; the plan has changed:\n +parallelism: 1 → 2\n +stage Count: field greatest added\n[^]*checkpoint/
  )
  t.match(folder.cairn('status', 'endless').stdout, /generation +2/)
  t.ok(count() > before, 'state is kept')

  folder.file('job.ts', jobText('= broken'))
  await dev.until(/JOB_FILE_INVALID[^]*does not compile[^]*the job goes on as it was/)
  folder.file('job.ts', jobText('greatest = 0', ', parallelism: 0'))
  await dev.until(/PLAN_INVALID[^]*parallelism/)
  t.match(folder.cairn('status', 'endless').stdout, /generation +2/)

  folder.file('job.ts', jobText('greatest = 0', ', parallelism: 2'))
  folder.file('settings.ts', 'export const modulus = 8')
  await dev.until(/saved; the plan is the same/)
  dev.child.kill('SIGINT')
  t.match(await dev.ended, { code: 0 })
})

void t.test('a job that fails or does not fit its state waits for the next save', async t => {
  const dev = folder.start('dev', folder.file('other.ts', jobText('greatest = 0', ', slots: 4')))
  await dev.until(/STATE_INCOMPATIBLE[^]*slots was 8 and is 4[^]*waiting for the next save/)
  folder.file('other.ts', jobText("boom = (() => { throw new Error('at the probe') })()"))
  await dev.until(/at the probe/)
  folder.file('other.ts', jobText('greatest = 0'))
  await dev.until(/saved[^]*checkpoint \d+/)
  dev.child.kill('SIGTERM')
  t.match(await dev.ended, { code: 0 })
})
