/** A job from Kafka to Kafka, in one process that is killed and in a cluster whose workers are: the output is exact. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KafkaServer, needsKafka } from '../support/kafka-server.ts'
import { KafkaTransfers } from '../support/kafka-transfers.ts'
import { NatsServer } from '../support/nats-server.ts'
import { needs } from '../support/services.ts'
import { WorkerProcess } from '../support/worker-process.ts'
import { CairnFolder } from './cairn-cli.ts'

t.setTimeout(300_000)

void t.test('Kafka to Kafka, exactly once', { ...needs('kafka-client', 'nats-server'), ...needsKafka() }, async t => {
  const kafka = await KafkaServer.start(t)
  const brokers = kafka.brokers.join()

  await t.test('one process is killed, three times, and started again', async t => {
    const transfers = await KafkaTransfers.make(t, kafka)
    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    copyFileSync(join(transfers.folder, 'job.mjs'), join(folder.path, 'job.mjs'))
    folder.env = { CAIRN_KAFKA: brokers }
    for (let life = 1; life <= 3; life++) {
      await transfers.send(2000)
      const run = folder.start('run', 'job.mjs')
      // In the middle of what was sent in this life.
      await transfers.until(4000 * life - 3000)
      run.child.kill('SIGKILL')
      await run.ended
    }
    await transfers.send(2000)
    const last = folder.start('run', 'job.mjs')
    await transfers.until()
    last.child.kill('SIGTERM')
    const { code, stderr } = await last.ended
    t.equal(code, 0, stderr)
    await transfers.right(t)
  })

  await t.test('workers of a cluster are killed, drained and started again', async t => {
    const nats = await NatsServer.start(t)
    const transfers = await KafkaTransfers.make(t, kafka)
    const at = { folder: transfers.folder, job: 'job.mjs', nats: `nats://127.0.0.1:${nats.port}` }
    const start = (name: string): WorkerProcess =>
      new WorkerProcess(t, at, name, '--kafka', brokers, '--lost-after', '2s')
    await transfers.send(2000)
    const [w1, w2, w3] = [start('w1'), start('w2'), start('w3')]
    await Promise.all([w1.runs(), w2.runs(), w3.runs()])
    await transfers.until(1000)
    w2.kill()
    await w2.exited
    await transfers.send(2000)
    const again = start('w2')
    await again.runs()
    await transfers.until(6000)
    w1.kill()
    await transfers.send(2000)
    await transfers.until()
    for (const left of [w3, again]) left.kill('SIGTERM')
    for (const left of [w3, again]) t.equal(await left.exited, 0, left.text)
    await transfers.right(t)
  })
})
