/**
 * Apache Kafka as its published artifacts: how Maven fetches them, how a broker is configured, and how its classes are started. No
 * dependencies: `services.mjs` uses it before there are any.
 */
import { delimiter, join } from 'node:path'
import { fetchArtifacts, java, logger } from './maven.mjs'

/** The newest whose broker and tools can all be had from Maven's central repository; runs on Java 17. */
export const kafkaVersion = '4.3.1'

/** What a broker says when it serves. */
export const kafkaStarted = 'Kafka Server started'

const brokerArtifacts = [
  ['org.apache.kafka', 'kafka_2.13', kafkaVersion],
  ['org.apache.kafka', 'kafka-tools', kafkaVersion],
  logger
]
const streamsArtifacts = [['org.apache.kafka', 'kafka-streams', kafkaVersion], logger]

/** Fills `folder` with `libs`, the broker and its tools; `step` runs a command. */
export const fetchKafka = (folder, step) => fetchArtifacts(brokerArtifacts, folder, step)

/** Kafka Streams and what it needs, to be compared with. */
export const fetchKafkaStreams = (folder, step) => fetchArtifacts(streamsArtifacts, folder, step)

/** How a class of Kafka is started: program and arguments. */
export function kafkaCommand(folder, mainClass, args, { heapMb = 256 } = {}) {
  const options = [
    `-Xmx${heapMb}m`,
    // Starts in half the time, and tests are over before a better compiler would pay.
    '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.utils.AppInfoParser=error',
    '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info'
  ]
  return [java() ?? 'java', [...options, '-cp', `${join(folder, 'libs')}/*`, mainClass, ...args]]
}

/**
 * How a compiled program with Kafka Streams is started: program and arguments. @param temporary folder for what is left behind @param brief it is
 * over before a better compiler would pay
 */
export function streamsCommand(folder, classes, mainClass, args, { heapMb, temporary, brief }) {
  const options = [
    `-Xmx${heapMb}m`,
    ...(brief ? ['-XX:TieredStopAtLevel=1'] : []),
    `-Djava.io.tmpdir=${temporary}`,
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  ]
  return [
    java() ?? 'java',
    [...options, '-cp', [classes, `${join(folder, 'libs')}/*`].join(delimiter), mainClass, ...args]
  ]
}

/**
 * The properties of broker `id` of `brokers` (each `{ id, port, controllerPort, listeners }`), broker and controller in one. `extra` wins.
 * Small numbers where Kafka's own are for large clusters: fifty partitions of each internal topic are fifty times the files.
 */
export function brokerProperties({ id, folder, brokers, extra = {} }) {
  const me = brokers.find(broker => broker.id === id)
  const replicas = Math.min(3, brokers.length)
  const listeners = [{ name: 'PLAINTEXT', protocol: 'PLAINTEXT', port: me.port }, ...(me.listeners ?? [])]
  const text = each => each.map(({ name, port }) => `${name}://127.0.0.1:${port}`).join(',')
  const controller = { name: 'CONTROLLER', protocol: 'PLAINTEXT', port: me.controllerPort }
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': brokers.map(each => `${each.id}@127.0.0.1:${each.controllerPort}`).join(','),
    listeners: text([...listeners, controller]),
    'advertised.listeners': text(listeners),
    'listener.security.protocol.map': [...listeners, controller]
      .map(({ name, protocol }) => `${name}:${protocol}`)
      .join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(folder, 'data'),
    // A broker that was killed is let in again when its last session is over.
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'background.threads': 2,
    'log.cleaner.dedupe.buffer.size': 2 * 1024 * 1024,
    'default.replication.factor': replicas,
    'min.insync.replicas': Math.max(1, replicas - 1),
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': Math.max(1, replicas - 1),
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': Math.max(1, replicas - 1),
    'share.coordinator.state.topic.num.partitions': 1,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
    ...extra
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('')
}

/** Arguments of `kafka.tools.StorageTool` that make a new broker's folder; `scram`: `SCRAM-SHA-256=[name=…,password=…]`. */
export const formatArguments = (propertiesFile, scram = []) => [
  'format',
  '-t',
  'Q2Fpcm5DYWlybkNhaXJuMQ',
  '-c',
  propertiesFile,
  ...scram.flatMap(each => ['--add-scram', each])
]
