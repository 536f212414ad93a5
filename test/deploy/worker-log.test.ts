import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { logEvents } from '../../deploy/cluster/log-events.ts'
import { WorkerLog } from '../../deploy/cluster/worker-log.ts'
import { root } from './cairn-cli.ts'

void t.test('refused connections are told, but nobody can fill the log with them', t => {
  const lines = t.capture(process.stderr, 'write', () => true)
  let now = 0
  const log = new WorkerLog({ worker: 'w1', job: 'orders', format: 'json', level: 'info', elapsed: () => now })
  log.refused('it says no hello')
  for (now = 1; now < 1_000; now++) log.refused('it says no hello')
  now = 10_001
  log.refused('it seeks worker "x" of job "y"')
  const said = lines().map(({ args }) => JSON.parse(String(args[0])) as Record<string, unknown>)
  t.match(said, [
    {
      level: 'warn',
      event: 'connection.refused',
      job: 'orders',
      worker: 'w1',
      message: 'a data connection was refused: it says no hello'
    },
    { message: 'a data connection was refused: it seeks worker "x" of job "y"', others: 999 }
  ])
  t.equal(said.length, 2)
  t.end()
})

void t.test('a line is an object with stable names, or a sentence; what is below the level is not said', t => {
  const lines = t.capture(process.stderr, 'write', () => true)
  const log = new WorkerLog({ worker: 'w1', job: 'orders', format: 'json', level: 'warn' })
  log.say('worker.state', 'running in generation 2')
  log.say('outside.trouble', 'two\nlines', { code: 'BUS_UNREACHABLE', level: 'taken', time: 'taken' })
  new WorkerLog({ worker: 'w1', job: 'orders', format: 'text', level: 'debug' }).say(
    'checkpoint.completed',
    'checkpoint 3',
    { epoch: 3 }
  )
  const [json = '', text = '', ...more] = lines().map(({ args }) => String(args[0]))
  t.same(more, [])
  const { time, ...rest } = JSON.parse(json) as Record<string, unknown>
  t.match(time, /^\d{4}-\d\d-\d\dT.*Z$/)
  t.same(rest, {
    code: 'BUS_UNREACHABLE',
    level: 'warn',
    event: 'outside.trouble',
    job: 'orders',
    worker: 'w1',
    message: 'two\nlines'
  })
  t.equal(json.split('\n').length, 2, 'one line')
  t.match(text, /^\S+Z debug w1: checkpoint 3\n$/)
  t.end()
})

void t.test('docs/operations.md has every event, with its level', t => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([a-z-]+\.[a-z-]+)` +\| (\w+) +\|/gm)].map(([, event, level]) => [event, level])
  t.same(rows, Object.entries(logEvents))
  t.end()
})
