/** Clusters with their checkpoints on a real S3 server: kill -9, a server that goes away, and a second job on the same NATS and in the same bucket. */
import t from 'tap'
import { NatsServer } from '../support/nats-server.ts'
import { S3Server } from '../support/s3-server.ts'
import { needs } from '../support/services.ts'
import { TransfersJob } from '../support/transfers-job.ts'
import { WorkerProcess } from '../support/worker-process.ts'

t.setTimeout(300_000)

const services = needs('nats-server', 'versitygw')

interface StatusRow {
  readonly worker: string
  readonly address: string
}

const statusOf = async (job: TransfersJob): Promise<readonly StatusRow[]> =>
  JSON.parse(await job.cluster('cluster', 'status', job.name, '--output', 'json')) as StatusRow[]

void t.test(
  'two jobs with the same names of workers and stages share a NATS and a bucket, and never see each other',
  services,
  async t => {
    const [nats, server] = await Promise.all([NatsServer.start(t), S3Server.start(t)])
    const place = { storage: server.storage('all/jobs'), environment: server.environment }
    const orders = new TransfersJob(t, nats.port, 'orders', place)
    const returns = new TransfersJob(t, nats.port, 'returns', { ...place, perSource: 10_000 })
    const start = (job: TransfersJob, name: string): WorkerProcess => new WorkerProcess(t, job.at, name)
    const [w1, w2, other] = [start(orders, 'w1'), start(orders, 'w2'), start(returns, 'w1')]
    await Promise.all([w1.runs(), w2.runs(), other.runs()])
    await Promise.all([orders.progress(), returns.progress()])

    const [ours, theirs] = await Promise.all([statusOf(orders), statusOf(returns)])
    t.same(
      [ours.map(({ worker }) => worker), theirs.map(({ worker }) => worker)],
      [['w1', 'w2'], ['w1']],
      'each status shows the workers of its job alone'
    )
    t.notOk(
      ours.some(({ address }) => address === theirs[0]?.address),
      'though their names are the same'
    )

    t.match(await returns.cluster('cluster', 'drain', 'returns'), /job "returns" has drained/)
    t.equal(await other.exited, 0, other.text)
    await orders.progress()
    t.notOk(w1.isOver || w2.isOver, 'a drain of one job leaves the other alone')

    w2.kill()
    await w2.exited
    const again = start(orders, 'w2')
    await again.runs()
    await orders.progress()

    const anybody = (said: RegExp): Promise<unknown> =>
      Promise.any([w1, again].map(worker => worker.says(({ message }) => said.test(String(message)))))
    await server.kill()
    await anybody(/^STORAGE_FAILED: .*s3:/)
    await server.restart()
    await anybody(/answers again/)
    await orders.progress()

    orders.release()
    returns.release()
    const last = start(returns, 'w1')
    for (const worker of [w1, again, last]) t.equal(await worker.exited, 0, worker.text)
    orders.right(t)
    returns.right(t)

    const bucket = await server.open('all/jobs')
    t.same(await bucket.jobs(), ['orders', 'returns'])
    t.match(await returns.cairn('checkpoint', 'list', 'returns'), /retained/)
    const verified = JSON.parse(await orders.cairn('checkpoint', 'verify', 'orders', '--output', 'json')) as object
    t.match(verified, { problems: [] })
    t.match(await orders.cairn('state', 'get', 'orders', 'Inbox', 'a7'), /received +\d+/)
    t.match(
      await orders.fails('checkpoint', 'list', 'orrders'),
      /NOT_FOUND: storage "s3:.*" holds no job "orrders"; it holds orders, returns/
    )
    t.match(await orders.fails('status', 'orders'), /NOT_RUNNING: job "orders" has its checkpoints on S3/)
    t.match(await orders.fails('run', 'job.mjs'), /OPTION_INVALID: storage "s3:.*keeps its lock/)
  }
)

void t.test('a worker refuses storage that it cannot rely on, before it joins', services, async t => {
  const [nats, server] = await Promise.all([NatsServer.start(t), S3Server.start(t)])
  const start = ['worker', 'start', 'job.mjs', '--nats', `nats://127.0.0.1:${nats.port}`]
  const on = (storage: string, environment: Readonly<Record<string, string | undefined>>): Promise<string> =>
    new TransfersJob(t, nats.port, 'orders', { storage, environment }).fails(...start)
  const guess = { ...server.environment, AWS_SECRET_ACCESS_KEY: 'a guess' }
  t.match(await on(server.storage('p'), guess), /STORAGE_REFUSED: storage .*s3:.*403 SignatureDoesNotMatch/)
  t.match(
    await on(server.storage('p').replace('checkpoints', 'another'), server.environment),
    /STORAGE_REFUSED: .*NoSuchBucket/
  )
  t.match(await on(server.storage('p'), { AWS_ACCESS_KEY_ID: '' }), /OPTION_INVALID: .*AWS_ACCESS_KEY_ID/)
  t.match(await on('gs://bucket', {}), /OPTION_INVALID: storage .*gs:\/\/bucket.*: a folder or s3:/)
})
