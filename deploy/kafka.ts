/** Topics of Kafka that a job reads and writes: which cluster they are on, and what reaches them. Everything here is closed together. */
import type { SinkSpec, SourceSpec } from '../actors/connectors.ts'
import type { Plan } from '../actors/plan.ts'
import { KafkaAppender } from '../runtime/adapters/kafka/kafka-appender.ts'
import { forgetLedger } from '../runtime/adapters/kafka/forget-ledger.ts'
import { brokersOf, type KafkaCluster } from '../runtime/adapters/kafka/kafka-options.ts'
import { KafkaGroup } from '../runtime/adapters/kafka/kafka-group.ts'
import type { ToldSources } from '../runtime/adapters/kafka/kafka-publisher.ts'
import type { KafkaReaderOptions } from '../runtime/adapters/kafka/kafka-reader.ts'
import { KafkaReaders } from '../runtime/adapters/kafka/kafka-readers.ts'
import { KafkaRedriver, type KafkaRedriverOptions } from '../runtime/adapters/kafka/kafka-redriver.ts'
import { KafkaTarget } from '../runtime/adapters/kafka/kafka-target.ts'
import { ledgerTopicOf, openKafkaPublisher } from '../runtime/adapters/kafka/open-publisher.ts'
import type { Place } from '../runtime/adapters/kafka/load-kafka.ts'
import { SchemaRegistry } from '../runtime/adapters/kafka/schema-registry.ts'
import { TopicPartitions } from '../runtime/adapters/kafka/topic-partitions.ts'
import { nodeClock } from '../runtime/adapters/node-clock.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { Appender, LogReader } from '../runtime/ports/log.ts'
import type { Publisher } from '../runtime/ports/publisher.ts'
import { registering, ResolvingReader } from './registry.ts'
import type { KafkaValues } from './settings/tables.ts'

type KafkaSource = Extract<SourceSpec, { readonly connector: 'kafka' }>
type KafkaSink = Extract<SinkSpec, { readonly connector: 'kafka' }>

export interface KafkaOptions {
  /** As they were set; the brokers are for topics that name none. */
  readonly settings?: Partial<KafkaValues>
  /** Told of what goes wrong outside and is tried again. */
  readonly troubled?: (error: CodedError) => void
}

export class KafkaSide {
  private readonly plan: Pick<Plan, 'job' | 'slots' | 'nodes'>
  private readonly options: KafkaOptions
  private readonly readers = new Map<string, KafkaReaders>()
  /** By name of the source, over all generations. */
  private readonly partitions = new Map<string, TopicPartitions>()
  private readonly groups = new Map<string, KafkaGroup>()
  private known: SchemaRegistry | undefined
  private readonly opened: { close(): Promise<void> }[] = []

  constructor(plan: Pick<Plan, 'job' | 'slots' | 'nodes'>, options: KafkaOptions) {
    this.plan = plan
    this.options = options
  }

  reader(name: string, { topic, brokers, begin, onMissing, read, codec }: KafkaSource): LogReader {
    const cluster = this.cluster(`source "${name}"`, brokers)
    const reader = this.readersOf(cluster).reader({
      topic,
      partitions: this.partitionsOf(name, topic),
      begin,
      onMissing: onMissing === 'fail' ? undefined : onMissing,
      told: this.options.troubled,
      ...this.toldPlainly(name, cluster),
      make:
        read === undefined
          ? undefined
          : record => read({ ...record, value: record.value === undefined ? undefined : codec.decode(record.value) })
    })
    if (codec.registry === undefined) return reader
    const { troubled = () => undefined } = this.options
    return new ResolvingReader(reader, codec.registry, this.registry(`source "${name}"`), nodeClock, troubled)
  }

  /** Records as they stand there. */
  records(what: string, { topic, brokers }: Pick<KafkaSource, 'topic' | 'brokers'>): LogReader {
    return this.readersOf(this.cluster(what, brokers)).reader({ topic })
  }

  /** To a topic of the source's cluster. */
  redriver(
    source: string,
    brokers: string | undefined,
    topic: string,
    probe: KafkaRedriverOptions['probe']
  ): KafkaRedriver {
    const cluster = this.cluster(`source "${source}"`, brokers)
    return this.keep(new KafkaRedriver({ cluster, job: this.plan.job, topic, clock: nodeClock, probe }))
  }

  private registry(what: string): SchemaRegistry {
    const {
      schemaRegistry: url,
      schemaRegistryUser: user,
      schemaRegistryPassword: password
    } = this.options.settings ?? {}
    if (url === undefined)
      throw new CodedError('OPTION_INVALID', `${what} has its schemas in a registry, and none is named`, {
        remedy: 'Name it with --schema-registry http://host:port or CAIRN_SCHEMA_REGISTRY; see docs/kafka.md.'
      })
    return (this.known ??= new SchemaRegistry({
      url,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password })
    }))
  }

  /** With its schema registered, where it has one. */
  private written(name: string, { topic, codec }: KafkaSink, publisher: Publisher): Publisher {
    if (codec.registry === undefined) return publisher
    return registering(publisher, codec.registry, `${topic}-value`, this.registry(`sink "${name}"`))
  }

  private partitionsOf(name: string, topic: string | RegExp): TopicPartitions {
    const known = this.partitions.get(name) ?? new TopicPartitions(topic)
    this.partitions.set(name, known)
    return known
  }

  /** Two sources may read one topic: the first one's offsets are those of the group. */
  private toldOf(cluster: KafkaCluster): Map<string, (partition: number) => Place | undefined> {
    const places = new Map<string, (partition: number) => Place | undefined>()
    const before: TopicPartitions[] = []
    for (const node of this.plan.nodes) {
      if (node.kind !== 'source' || node.source.connector !== 'kafka') continue
      const { brokers, topic } = node.source
      if (this.cluster(`source "${node.name}"`, brokers).brokers.join() !== cluster.brokers.join()) continue
      if (typeof topic === 'string' && before.some(each => each.reads(topic))) continue
      const own = this.partitionsOf(node.name, topic)
      const first = [...before]
      before.push(own)
      places.set(node.name, partition => {
        const place = own.place(partition)
        return place === undefined || first.some(each => each.reads(place.topic)) ? undefined : place
      })
    }
    return places
  }

  /** Whose transactions the offsets of the cluster's sources are in. */
  private tellerOn(cluster: KafkaCluster): string | undefined {
    for (const node of this.plan.nodes) {
      if (node.kind !== 'sink' || node.sink.connector !== 'kafka' || node.delivery !== 'exactly-once') continue
      const { brokers } = this.cluster(`sink "${node.name}"`, node.sink.brokers)
      if (brokers.join() === cluster.brokers.join()) return node.name
    }
    return undefined
  }

  private toldPlainly(name: string, cluster: KafkaCluster): Pick<KafkaReaderOptions, 'reached'> {
    const place = this.tellerOn(cluster) === undefined ? this.toldOf(cluster).get(name) : undefined
    if (place === undefined) return {}
    return {
      reached: positions =>
        this.groupOf(cluster).reached(
          positions.flatMap(({ partition, position }) => {
            const at = place(partition)
            return at === undefined ? [] : [{ ...at, offset: position }]
          })
        )
    }
  }

  private groupOf(cluster: KafkaCluster): KafkaGroup {
    const key = cluster.brokers.join()
    let group = this.groups.get(key)
    if (group === undefined) {
      group = new KafkaGroup({ cluster, name: this.clientName, clock: nodeClock, ...this.groupOptions })
      this.groups.set(key, group)
    }
    return group
  }

  private get groupOptions(): Omit<ToldSources, 'topics'> {
    const { settings = {}, troubled } = this.options
    const group = settings.kafkaGroup ?? this.clientName
    const refused = (why: Error): void =>
      troubled?.(
        new CodedError('KAFKA_REFUSED', `group "${group}" does not take the offsets of the sources: ${why.message}`, {
          cause: why,
          remedy: 'Lag monitors do not see this job; it goes on. See docs/kafka.md, Rights.'
        })
      )
    return { group, refused }
  }

  private readersOf(cluster: KafkaCluster): KafkaReaders {
    const key = cluster.brokers.join()
    let readers = this.readers.get(key)
    if (readers === undefined) {
      const { troubled, settings } = this.options
      const client = settings?.kafkaReader
      const options = {
        cluster,
        name: this.clientName,
        clock: nodeClock,
        ...(client === undefined ? {} : { client })
      }
      readers = new KafkaReaders(troubled === undefined ? options : { ...options, troubled })
      this.readers.set(key, readers)
    }
    return readers
  }

  /** Exactly once. */
  publisher(name: string, sink: KafkaSink): Publisher {
    const { topic, brokers, compression } = sink
    const { job, slots } = this.plan
    const cluster = this.cluster(`sink "${name}"`, brokers)
    const topics = this.tellerOn(cluster) === name ? this.toldOf(cluster) : undefined
    const told = topics === undefined || topics.size === 0 ? {} : { told: { ...this.groupOptions, topics } }
    const publisher = this.keep(
      openKafkaPublisher(cluster, { job, topic, slots, compression, clock: nodeClock, ...told })
    )
    return this.written(name, sink, publisher)
  }

  /** At least once. */
  appender(name: string, sink: KafkaSink): { readonly appender: Appender; readonly target: Publisher } {
    const { topic, brokers, compression } = sink
    const cluster = this.cluster(`sink "${name}"`, brokers)
    return {
      appender: this.keep(new KafkaAppender({ cluster, topic, compression, name: this.clientName })),
      target: this.written(name, sink, this.keep(new KafkaTarget(cluster, this.clientName, topic, nodeClock)))
    }
  }

  /** Starting over: nothing counts as published. What stands in the topics stays. */
  async forget(sinks: readonly (readonly [string, KafkaSink])[]): Promise<void> {
    const topic = ledgerTopicOf(this.plan.job)
    const clusters = new Map(
      sinks
        .map(([name, { brokers }]) => this.cluster(`sink "${name}"`, brokers))
        .map(each => [each.brokers.join(), each])
    )
    for (const cluster of clusters.values()) {
      const reader = this.readersOf(cluster).reader({ topic })
      const appender = new KafkaAppender({ cluster, topic, name: this.clientName })
      try {
        await forgetLedger(reader, appender, this.plan.job)
      } finally {
        await reader.close()
        await appender.close()
      }
    }
  }

  private keep<Opened extends { close(): Promise<void> }>(opened: Opened): Opened {
    this.opened.push(opened)
    return opened
  }

  private get clientName(): string {
    return `cairn-${this.plan.job}`
  }

  private cluster(what: string, brokers: string | undefined): KafkaCluster {
    const { settings = {} } = this.options
    const { kafka, kafkaTls, kafkaCa, kafkaCert, kafkaKey, kafkaMechanism, kafkaUser, kafkaPassword } = settings
    const list = brokers ?? kafka?.join()
    if (list === undefined)
      throw new CodedError('OPTION_INVALID', `${what} is on Kafka, and no brokers are named`, {
        remedy: 'Name them with --kafka host:port, CAIRN_KAFKA, or `brokers` in the job file; see docs/kafka.md.'
      })
    const secured = kafkaTls === true || kafkaCa !== undefined || kafkaCert !== undefined
    return {
      brokers: brokersOf(brokers === undefined ? '--kafka' : what, list),
      ...(secured
        ? {
            tls: {
              ...(kafkaCa === undefined ? {} : { ca: kafkaCa }),
              ...(kafkaCert === undefined ? {} : { certificate: kafkaCert }),
              ...(kafkaKey === undefined ? {} : { key: kafkaKey })
            }
          }
        : {}),
      ...(kafkaUser === undefined || kafkaPassword === undefined
        ? {}
        : { sasl: { mechanism: kafkaMechanism ?? 'SCRAM-SHA-512', user: kafkaUser, password: kafkaPassword } })
    }
  }

  async close(): Promise<void> {
    for (const each of [...this.groups.values(), ...this.readers.values(), ...this.opened.splice(0)]) await each.close()
  }
}
