/** Who may in, against a real Kafka: TLS, certificates, PLAIN, SCRAM, sessions that end, and rights. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { KafkaCluster } from '../../../../runtime/adapters/kafka/kafka-options.ts'
import { KafkaRedriver, redrivenTopicOf } from '../../../../runtime/adapters/kafka/kafka-redriver.ts'
import { KafkaReaders, readingClients } from '../../../../runtime/adapters/kafka/kafka-readers.ts'
import { openKafkaPublisher } from '../../../../runtime/adapters/kafka/open-publisher.ts'
import { nodeClock } from '../../../../runtime/adapters/node-clock.ts'
import type { SlotName } from '../../../../runtime/ports/publisher.ts'
import { certificates, withOpenssl } from '../../../support/certificates.ts'
import { needsOwnKafka, OwnKafka } from '../../../support/kafka-server.ts'
import { needs } from '../../../support/services.ts'
import { OwnTopics } from '../../../../simulations/chaos/own-topics.ts'
import { begun, ledgerEntry, outputRecord } from '../../ports/publisher-conformance.ts'

const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
const plain =
  'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret" user_bob="bob-secret";'
const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
const slot: SlotName = { job: 'shop', lineage: 1, sink: 'out', stage: 'Count', slot: 0 }

t.setTimeout(120_000)

void t.test('who may in', { ...needsOwnKafka(), ...withOpenssl, timeout: 120_000 }, async t => {
  const { folder, worker, stranger } = certificates(t)
  const store = join(folder, 'broker.pem')
  writeFileSync(store, readFileSync(join(folder, 'worker.key'), 'utf8') + worker.certificate)
  const kafka = await OwnKafka.launch(t, {
    listeners: [
      { name: 'LOGIN', protocol: 'SASL_PLAINTEXT' },
      { name: 'MUTUAL', protocol: 'SSL' },
      { name: 'BOTH', protocol: 'SASL_SSL' }
    ],
    scram: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map(each => `${each}=[name=alice,password=alice-secret,iterations=8192]`),
    properties: {
      'sasl.enabled.mechanisms': mechanisms.join(','),
      ...Object.fromEntries<string | number>(
        ['login', 'both'].flatMap((name): [string, string | number][] => [
          [`listener.name.${name}.plain.sasl.jaas.config`, plain],
          [`listener.name.${name}.scram-sha-256.sasl.jaas.config`, scram],
          [`listener.name.${name}.scram-sha-512.sasl.jaas.config`, scram],
          // A session is over before a slow test is.
          ...mechanisms.map((each): [string, number] => [
            `listener.name.${name}.${each.toLowerCase()}.connections.max.reauth.ms`,
            name === 'both' ? 1_500 : 0
          ])
        ])
      ),
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': store,
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': join(folder, 'ca.pem'),
      'listener.name.mutual.ssl.client.auth': 'required',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:alice;User:ANONYMOUS;User:CN=worker'
    }
  })
  const topics = new OwnTopics({ brokers: kafka.brokers })
  t.teardown(() => topics.close())
  // Its records are of 1970: half a minute from now retention would look for such.
  await topics.create('out', 1, { 'retention.ms': '-1' })

  const at = (listener: string, others: Omit<KafkaCluster, 'brokers'>): KafkaCluster => ({
    brokers: kafka.cluster.addresses(listener),
    ...others
  })
  const open = (cluster: KafkaCluster, topic = 'out'): ReturnType<typeof openKafkaPublisher> => {
    const publisher = openKafkaPublisher(cluster, {
      job: 'shop',
      topic,
      slots: 1,
      clock: nodeClock,
      initialiseMs: 2_000
    })
    t.teardown(() => publisher.close())
    return publisher
  }
  let epoch = 0
  const publishes = async (cluster: KafkaCluster): Promise<unknown> => {
    const producer = await begun(open(cluster), slot)
    epoch++
    return (await producer.publish([outputRecord(String(epoch))], ledgerEntry(epoch))).kind
  }
  const alice = { user: 'alice', password: 'alice-secret' }
  const ca = { ca: worker.ca }

  for (const mechanism of mechanisms) {
    await t.test(mechanism, async t => {
      t.equal(await publishes(at('LOGIN', { sasl: { mechanism, ...alice } })), 'published')
      const wrong = open(at('LOGIN', { sasl: { mechanism, user: 'alice', password: 'guessed' } }))
      await t.rejects(wrong.describe(), { code: 'KAFKA_REFUSED', message: /SASL_AUTHENTICATION_FAILED/ })
    })
  }

  await t.test('TLS: the server by its certificate, and the client by its own where the server wants one', async t => {
    const { certificate, key } = worker
    t.equal(await publishes(at('MUTUAL', { tls: { ...ca, certificate, key } })), 'published')
    t.equal(await publishes(at('BOTH', { tls: ca, sasl: { mechanism: 'SCRAM-SHA-512', ...alice } })), 'published')
    const untrusting = open(at('BOTH', { tls: { ca: stranger.ca }, sasl: { mechanism: 'PLAIN', ...alice } }))
    await t.rejects(untrusting.describe(), { code: 'SINK_UNREACHABLE', message: /certificate|self.signed|verify/i })
    const nameless = open(at('MUTUAL', { tls: ca }))
    await t.rejects(nameless.describe(), { code: 'SINK_UNREACHABLE' })
  })

  for (const client of readingClients)
    await t.test(`a reader gets in by the same ways, by the client ${client}`, needs('kafka-client'), async t => {
      const { certificate, key } = worker
      const first = async (cluster: KafkaCluster): Promise<unknown> => {
        const readers = new KafkaReaders({ cluster, client, name: 'cairn test', clock: nodeClock, answerMs: 3_000 })
        const reader = readers.reader({ topic: 'out' })
        try {
          await reader.partitions()
          const got = await reader.fetch(0, 0, 1, 1000)
          return got.kind === 'records' && new TextDecoder().decode(got.batch.value(0))
        } finally {
          await reader.close()
        }
      }
      for (const mechanism of mechanisms) t.equal(await first(at('LOGIN', { sasl: { mechanism, ...alice } })), '1')
      t.equal(await first(at('MUTUAL', { tls: { ...ca, certificate, key } })), '1')
      const both = at('BOTH', { tls: ca, sasl: { mechanism: 'SCRAM-SHA-512', ...alice } })
      t.equal(await first(both), '1')
      const guessed = at('LOGIN', { sasl: { mechanism: 'PLAIN', user: 'alice', password: 'guessed' } })
      await t.rejects(first(guessed), { code: 'KAFKA_REFUSED', message: /SASL_AUTHENTICATION_FAILED/ })
      const found = async (cluster: KafkaCluster): Promise<readonly { readonly name: string }[]> => {
        const reader = new KafkaReaders({
          cluster,
          client,
          name: 'cairn test',
          clock: nodeClock,
          answerMs: 3_000
        }).reader({
          topic: /o.+t/
        })
        return reader.partitions().finally(() => reader.close())
      }
      t.match(await found(both), [{ name: 'out/0' }], 'a pattern finds what may be seen')
      await t.rejects(found(guessed), { code: 'KAFKA_REFUSED', message: /SASL_AUTHENTICATION_FAILED/ })
      const untrusting = at('BOTH', { tls: { ca: stranger.ca }, sasl: { mechanism: 'PLAIN', ...alice } })
      await t.rejects(first(untrusting), { code: 'SOURCE_UNREACHABLE', message: /certificate|self.signed|verify/i })
      const bob = at('LOGIN', { sasl: { mechanism: 'PLAIN', user: 'bob', password: 'bob-secret' } })
      await t.rejects(first(bob), { code: 'KAFKA_REFUSED', message: /TOPIC_AUTHORIZATION_FAILED/ })
      t.same(await found(bob), [])

      const told: string[] = []
      const troubled = ({ message }: Error): void => void told.push(message)
      const lasting = new KafkaReaders({ cluster: both, client, name: 'cairn test', clock: nodeClock, troubled })
      const reader = lasting.reader({ topic: 'out' })
      const began = performance.now()
      let position = 0
      // Two sessions are over by then, one of a connection that asks and one of one that was silent.
      while (performance.now() - began < 4_000) {
        const got = await reader.fetch(0, position, 1 << 20, 200)
        if (got.kind === 'records' || got.kind === 'caught-up') position = got.next
      }
      t.ok((await reader.start(0, 'latest')) >= position - 1)
      await reader.close()
      t.same(told, [], 'sessions that end are renewed')
    })

  await t.test('a session that ends is renewed, and no publication is lost to it', async t => {
    const publisher = open(at('BOTH', { tls: ca, sasl: { mechanism: 'SCRAM-SHA-256', ...alice } }))
    const producer = await begun(publisher, slot)
    const until = performance.now() + 3_000
    const outcomes = new Set<string>()
    while (performance.now() < until) {
      epoch++
      outcomes.add((await producer.publish([outputRecord(String(epoch))], ledgerEntry(epoch))).kind)
    }
    t.same([...outcomes], ['published'])
  })

  await t.test('rights that are missing are named', async t => {
    const bob = open(at('LOGIN', { sasl: { mechanism: 'PLAIN', user: 'bob', password: 'bob-secret' } }))
    await t.rejects(bob.describe(), { code: 'KAFKA_REFUSED', message: /topic "out".*TOPIC_AUTHORIZATION_FAILED/ })
    const permit = (...args: readonly string[]): Promise<string> =>
      kafka.tool('org.apache.kafka.tools.AclCommand', ['--add', '--allow-principal', 'User:bob', ...args])
    const topicRights = ['--operation', 'Describe', '--operation', 'DescribeConfigs', '--topic', '*']
    await permit(...topicRights)
    t.equal((await bob.describe()).partitions, 1)
    await t.rejects(bob.initialise(slot), {
      code: 'KAFKA_REFUSED',
      message: /shop\.1\.out\.Count\.0.*TRANSACTIONAL_ID_AUTHORIZATION_FAILED/
    })

    const redriver = (topic: string): KafkaRedriver => {
      const cluster = at('LOGIN', { sasl: { mechanism: 'PLAIN', user: 'bob', password: 'bob-secret' } })
      const redriver = new KafkaRedriver({ cluster, job: 'shop', topic, clock: nodeClock, answerMs: 5_000 })
      t.teardown(() => redriver.close())
      return redriver
    }
    await t.rejects(redriver('no-such').begin(false), { code: 'TOPIC_MISSING', message: /no-such/ })
    const refused = (why: RegExp): { code: string; message: RegExp } => ({ code: 'KAFKA_REFUSED', message: why })
    await t.rejects(
      redriver('out').begin(false),
      refused(/nothing can be redriven to topic "out".*CreateTopics.*AUTHORIZATION_FAILED/)
    )
    await topics.create(redrivenTopicOf('shop'), 1)
    await t.rejects(redriver('out').begin(false), refused(/TRANSACTIONAL_ID_AUTHORIZATION_FAILED/))
    const own = ['--topic', redrivenTopicOf('shop'), '--transactional-id', 'shop.']
    await permit('--operation', 'All', '--resource-pattern-type', 'prefixed', ...own)
    const reads = redriver('out')
    await reads.begin(false)
    await t.rejects(reads.redrive([{ ...outputRecord('1'), offset: 0 }]), refused(/TOPIC_AUTHORIZATION_FAILED/))
  })

  const values = (await topics.read('out')).map(({ value }) => Number(Buffer.from(value ?? []).toString()))
  t.same(
    values,
    Array.from({ length: epoch }, (_, i) => i + 1)
  )
})
