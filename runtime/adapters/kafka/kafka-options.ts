/** How a Kafka cluster is reached: what the own client and the named one have in common. */
import { CodedError } from '../../kernel/errors.ts'
import type { ClientConfig } from './load-kafka.ts'

export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const satisfies readonly SaslMechanism[]

export interface KafkaCluster {
  /** Any brokers, `host:port`: the rest are found when one of them answers. */
  readonly brokers: readonly string[]
  /** PEM. An empty object demands TLS and trusts what the system trusts. */
  readonly tls?: { readonly ca?: string; readonly certificate?: string; readonly key?: string }
  readonly sasl?: { readonly mechanism: SaslMechanism; readonly user: string; readonly password: string }
}

const brokerForm = /^(\[[0-9a-fA-F:]+\]|[^\s/:@,[\]]+):\d{1,5}$/

/** Brokers as people write them, `a:9092,b:9092`. Throws OPTION_INVALID. */
export function brokersOf(what: string, text: string): readonly string[] {
  const brokers = text
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
  const wrong = brokers.filter(each => !brokerForm.test(each))
  if (brokers.length === 0) throw new CodedError('OPTION_INVALID', `${what}: no broker is named`)
  if (wrong.length > 0)
    throw new CodedError('OPTION_INVALID', `${what}: ${wrong.map(each => `"${each}"`).join(', ')}: not host:port`)
  return brokers
}

/** As librdkafka wants it. */
export function clusterConfig({ brokers, tls, sasl }: KafkaCluster, name: string): ClientConfig {
  const protocol =
    tls === undefined ? (sasl === undefined ? 'plaintext' : 'sasl_plaintext') : sasl === undefined ? 'ssl' : 'sasl_ssl'
  return {
    'bootstrap.servers': brokers.join(','),
    'client.id': name,
    'security.protocol': protocol,
    ...(tls?.ca === undefined ? {} : { 'ssl.ca.pem': tls.ca }),
    ...(tls?.certificate === undefined ? {} : { 'ssl.certificate.pem': tls.certificate }),
    ...(tls?.key === undefined ? {} : { 'ssl.key.pem': tls.key }),
    ...(sasl === undefined
      ? {}
      : { 'sasl.mechanisms': sasl.mechanism, 'sasl.username': sasl.user, 'sasl.password': sasl.password }),
    'broker.address.family': 'any',
    'allow.auto.create.topics': false,
    'reconnect.backoff.ms': 100,
    // Larger: a broker that is back is found later.
    'reconnect.backoff.max.ms': 2_000
  }
}
