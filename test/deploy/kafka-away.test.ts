/** Jobs on a real Kafka that forgets soon what is not used: long absences, deleted records, partitions that are added. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { needsOwnKafka, OwnKafka } from '../support/kafka-server.ts'
import { KafkaTopics } from '../support/kafka-topics.ts'
import { KafkaTransfers } from '../support/kafka-transfers.ts'
import { needs } from '../support/services.ts'
import { CairnFolder } from './cairn-cli.ts'

t.setTimeout(300_000)

/** Longer than a minute, which is the shortest retention of group offsets that Kafka knows. */
const awayMs = 62_000
/** Two sinks with four slots: entry 0 of each, and then, of one checkpoint or of several, at least one more. It dies among those. */
const killAt = 'publish:12'

const jobOf = (name: string, from: string, to: string, more: string): string => `
import { job, json, kafka } from 'cairn'
export default job('${name}', j => ({
  out: j.source('in', kafka({ topic: '${from}', value: json()${more} })).to('out', kafka({ topic: '${to}', value: json() }))
}), { interval: '200ms' })`

void t.test('away from Kafka', { ...needs('kafka-client'), ...needsOwnKafka() }, async t => {
  const kafka = await OwnKafka.launch(t, {
    properties: {
      'transactional.id.expiration.ms': 4_000,
      'transaction.remove.expired.transaction.cleanup.interval.ms': 500,
      'producer.id.expiration.ms': 4_000,
      'producer.id.expiration.check.interval.ms': 500,
      'offsets.retention.minutes': 1,
      'offsets.retention.check.interval.ms': 1_000
    }
  })
  const brokers = kafka.brokers.join()
  const folderOf = (): CairnFolder => {
    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    return folder
  }

  await t.test('partitions that are added while a job runs are read from their beginning', async t => {
    const topics = new KafkaTopics(t, kafka.brokers)
    const [from, to] = [await topics.create('grows-in', 1), await topics.create('grows-out', 1)]
    await (await topics.producer()).send(from, [{ value: '1' }])
    const folder = folderOf()
    const name = kafka.name('grows')
    folder.file('job.mjs', jobOf(name, from, to, ''))
    const run = folder.start('run', 'job.mjs', '--kafka', brokers)
    await topics.holds(to, 1, run.ended)
    await kafka.tool('org.apache.kafka.tools.TopicCommand', ['--alter', '--topic', from, '--partitions', '3'])
    const added = await topics.producer()
    await added.send(from, [{ value: '3', partition: 2 }])
    await added.send(from, [{ value: '2', partition: 0 }])
    await topics.holds(to, 3, run.ended)
    run.child.kill('SIGTERM')
    const { code, stderr } = await run.ended
    t.equal(code, 0, stderr)
    const values = (await topics.read(to)).map(value => new TextDecoder().decode(value))
    t.same(values.sort(), ['1', '2', '3'])
    t.equal((await kafka.lag(`cairn-${name}`)).get(`${from}/2`), 0, 'and are in the checkpoint')
  })

  await t.test(
    'topics of a pattern are found while a job runs, by tasks that had none, too; one that is gone fails it, or is let go',
    async t => {
      const topics = new KafkaTopics(t, kafka.brokers)
      const to = await topics.create('found-out', 1)
      const prefix = kafka.name('found')
      const name = kafka.name('finds')
      const folder = folderOf()
      const jobText = (more: string): string => `
      import { job, json, kafka } from 'cairn'
      const orders = kafka({ topic: /${prefix}-.*/, value: json(), read: ({ topic, partition, value }) => [topic, partition, value]${more} })
      export default job('${name}', j => ({
        out: j.source('in', orders).to('out', kafka({ topic: '${to}', value: json() }))
      }), { interval: '200ms' })`
      folder.file('job.mjs', jobText(''))
      folder.file('lets-go.mjs', jobText(", onMissing: 'earliest'"))
      const start = (file: string): ReturnType<CairnFolder['start']> =>
        folder.start('run', file, '--kafka', brokers, '--parallelism', '4')
      const read = async (): Promise<unknown[]> =>
        (await topics.read(to)).map(value => new TextDecoder().decode(value)).sort()
      const producer = await topics.producer()
      const fill = async (topic: string, partitions: number): Promise<void> => {
        await kafka.createTopic(topic, partitions)
        for (let partition = 0; partition < partitions; partition++)
          await producer.send(topic, [{ value: String(partition), partition }])
      }

      const run = start('job.mjs')
      // Whoever waits for nothing must not take the job for ended.
      await fill(`${prefix}-a`, 2)
      await topics.holds(to, 2, run.ended)
      await fill(`${prefix}-b`, 3)
      await kafka.createTopic(`not-${prefix}-c`, 1)
      await producer.send(`not-${prefix}-c`, [{ value: '9' }])
      await topics.holds(to, 5, run.ended)
      run.child.kill('SIGTERM')
      const { code, stderr } = await run.ended
      t.equal(code, 0, stderr)
      const wanted = [0, 1]
        .map(i => `["${prefix}-a",${i},${i}]`)
        .concat([0, 1, 2].map(i => `["${prefix}-b",${i},${i}]`))
      t.same(await read(), wanted)
      t.same(
        Object.fromEntries(await kafka.lag(`cairn-${name}`)),
        Object.fromEntries(wanted.map(text => JSON.parse(text) as [string, number]).map(([a, i]) => [`${a}/${i}`, 0])),
        'lag monitors see each topic'
      )

      await kafka.deleteTopic(`${prefix}-b`)
      t.match(await start('job.mjs').ended, {
        code: 1,
        stderr: /INPUT_REGRESSED: .*-b\/\d" of the checkpoint is not there/
      })
      const last = start('lets-go.mjs')
      await producer.send(`${prefix}-a`, [{ value: '7', partition: 1 }])
      await topics.holds(to, 6, last.ended)
      last.child.kill('SIGTERM')
      const end = await last.ended
      t.equal(end.code, 0, end.stderr)
      t.match(end.stderr, /INPUT_SKIPPED: .*-b\/0, .*-b\/1.* is gone/)
      t.same(await read(), [...wanted, `["${prefix}-a",1,7]`].sort(), 'and nothing comes again')
    }
  )

  await t.test(
    'records that are deleted before they are read fail the job, or are passed over and counted',
    async t => {
      const topics = new KafkaTopics(t, kafka.brokers)
      const [from, to] = [await topics.create('cut-in', 1), await topics.create('cut-out', 1)]
      const folder = folderOf()
      const name = kafka.name('cut')
      folder.file('job.mjs', jobOf(name, from, to, ''))
      folder.file('earliest.mjs', jobOf(name, from, to, ", onMissing: 'earliest'"))
      const producer = await topics.producer()
      await producer.send(from, [{ value: '1' }])
      const first = folder.start('run', 'job.mjs', '--kafka', brokers)
      await topics.holds(to, 1, first.ended)
      first.child.kill('SIGTERM')
      t.equal((await first.ended).code, 0)
      await producer.send(from, [{ value: '2' }, { value: '3' }, { value: '4' }])
      await topics.cut(from, 0, 3)
      const refused = folder.start('run', 'job.mjs', '--kafka', brokers)
      t.match(await refused.ended, { code: 1, stderr: /INPUT_REGRESSED: .*position 1 is outside 3…4/ })
      const run = folder.start('run', 'earliest.mjs', '--kafka', brokers)
      await topics.holds(to, 2, run.ended)
      run.child.kill('SIGTERM')
      const { code, stderr } = await run.ended
      t.equal(code, 0, stderr)
      t.match(stderr, /INPUT_SKIPPED: .*partition 0: 2 records from offset 1 on are gone/)
      t.same(
        (await topics.read(to)).map(value => new TextDecoder().decode(value)),
        ['1', '4']
      )
    }
  )

  await t.test(
    'decided, half of it published, and then everything is down for longer than Kafka remembers: nothing is missing',
    async t => {
      const transfers = await KafkaTransfers.make(t, kafka)
      const folder = folderOf()
      copyFileSync(join(transfers.folder, 'job.mjs'), join(folder.path, 'job.mjs'))
      folder.env = { CAIRN_KAFKA: brokers, CAIRN_TEST_KILL_AT: killAt }
      await transfers.send(2000)
      const first = folder.start('run', 'job.mjs')
      t.equal((await first.ended).code, null, 'it was killed')
      await kafka.cluster.stop('SIGTERM')
      await new Promise(resolve => setTimeout(resolve, awayMs))
      await kafka.cluster.start()
      // What was forgotten is forgotten some time after the start.
      const known = async (): Promise<boolean> =>
        (await kafka.tool('org.apache.kafka.tools.TransactionsCommand', ['list'])).includes(`${transfers.name}.`) ||
        (await kafka.tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', ['--list'])).includes(
          `cairn-${transfers.name}`
        )
      while (await known()) continue
      folder.env = { CAIRN_KAFKA: brokers }
      const run = folder.start('run', 'job.mjs')
      await transfers.until(undefined, run.ended)
      await transfers.send(500)
      await transfers.until(undefined, run.ended)
      run.child.kill('SIGTERM')
      const { code, stderr } = await run.ended
      t.equal(code, 0, stderr)
      await transfers.right(t)
    }
  )
})
