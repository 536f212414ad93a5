/** A job of a real cluster is taken back to a savepoint while its workers run: they end, and started again go on from there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { NatsServer } from '../support/nats-server.ts'
import { needs } from '../support/services.ts'
import { TransfersJob } from '../support/transfers-job.ts'
import { cairnBin, storageOf, WorkerProcess } from '../support/worker-process.ts'

t.setTimeout(300_000)

void t.test('a savepoint of a cluster, and the way back to it', needs('nats-server'), async t => {
  const nats = await NatsServer.start(t)
  const job = new TransfersJob(t, nats.port, 'transfers', { perSource: 5_000 })
  const start = (name: string): WorkerProcess => new WorkerProcess(t, job.at, name, '--lost-after', '2s')
  const old = [start('w1'), start('w2')]
  await Promise.all(old.map(worker => worker.runs()))
  await job.progress()

  t.match(await job.cluster('cluster', 'savepoint', 'transfers', 'before'), /before/)
  t.match(await job.cairn('savepoint', 'list', 'transfers'), /before/)
  t.match(
    await job.fails('cluster', 'savepoint', 'transfers', 'before', '--nats', job.at.nats),
    /OPTION_INVALID.*"before"/
  )
  t.match(
    await job.fails('cluster', 'savepoint', 'transfers', '../x', '--nats', job.at.nats),
    /OPTION_INVALID.*"\.\.\/x"/
  )
  await job.progress()

  const back = spawn(
    process.execPath,
    [cairnBin, 'run', 'job.mjs', '--restore', 'before', '--fork', '--storage', storageOf(job.at)],
    { cwd: job.at.folder, stdio: ['ignore', 'ignore', 'pipe'] }
  )
  t.teardown(() => back.kill('SIGKILL'))
  let said = ''
  for await (const chunk of back.stderr) {
    said += String(chunk)
    if (/goes back to savepoint "before"/.test(said)) break
  }
  t.match(said, /goes back to savepoint "before".* in lineage 2/)
  back.kill('SIGTERM')
  const exit = back.exitCode === null ? ((await once(back, 'exit')) as [number])[0] : back.exitCode
  t.equal(exit, 0, said)
  for (const worker of old) {
    t.equal(await worker.exited, 1)
    t.match(worker.text, /LINEAGE_ENDED.*goes on in lineage 2/)
  }

  const again = [start('w1'), start('w2')]
  await Promise.all(again.map(worker => worker.runs()))
  job.release()
  for (const worker of again) t.equal(await worker.exited, 0, worker.text)
  job.rightInLineage(t, 2)
})
