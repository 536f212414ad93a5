/** A job from Kafka to Kafka, in one process that is killed and in a cluster whose workers are: the output is exact. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { registered } from '../../actors/index.ts'
import { SchemaRegistry } from '../../runtime/adapters/kafka/schema-registry.ts'
import { OwnTopics } from '../../simulations/chaos/own-topics.ts'
import { KafkaServer, needsKafka } from '../support/kafka-server.ts'
import { KafkaTopics } from '../support/kafka-topics.ts'
import { KafkaTransfers } from '../support/kafka-transfers.ts'
import { NatsServer } from '../support/nats-server.ts'
import { RegistryStub } from '../support/registry-stub.ts'
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
      await transfers.until(4000 * life - 3000, run.ended)
      run.child.kill('SIGKILL')
      await run.ended
    }
    await transfers.send(2000)
    const last = folder.start('run', 'job.mjs')
    await transfers.until(undefined, last.ended)
    last.child.kill('SIGTERM')
    const { code, stderr } = await last.ended
    t.equal(code, 0, stderr)
    await transfers.right(t)
  })

  await t.test('--fresh starts over: what is in the topic stays, and is written again', async t => {
    const transfers = await KafkaTransfers.make(t, kafka)
    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    copyFileSync(join(transfers.folder, 'job.mjs'), join(folder.path, 'job.mjs'))
    for (const [flags, sent, entries] of [
      [[], 100, 200],
      [['--fresh'], 0, 400],
      [[], 10, 420]
    ] as const) {
      await transfers.send(sent)
      const run = folder.start('run', 'job.mjs', '--kafka', brokers, ...flags)
      await transfers.until(entries, run.ended)
      run.child.kill('SIGTERM')
      const { code, stderr } = await run.ended
      t.equal(code, 0, stderr)
    }
    t.equal(await transfers.count(), 420)
  })

  await t.test('at least once, with schemas in a registry; what cannot be decoded is a dead letter', async t => {
    const stub = await RegistryStub.start(t)
    const registry = new SchemaRegistry({ url: stub.url })
    const topics = new KafkaTopics(t, kafka.brokers)
    const [from, to, letters] = [
      await topics.create('avro-in', 1),
      await topics.create('avro-out', 1),
      await topics.create('avro-letters', 1)
    ]
    const group = kafka.name('group')
    const order = (...more: object[]): string =>
      JSON.stringify({ type: 'record', name: 'Order', fields: [{ name: 'id', type: 'string' }, ...more] })
    const written = registered<{ id: string }>({ schema: order() })
    written.registry?.writeAs(await registry.id(`${from}-value`, order(), true))
    const values = Array.from({ length: 50 }, (_, i) => written.encode({ id: `o${i}` }))
    const producer = await topics.producer()
    await producer.send(from, [{ value: 'no Avro' }, ...values.map(value => ({ value, key: 'k' }))])

    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    folder.file(
      'job.mjs',
      `import { job, json, kafka, registered } from 'cairn'
      const codec = registered({ schema: ${JSON.stringify(order({ name: 'cents', type: 'long', default: 7 }))} })
      const orders = kafka({ topic: '${from}', value: codec, read: ({ key, value }) => ({ ...value, id: key + value.id }) })
      export default job('${kafka.name('avro')}', j => ({
        out: j.source('in', orders, { onError: 'dead-letter' })
          .to('out', kafka({ topic: '${to}', value: codec }), { delivery: 'at-least-once' })
      }), { interval: '200ms', deadLetters: kafka({ topic: '${letters}', value: json() }).sink })`
    )
    t.match(folder.cairn('run', 'job.mjs', '--kafka', brokers), {
      code: 1,
      stderr: /OPTION_INVALID: .*registry[^]*--schema-registry/
    })
    const run = folder.start(
      'run',
      'job.mjs',
      '--kafka',
      brokers,
      '--schema-registry',
      stub.url,
      '--kafka-group',
      group
    )
    await topics.holds(to, 50, run.ended)
    await topics.holds(letters, 1, run.ended)
    run.child.kill('SIGTERM')
    const { code, stderr } = await run.ended
    t.equal(code, 0, stderr)
    const read = registered<{ id: string; cents: number }>({
      schema: order({ name: 'cents', type: 'long', default: 0 })
    })
    const out = await topics.read(to)
    const [id = NaN] = stub.subjects.get(`${to}-value`) ?? []
    t.equal(
      read.registry?.unknown(out[0] as Uint8Array),
      id,
      'the number of the schema that was registered for the sink'
    )
    read.registry?.learn(id, stub.kept.schema(id).schema)
    t.same(
      out.map(value => ({ ...read.decode(value) })),
      values.map((_, i) => ({ id: `ko${i}`, cents: 7 }))
    )
    const lag = await kafka.lag(group)
    t.same(Object.fromEntries(lag), { [`${from}/0`]: 0 }, 'without a sink that is exactly once it is told all the same')
    const own = new OwnTopics({ brokers: kafka.brokers })
    t.teardown(() => own.close())
    const [letter] = await own.read(letters)
    const said = Object.fromEntries(
      (letter?.headers ?? []).map(({ name, value }) => [name, String(Buffer.from(value ?? []))])
    )
    t.equal(String(Buffer.from(letter?.value ?? [])), 'no Avro')
    t.match(said, { 'cairn-letter': 'record', 'cairn-letter-stage': 'in', 'cairn-letter-error': /number of a schema/ })
  })

  await t.test('what is wrong is said at once', async t => {
    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    const there = await new KafkaTopics(t, kafka.brokers).create('there', 1)
    const source = `import { job, json, kafka, lines, files } from 'cairn'\n`
    folder.file('in.txt', '')
    const from = (topic: string, more = ''): string =>
      folder.file(
        'from.mjs',
        `${source}export default job('wrong', j => ({
          out: j.source('in', kafka({ topic: '${topic}', value: json()${more} })).to('out', files('out', json()))
        }))`
      )
    const to = (topic: string): string =>
      folder.file(
        'to.mjs',
        `${source}export default job('wrong', j => ({
          out: j.source('in', lines('in.txt', json())).to('out', kafka({ topic: '${topic}', value: json() }))
        }))`
      )
    t.match(folder.cairn('run', from(there)), {
      code: 1,
      stderr: /OPTION_INVALID: source "in" is on Kafka, and no brokers are named[^]*--kafka host:port/
    })
    t.match(folder.cairn('run', from(there), '--kafka', 'nowhere'), {
      code: 1,
      stderr: /OPTION_INVALID: --kafka: "nowhere": not host:port/
    })
    t.match(folder.cairn('run', from('no-such-topic'), '--kafka', brokers), {
      code: 1,
      stderr: /TOPIC_MISSING: topic "no-such-topic" is not at Kafka/
    })
    t.match(folder.cairn('run', to('no-such-topic'), '--kafka', brokers), {
      code: 1,
      stderr: /TOPIC_MISSING: .*"no-such-topic"/
    })
    t.match(folder.cairn('run', from(there), '--kafka', '127.0.0.1:1'), {
      code: 1,
      stderr: /SOURCE_UNREACHABLE: Kafka \(127\.0\.0\.1:1\) does not answer/
    })
    t.match(folder.cairn('run', from(there), '--kafka', brokers, '--kafka-user', 'u'), {
      code: 2,
      stderr: /USAGE: --kafka-user and --kafka-password go together/
    })
    folder.env = { CAIRN_KAFKA_CLIENT: join(folder.path, 'in.txt') }
    t.match(folder.cairn('run', from(there), '--kafka', brokers), {
      code: 1,
      stderr: /PACKAGE_MISSING: Kafka needs the package[^]*npm run services -- install kafka-client/
    })
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
