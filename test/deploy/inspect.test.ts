/** Commands that look at a job: while it runs, and when only its files are there. */
import { appendFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CairnFolder } from './cairn-cli.ts'

// Each line starts a process or more.
t.setTimeout(600_000)
const folder = new CairnFolder()
t.teardown(() => folder.remove())
const file = folder.file(
  'count.ts',
  `
import { Actor, job, json, lines, files } from 'cairn'
class Count extends Actor {
  count = 0
  receive(event, ctx) {
    ctx.emit({ key: ctx.key, count: ++this.count })
  }
}
export default job('count', j => {
  const source = j.source('events', lines('events.ndjson', json()), { time: event => event.at ?? 0 })
  return { out: source.keyBy(e => e.key).actor(Count).to('out', files('out', json())) }
})`
)
const keys = ['a', '42', 42, ['eu', 7], '__proto__', '\u001b[31m', '-x']
writeFileSync(join(folder.path, 'events.ndjson'), keys.map(key => `${JSON.stringify({ key })}\n`).join(''))

void t.test('before the job ever ran there is nothing to show, and that is said', t => {
  t.match(folder.cairn('checkpoint', 'list', 'count'), {
    code: 1,
    stderr: /NOT_FOUND: storage "\.cairn" holds no job "count"; it holds none/
  })
  t.match(folder.cairn('state', 'get', file, 'Count', 'a'), {
    code: 1,
    stderr: /NOT_FOUND: job "count" has no completed checkpoint/
  })
  t.match(folder.cairn('status', file), { code: 1, stderr: /NOT_RUNNING: job "count" is not running/ })
  t.end()
})

void t.test('state get takes every kind of key, by job name and by job file', t => {
  t.match(folder.cairn('run', file), { code: 0 })
  const state = (...args: string[]): unknown => folder.cairn('state', 'get', ...args, '--output', 'json')
  for (const args of [['a'], ['42'], ['"42"', '--key-json'], ['["eu",7]'], ['__proto__'], ['\u001b[31m']])
    t.match(state('count', 'Count', ...args), { code: 0, stdout: '{\n  "count": 1\n}\n' }, args.join(' '))
  t.match(folder.cairn('state', 'get', file, 'Count', '--', '-x'), { code: 0, stdout: 'count  1\n' })
  t.match(folder.cairn('state', 'get', 'count', 'Count', 'a'), {
    stdout: 'count  1\n',
    stderr: /as of checkpoint 1; the job is not running/
  })
  t.match(state('count', 'Count', 'nobody'), { code: 1, stderr: /holds nothing under the key "nobody"/ })
  t.match(state('count', 'Cuont', 'a'), { code: 1, stderr: /no stage or actor "Cuont"; there are Count/ })
  t.match(state('cuont', 'Count', 'a'), { code: 1, stderr: /holds no job "cuont"; it holds count/ })
  t.match(state('count', 'Count', 'x'.repeat(100_000)), { code: 1, stderr: /KEY_INVALID: a key of 100000 bytes/ })
  t.match(state('count', 'Count', '0.5'), { code: 1, stderr: /KEY_INVALID: a key is 0.5/ })
  t.match(state('count', 'Count', '{', '--key-json'), { code: 2, stderr: /USAGE: key "\{" is not JSON/ })
  t.match(folder.cairn('state', 'get', 'count', 'Count', 'a', '--output', 'xml'), {
    code: 2,
    stderr: /table, json, jsonl/
  })
  t.end()
})

void t.test('checkpoints are listed, inspected and verified; a damaged file is named', t => {
  const list = folder.cairn('checkpoint', 'list', 'count', '--output', 'jsonl')
  const [newest, start] = list.stdout.split('\n')
  t.match(JSON.parse(newest ?? ''), { epoch: 1, generation: 1, final: true, files: 'retained' })
  t.match(JSON.parse(start ?? ''), { epoch: 0, final: false }, 'what the job began with')
  t.match(folder.cairn('checkpoint', 'inspect', 'count'), { code: 0, stdout: /sources[^]*events[^]*stages[^]*Count/ })
  t.match(folder.cairn('checkpoint', 'inspect', 'count', '9'), {
    code: 1,
    stderr: /NOT_FOUND: job "count" has no checkpoint 9/
  })
  t.match(folder.cairn('checkpoint', 'inspect', 'count', 'x'), { code: 2, stderr: /whole number from 0/ })
  t.match(folder.cairn('checkpoint', 'verify', 'count'), { code: 0, stdout: /problems +0/ })
  const deltas = join(folder.path, '.cairn/count/lineages/1/deltas')
  for (const name of readdirSync(deltas)) truncateSync(join(deltas, name), 30)
  t.match(folder.cairn('checkpoint', 'verify', 'count'), { code: 1, stdout: /CORRUPT: file "deltas\/.*" of epoch 1/ })
  t.end()
})

void t.test('a flag goes before the environment, which goes before the default', t => {
  folder.env = { CAIRN_STORAGE: 'nowhere', CAIRN_OUTPUT: 'json' }
  t.match(folder.cairn('state', 'get', 'count', 'Count', 'a'), { code: 1, stderr: /storage "nowhere" holds no job/ })
  const inspected = folder.cairn('checkpoint', 'inspect', 'count', '--storage', '.cairn')
  t.match(JSON.parse(inspected.stdout), { job: 'count' })
  const table = folder.cairn('checkpoint', 'list', 'count', '--storage', '.cairn', '--output', 'table')
  t.match(table.stdout, /^epoch +generation/)
  folder.env = { CAIRN_OUTPUT: 'xml' }
  t.match(folder.cairn('checkpoint', 'list', 'count'), { code: 2, stderr: /CAIRN_OUTPUT.*table, json, jsonl/ })
  folder.env = {}
  t.end()
})

void t.test('a plan is printed as text, Mermaid and JSON', t => {
  t.match(folder.cairn('plan', file), { code: 0, stdout: /stage Count · actor Count[^]*sink out \(exactly-once\)/ })
  t.match(folder.cairn('plan', file, '--format', 'mermaid'), { stdout: /^flowchart LR\n[^]*n0 -->\|"keyBy"\| n1/ })
  t.match(JSON.parse(folder.cairn('plan', file, '--format', 'json').stdout), { job: 'count', sinks: [{ name: 'out' }] })
  t.match(folder.cairn('plan', file, '--format', 'dot'), { code: 2, stderr: /Allowed choices are text, mermaid, json/ })
  appendFileSync(join(folder.path, file), '\nthrow new TypeError("late")')
  t.match(folder.cairn('plan', file), { code: 1, stderr: /JOB_FILE_INVALID[^]*TypeError: late[^]*count\.ts:\d+/ })
  t.end()
})
