/** Which settings each command has. `docs/configuration.md` shows them all; a test keeps the two equal. */
import { hostname } from 'node:os'
import { leastLatencyMs } from '../../actors/interval.ts'
import { storeKinds } from '../../actors/plan.ts'
import { logLevels } from '../cluster/log-events.ts'
import { saslMechanisms } from '../../runtime/adapters/kafka/kafka-options.ts'
import { readingClients } from '../../runtime/adapters/kafka/kafka-readers.ts'
import { beginningOf, replayProblems } from '../replay.ts'
import { usualTiming } from '../cluster/timing.ts'
import {
  address,
  content,
  duration,
  file,
  flagOnly,
  list,
  oneOf,
  parsed,
  secret,
  size,
  text,
  toggle,
  wholeNumber,
  withFallback,
  type Settings,
  type Values
} from './setting.ts'

/** Where checkpoints are. */
const storage = {
  storage: withFallback(text('where checkpoints are kept: a folder, or s3://bucket/prefix', '<place>'), '.cairn')
}

/** How a cluster is found. */
export const connectionSettings = {
  ...storage,
  nats: withFallback(
    list('NATS servers, like nats://localhost:4222', '<servers...>'),
    ['nats://127.0.0.1:4222'],
    'nats://127.0.0.1:4222'
  ),
  natsCreds: file('credentials file of a NATS user'),
  natsUser: text('NATS user', '<name>'),
  natsPassword: secret(text('and the password; better by environment', '<text>')),
  natsToken: secret(text('NATS token; better by environment', '<text>')),
  natsCa: content('demand TLS, and trust this authority'),
  natsCert: content("this process's certificate for NATS"),
  natsKey: secret(content('and its key')),
  natsPrefix: { ...text('jobs of one name on one NATS need different ones', '<text>'), shown: 'cairn' }
} satisfies Settings

/** How topics of Kafka are reached that name no brokers themselves; TLS and credentials are those of all. */
const kafkaReach = {
  kafka: list('Kafka brokers, like kafka-1:9092', '<brokers...>'),
  kafkaTls: toggle('demand TLS, and trust the authorities that the machine trusts'),
  kafkaCa: content('demand TLS, and trust this authority'),
  kafkaCert: content("this process's certificate for Kafka"),
  kafkaKey: secret(content('and its key')),
  kafkaMechanism: withFallback(oneOf('how a Kafka user logs in', '<mechanism>', saslMechanisms), 'SCRAM-SHA-512'),
  kafkaUser: text('Kafka user', '<name>'),
  kafkaPassword: secret(text('and the password; better by environment', '<text>'))
} satisfies Settings

const kafka = {
  ...kafkaReach,
  kafkaReader: withFallback(oneOf('what reads topics; see docs/kafka.md', '<client>', readingClients), 'confluent'),
  kafkaGroup: {
    ...text('consumer group that shows how far the sources are; see docs/kafka.md', '<name>'),
    shown: 'cairn-<job>'
  },
  schemaRegistry: text('schema registry, like http://registry:8081', '<url>'),
  schemaRegistryUser: text('its user', '<name>'),
  schemaRegistryPassword: secret(text('and the password; better by environment', '<text>'))
} satisfies Settings

/** A job beside itself; see `replay.ts`. */
const replay = {
  as: text('run it as another job of that name, with state and output of its own; see docs/replay.md', '<name>'),
  from: parsed(
    'with --as: where it begins, like earliest, 2026-11-20T08:00:00Z or savepoint:<name>',
    '<beginning>',
    beginningOf
  )
} satisfies Settings

/** How a job runs in a process. */
const running = {
  interval: duration('time between checkpoints, like 100ms or 1s'),
  latency: duration('or how late output may be, like 300ms: the interval follows', leastLatencyMs),
  store: oneOf('where actors live that do not fit into the cache', '<kind>', storeKinds),
  cache: size('how much of the actors to keep ready, like 64MiB'),
  dropState: flagOnly(list('give up the stored state of stages that the job no longer has', '<stage...>'))
} satisfies Settings

const telemetry = {
  metrics: address('answer /metrics, /livez and /readyz there; port 0 is a free one'),
  tracing: toggle('spans of events whose trace is sampled, through @opentelemetry/api')
} satisfies Settings

export const workerSettings = {
  ...connectionSettings,
  name: withFallback(
    text('stays the same when the process is started again', '<name>'),
    hostname(),
    "the machine's name"
  ),
  local: text('a local disk, for this worker alone (default: .cairn-local/<name>)', '<folder>'),
  listen: withFallback(
    address('where other workers connect to; port 0 is a free one'),
    { host: '127.0.0.1', port: 0 },
    '127.0.0.1:0'
  ),
  advertise: text('how they reach it, when that is another address', '<host[:port]>'),
  tlsCa: content('authority of the certificates of all workers'),
  tlsCert: content("this worker's certificate, for connections among workers"),
  tlsKey: secret(content('and its key')),
  tasks: wholeNumber('tasks of each stage in a worker', 1),
  ...replay,
  ...running,
  ...kafka,
  log: { ...oneOf('how it tells what happens', '<format>', ['text', 'json']), shown: 'text on a terminal, else json' },
  logLevel: withFallback(oneOf('leave out what is less than that', '<level>', logLevels), 'info'),
  lostAfter: withFallback(duration('a worker that is not heard for so long is lost'), usualTiming.lostAfterMs, '5s'),
  hungAfter: withFallback(duration('so long a handler may keep the worker busy; then it is lost, too'), 60_000, '60s'),
  ...telemetry
} satisfies Settings

/** Of `run` and `dev`. */
export const runSettings = {
  ...storage,
  fresh: flagOnly(toggle('start over: checkpoints and output folders are moved aside')),
  ...running,
  ...kafka,
  check: toggle('freeze events, and notice state that changes between handlers (slower; always on in dev)'),
  parallelism: wholeNumber('tasks per stage', 1)
} satisfies Settings

export const runAloneSettings = {
  ...runSettings,
  ...replay,
  restore: flagOnly(text('go back to a savepoint, or to the number of a checkpoint that is still kept', '<savepoint>')),
  fork: flagOnly(toggle('with --restore: go back although the job has gone on since; see below')),
  ...telemetry
} satisfies Settings

/** Of `dead-letters`. */
export const letterSettings = { ...storage, ...kafkaReach } satisfies Settings

export type KafkaValues = Values<typeof kafka>
export type ConnectionValues = Values<typeof connectionSettings>
export type WorkerValues = Values<typeof workerSettings>
export type RunValues = Values<typeof runSettings>
export type RunAloneValues = Values<typeof runAloneSettings>

export const allSettings: Settings = { ...workerSettings, ...runAloneSettings }

/** What does not fit together. @param set names of what is set */
export function connectionProblems(set: ReadonlySet<string>): string[] {
  const ways = ['natsCreds', 'natsUser', 'natsToken'].filter(name => set.has(name))
  return [
    ...(ways.length > 1 ? ['NATS: choose one of --nats-creds, --nats-user, --nats-token'] : []),
    ...(set.has('natsPassword') && !set.has('natsUser') ? ['--nats-password without --nats-user'] : []),
    ...(set.has('natsCert') === set.has('natsKey') ? [] : ['--nats-cert and --nats-key go together'])
  ]
}

/** What does not fit together. @param set names of what is set */
export function kafkaProblems(set: ReadonlySet<string>): string[] {
  const mechanism = set.has('kafkaMechanism') && !set.has('kafkaUser')
  return [
    ...(set.has('kafkaUser') === set.has('kafkaPassword') ? [] : ['--kafka-user and --kafka-password go together']),
    ...(mechanism ? ['--kafka-mechanism without --kafka-user'] : []),
    ...(set.has('kafkaCert') === set.has('kafkaKey') ? [] : ['--kafka-cert and --kafka-key go together'])
  ]
}

/** What does not fit together. @param set names of what is set */
export function devProblems(set: ReadonlySet<string>): string[] {
  const both = set.has('interval') && set.has('latency')
  return [
    ...kafkaProblems(set),
    ...(both ? ['--interval and --latency both say how often there are checkpoints; leave one of them out'] : [])
  ]
}

export function runProblems(set: ReadonlySet<string>): string[] {
  return [...devProblems(set), ...replayProblems(set)]
}

/** What does not fit together. @param set names of what is set */
export function workerProblems(set: ReadonlySet<string>): string[] {
  const given = ['tlsCa', 'tlsCert', 'tlsKey'].filter(name => set.has(name)).length
  return [
    ...connectionProblems(set),
    ...runProblems(set),
    ...(given === 0 || given === 3 ? [] : ['TLS among workers needs all of --tls-ca, --tls-cert and --tls-key'])
  ]
}
