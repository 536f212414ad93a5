/** Several worker processes, a real NATS and real connections: kill -9, drain, SIGTERM and a restart, and the output is exact. */
import t from 'tap'
import { NatsServer } from '../support/nats-server.ts'
import { needs } from '../support/services.ts'
import { TransfersJob } from '../support/transfers-job.ts'
import { WorkerProcess } from '../support/worker-process.ts'

t.setTimeout(600_000)

void t.test('workers are killed, drained, stopped and started again', needs('nats-server'), async t => {
  const nats = await NatsServer.start(t)
  const job = new TransfersJob(t, nats.port)
  const flags = ['--lost-after', '2s']
  const start = (name: string): WorkerProcess => new WorkerProcess(t, job.at, name, ...flags)
  const [w1, w2, w3] = [start('w1'), start('w2'), start('w3')]
  await Promise.all([w1.runs(), w2.runs(), w3.runs()])
  await job.progress()

  const status = await job.cluster('cluster', 'status', 'transfers')
  t.match(status, /job "transfers": running, generation \d+/)
  t.match(status, /w1 .*\n.*w2 .*\n.*w3 /)

  t.match(await job.cluster('job', 'rescale', 'transfers', '--tasks', '2'), /runs 2 tasks in each worker/)
  w2.kill()
  t.equal(await w2.exited, 'SIGKILL')
  const again = start('w2')
  await again.runs()
  await job.progress()

  t.match(await job.cluster('worker', 'drain', 'w3', '--job', 'transfers'), /worker "w3" is gone/)
  t.equal(await w3.exited, 0)

  const leader = [w1, again].find(({ said }) => said.some(({ message }) => message === 'leads')) ?? w1
  leader.kill()
  await leader.exited
  const left = leader === w1 ? again : w1
  const w4 = start('w4')
  await w4.runs()
  await job.progress()
  t.match(await job.cluster('cluster', 'status', 'transfers'), /2 tasks in each worker/, 'whoever leads')

  // What they began from is gone when a new one comes, to which one after the other gives way.
  await job.outlived()
  const last = start('w5')
  await last.runs()
  t.notOk(
    last.said.some(({ event }) => event === 'generation.failed'),
    last.text
  )
  job.release()
  for (const old of [left, w4]) {
    old.kill('SIGTERM')
    t.equal(await old.exited, 0, old.text)
  }
  t.equal(await last.exited, 0, last.text)
  job.right(t)
})

void t.test(
  'SIGTERM to all of them takes a last checkpoint; started again, they go on',
  needs('nats-server'),
  async t => {
    const nats = await NatsServer.start(t)
    const job = new TransfersJob(t, nats.port)
    const first = ['w1', 'w2'].map(name => new WorkerProcess(t, job.at, name))
    await Promise.all(first.map(worker => worker.runs()))
    await job.progress()
    for (const worker of first) worker.kill('SIGTERM')
    for (const worker of first) t.equal(await worker.exited, 0, worker.text)
    job.release()
    const second = ['w1', 'w2'].map(name => new WorkerProcess(t, job.at, name))
    for (const worker of second) t.equal(await worker.exited, 0, worker.text)
    job.right(t)
  }
)

void t.test('what is wrong is said at once, and nothing is made', needs('nats-server'), async t => {
  const nats = await NatsServer.start(t)
  const job = new TransfersJob(t, nats.port)
  const fails = (...args: string[]): Promise<string> => job.fails(...args, '--nats', job.at.nats)
  t.match(await fails('cluster', 'status', 'job.mjs'), /NOT_FOUND: no worker of this job has ever run/)
  t.match(
    await fails('worker', 'start', 'job.mjs', '--listen', 'nowhere'),
    /USAGE: --listen "nowhere": it is not of the form host:port/
  )
  t.match(await fails('worker', 'start', 'job.mjs', '--tls-ca', 'ca.pem'), /needs all of --tls-ca/)
  await nats.kill()
  t.match(await fails('worker', 'start', 'job.mjs'), /BUS_UNREACHABLE: NATS at/)
})
