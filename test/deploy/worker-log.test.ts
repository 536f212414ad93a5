import t from 'tap'
import { WorkerLog } from '../../deploy/cluster/worker-log.ts'

void t.test('refused connections are told, but nobody can fill the log with them', t => {
  const lines = t.capture(process.stderr, 'write', () => true)
  let now = 0
  const log = new WorkerLog('w1', () => now)
  log.refused('it says no hello')
  for (now = 1; now < 1_000; now++) log.refused('it says no hello')
  now = 10_001
  log.refused('it seeks worker "x" of job "y"')
  const said = lines().map(({ args }) => JSON.parse(String(args[0])) as Record<string, unknown>)
  t.match(said, [
    { level: 'warn', worker: 'w1', message: 'a data connection was refused: it says no hello' },
    { message: 'a data connection was refused: it seeks worker "x" of job "y"', others: 999 }
  ])
  t.equal(said.length, 2)
  t.end()
})
