/** Topics, dead letters and savepoints from the command line: with the job running, and without. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { CairnFolder, root } from './cairn-cli.ts'

// Each line starts a process or more.
t.setTimeout(600_000)
const folder = new CairnFolder()
t.teardown(() => folder.remove())
const file = folder.file(
  'relay.ts',
  `
import { Actor, job, json, topic } from 'cairn'
class Count extends Actor {
  count = 0
  receive(event, ctx) {
    if (event.fail) throw new Error('it failed')
    ctx.emit({ key: ctx.key, count: ++this.count })
  }
}
export default job('relay', j => {
  const source = j.source('events', topic('events', { value: json() }), { onError: 'dead-letter' })
  return { out: source.keyBy(e => e.key).actor(Count, { onError: 'dead-letter' }).to('out', topic('out', { value: json() })) }
}, { interval: '20ms' })`
)
const lines = (text: string): unknown[] =>
  text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as unknown)

void t.test('a topic that does not exist is named, with those that do', t => {
  t.match(folder.cairn('run', file), { code: 1, stderr: /TOPIC_MISSING: .*"events" does not exist/ })
  t.match(folder.cairn('log', 'append', file, 'events', '{"key":"a"}', '--partitions', '2'), {
    code: 0,
    stderr: /appended 1 record to topic "events"/
  })
  t.match(folder.cairn('log', 'tail', 'relay', 'evnets'), {
    code: 1,
    stderr: /"evnets" does not exist; there are: events/
  })
  t.match(folder.cairn('log', 'tail', 'relay', 'events'), { code: 0, stdout: '0/0  {"key":"a"}\n' })
  t.match(folder.cairn('log', 'tail', 'relay', 'events', '--partition', '7'), {
    code: 1,
    stderr: /2 partitions, so no 7/
  })
  t.match(folder.cairn('log', 'append', 'relay', 'bad topic', 'x'), {
    code: 1,
    stderr: /NAME_INVALID: topic "bad topic"/
  })
  t.match(folder.cairn('log', 'append', file, 'events', '{"key":'), {
    code: 2,
    stderr: /USAGE: source "events" cannot read "\{\\"key\\":"[^]*--unchecked/
  })
  t.match(folder.cairn('dead-letters', 'list', 'relay'), { code: 0, stdout: '', stderr: /has no dead letters/ })
  t.end()
})

void t.test('the lines of standard input are appended, in partitions by key', t => {
  const bin = join(root, 'deploy/bin/cairn.cjs')
  const appended = spawnSync(
    process.execPath,
    [bin, 'log', 'append', 'relay', 'many', '--key', 'π', '--partitions', '3'],
    {
      cwd: folder.path,
      encoding: 'utf8',
      input: Array.from({ length: 2500 }, (_, i) => `line ${i}\r\n\n`).join('')
    }
  )
  t.match(appended.stderr, /appended 2500 records to topic "many"/)
  const tail = lines(folder.cairn('log', 'tail', 'relay', 'many', '--all', '--output', 'jsonl').stdout) as {
    partition: number
    value: string
    key: string
  }[]
  t.same(
    tail.map(each => each.value),
    Array.from({ length: 2500 }, (_, i) => `line ${i}`)
  )
  t.equal(new Set(tail.map(each => `${each.partition} ${each.key}`)).size, 1)
  t.match(lines(folder.cairn('log', 'topics', 'relay', '--output', 'jsonl').stdout), [
    { topic: 'events', partitions: 2, ends: [1, 0] },
    { topic: 'many', partitions: 3 }
  ])
  t.end()
})

void t.test('with the job running: append, follow, dead letters, savepoints; the same afterwards', async t => {
  const running = folder.start('run', file)
  await running.until(/checkpoint \d+/)
  const following = folder.start('log', 'tail', 'relay', 'out', '--follow', '--all')
  await following.until(/"count":1\}/)
  t.match(
    folder.cairn('log', 'append', 'relay', 'events', '{"key":"a"}', '{"key":"a","fail":true}', '--partition', '1'),
    {
      code: 0
    }
  )
  await following.until(/"count":2\}/)
  t.match(folder.cairn('log', 'append', 'relay', 'events', 'no json'), {
    code: 2,
    stderr: /USAGE: source "events" cannot/
  })
  folder.cairn('log', 'append', 'relay', 'events', 'no json', '--unchecked', '--partition', '1')
  const letters = folder.start('log', 'tail', 'relay', 'relay-dead-letters', '--follow')
  await letters.until(/it failed[^]*no json/)
  letters.child.kill('SIGINT')
  t.equal((await letters.ended).code, 0)
  t.match(folder.cairn('savepoint', 'create', 'relay', 'first'), { code: 0, stdout: /name +first\nepoch +\d+/ })
  t.match(folder.cairn('savepoint', 'create', 'relay', 'first'), {
    code: 1,
    stderr: /there is a savepoint "first" already/
  })
  t.match(folder.cairn('savepoint', 'create', 'relay', 'fir st'), { code: 2, stderr: /a savepoint's name must match/ })
  const live = folder.cairn('dead-letters', 'list', 'relay')
  t.match(live.stdout, /stage +key +id +error[^]*Count +a +events\/1\/1 +it failed[^]*events +- +events\/1\/2/)
  t.match(folder.cairn('stop', 'relay'), { code: 0 })
  t.match(await running.ended, { code: 0 })
  t.match(await following.ended, { code: 0 }, 'following ends with the job')

  t.equal(folder.cairn('dead-letters', 'list', 'relay').stdout, live.stdout)
  const newest = lines(folder.cairn('dead-letters', 'list', file, '--limit', '1', '--output', 'jsonl').stdout)
  t.match(newest, [{ stage: 'events', id: 'events/1/2' }])
  t.match(folder.cairn('dead-letters', 'list', file, '--stage', 'Count').stdout, /events\/1\/1/)
  t.match(JSON.parse(folder.cairn('dead-letters', 'show', 'relay', 'events/1/1', '--output', 'json').stdout), {
    stage: 'Count',
    error: 'it failed',
    event: { key: 'a', fail: true }
  })
  t.match(folder.cairn('dead-letters', 'show', 'relay', 'events/9/9'), {
    code: 1,
    stderr: /NOT_FOUND: .*"events\/9\/9"/
  })
  t.match(lines(folder.cairn('savepoint', 'list', 'relay', '--output', 'jsonl').stdout), [{ name: 'first' }])
  t.match(folder.cairn('savepoint', 'create', 'relay', 'late'), { code: 1, stderr: /NOT_RUNNING/ })
  t.match(folder.cairn('log', 'tail', 'relay', 'out', '--follow'), { code: 1, stderr: /NOT_RUNNING/ })
})
