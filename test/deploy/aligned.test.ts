/** Keys that stay where their partition is read: the same output, and a job that ends by name where one does not. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CairnFolder } from './cairn-cli.ts'

// Each line starts a process.
t.setTimeout(300_000)

const text = (key: string, slots: number): string => `
import { Actor, job, json, topic, files } from 'cairn'
class Count extends Actor {
  count = 0
  receive(event, ctx) { ctx.emit(ctx.key + ' ' + ++this.count) }
}
export default job('aligned', j => ({
  out: j.source('events', topic('events', { value: json() }))
    .filter(e => e.n >= 0)
    .keyBy(e => ${key}, { aligned: true })
    .actor(Count, { onError: 'dead-letter' })
    .to('out', files('out', json()))
}), { slots: ${slots}, keyGroups: 48, parallelism: 2, interval: '20ms', onError: 'dead-letter' })`

const names = ['ada', 'bob', 'π']
const folder = new CairnFolder()
t.teardown(() => folder.remove())

function rows(): string[] {
  const out = join(folder.path, 'out')
  if (!existsSync(out)) return []
  return readdirSync(out)
    .filter(name => name.endsWith('.ndjson') && !name.startsWith('.'))
    .flatMap(name => readFileSync(join(out, name), 'utf8').split('\n'))
    .filter(line => line !== '')
}

void t.test('whoever reads a partition handles its keys', async t => {
  folder.file('job.ts', text('e.name', 4))
  for (const name of names) {
    const values = [1, 2, 3].map(n => JSON.stringify({ name, n }))
    folder.cairn('log', 'append', 'job.ts', 'events', ...values, '--key', name, '--partitions', '4')
  }
  t.match(folder.cairn('plan', 'job.ts'), { code: 0, stdout: /keyBy \(aligned\)/ })
  const running = folder.start('run', 'job.ts')
  while (rows().length < 9) await new Promise(resolve => setTimeout(resolve, 50))
  running.child.kill('SIGINT')
  t.equal((await running.ended).code, 0)
  t.same(rows().sort(), names.flatMap(name => [1, 2, 3].map(n => `"${name} ${n}"`)).sort())
})

void t.test('a key that is not that of the partition ends the job, whatever onError says', t => {
  folder.file('job.ts', text("'same'", 4))
  t.match(folder.cairn('run', 'job.ts', '--fresh'), {
    code: 1,
    stderr: /ALIGNMENT_BROKEN: source "events", partition "\d", position 0: key same belongs to partitions \d \+ n × 4/
  })
  folder.file('job.ts', text('e.name', 3))
  t.match(folder.cairn('run', 'job.ts', '--fresh'), { code: 1, stderr: /ALIGNMENT_BROKEN: / }, 'slots do not divide 4')
  t.end()
})

void t.test('only what comes from a source can be aligned', t => {
  folder.file(
    'job.ts',
    `
import { Actor, generator, job, json, files } from 'cairn'
class Count extends Actor { receive(event, ctx) { ctx.emit(ctx.key) } }
class Again extends Actor { receive(event, ctx) { ctx.emit(ctx.key) } }
export default job('odd', j => ({
  out: j.source('n', generator({ count: 1 }, n => ({ n }))).keyBy(e => 'k').actor(Count)
    .keyBy(e => e, { aligned: true }).actor(Again).to('out', files('out', json()))
}))`
  )
  t.match(folder.cairn('run', 'job.ts'), { code: 1, stderr: /an aligned keyBy stands behind stage "Count"/ })
  t.end()
})
