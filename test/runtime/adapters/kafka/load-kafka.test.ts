import t from 'tap'
import { brokersOf, clusterConfig } from '../../../../runtime/adapters/kafka/kafka-options.ts'
import { loadKafka } from '../../../../runtime/adapters/kafka/load-kafka.ts'
import { needs } from '../../../support/services.ts'

void t.test('a client that is not there, or does not load, is one error with the remedy', async t => {
  const missing = (): unknown => {
    throw new Error('Could not locate the bindings file. Tried:\n → a\n → b')
  }
  t.throws(() => loadKafka(missing), {
    code: 'PACKAGE_MISSING',
    message: /needs the package "@confluentinc\/kafka-javascript".*Could not locate the bindings file\. Tried:/,
    remedy: /npm run services -- install kafka-client/
  })
})

void t.test('where it is installed, it is found and loaded once', needs('kafka-client'), async t => {
  const { librdkafkaVersion } = loadKafka()
  t.match(librdkafkaVersion, /^2\./)
  t.equal(loadKafka(), loadKafka())
})

void t.test('brokers are host:port, several joined by commas', async t => {
  t.same(brokersOf('kafka', ' a:9092, b:9093,[::1]:1'), ['a:9092', 'b:9093', '[::1]:1'])
  t.throws(() => brokersOf('kafka', 'a:9092,nowhere'), { message: 'kafka: "nowhere": not host:port' })
  t.throws(() => brokersOf('kafka', 'http://a:9092'), { code: 'OPTION_INVALID' })
  t.throws(() => brokersOf('kafka', ','), { message: 'kafka: no broker is named' })
})

void t.test('TLS and authentication choose the security protocol', async t => {
  const brokers = ['a:1', 'b:2']
  const sasl = { mechanism: 'SCRAM-SHA-512', user: 'u', password: 'p' } as const
  const of = (more: object): unknown => clusterConfig({ brokers, ...more }, 'x')['security.protocol']
  t.equal(of({}), 'plaintext')
  t.equal(of({ sasl }), 'sasl_plaintext')
  t.equal(of({ tls: {} }), 'ssl')
  t.match(clusterConfig({ brokers, sasl, tls: { ca: 'CA' } }, 'x'), {
    'bootstrap.servers': 'a:1,b:2',
    'security.protocol': 'sasl_ssl',
    'sasl.mechanisms': 'SCRAM-SHA-512',
    'sasl.username': 'u',
    'ssl.ca.pem': 'CA'
  })
})
