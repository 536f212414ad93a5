/**
 * A real Kafka for one test file: the one that KAFKA_BROKERS names, else brokers of its own on loopback. Topics, groups and transactional
 * ids of a file begin with a prefix of its own, so that files can share a cluster.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { KafkaProcess, kafkaTool, type KafkaOptions } from '../../simulations/chaos/kafka-process.ts'
import { needs, service } from './services.ts'

const given = (process.env['KAFKA_BROKERS'] ?? '').split(',').filter(address => address !== '')

/** Options of a test that stops brokers or configures them, or uses Kafka's tools. */
export const needsOwnKafka = (): { readonly skip?: string } => needs('kafka')

/** Options of a test to which any cluster will do, that of KAFKA_BROKERS included. */
export const needsKafka = (): { readonly skip?: string } => (given.length > 0 ? {} : needs('kafka'))

export interface ConsumedRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  /** Null where there is none. */
  readonly key: string | null
  readonly value: string | null
  /** `name:value,…`, empty where there are none. */
  readonly headers: string
}

export type OwnKafkaOptions = Omit<KafkaOptions, 'program' | 'folder'>

/** The cluster that tests share. */
export class KafkaServer {
  /** `host:port` each. */
  readonly brokers: readonly string[]
  /** What the names of topics, groups and jobs begin with. */
  readonly prefix = `t${randomBytes(4).toString('hex')}`
  private counted = 0

  protected constructor(brokers: readonly string[]) {
    this.brokers = brokers
  }

  /** Stopped with the test: ask for it once a file, in the test that holds the others. */
  static async start(t: Test): Promise<KafkaServer> {
    return given.length > 0 ? new KafkaServer(given) : OwnKafka.launch(t)
  }

  /** A name that nobody has used: of a topic, a group, a job. */
  name(what = 'topic'): string {
    return `${this.prefix}-${what}-${++this.counted}`
  }

  /** Kafka's own class, told where the brokers are. */
  tool(mainClass: string, args: readonly string[], options: { readonly input?: string } = {}): Promise<string> {
    return kafkaTool(service('kafka'), mainClass, ['--bootstrap-server', this.brokers.join(','), ...args], options)
  }

  /** A new topic under a new name, which is returned. */
  async topic(partitions = 1, configs: Readonly<Record<string, string | number>> = {}): Promise<string> {
    const topic = this.name()
    await this.createTopic(topic, partitions, configs)
    return topic
  }

  async createTopic(
    topic: string,
    partitions: number,
    configs: Readonly<Record<string, string | number>> = {}
  ): Promise<void> {
    const settings = Object.entries(configs).flatMap(([key, value]) => ['--config', `${key}=${value}`])
    await this.tool('org.apache.kafka.tools.TopicCommand', [
      '--create',
      '--topic',
      topic,
      '--partitions',
      String(partitions),
      ...settings
    ])
  }

  async deleteTopic(topic: string): Promise<void> {
    await this.tool('org.apache.kafka.tools.TopicCommand', ['--delete', '--topic', topic])
  }

  /** Lines `key<TAB>value` (`\N` = null; a line without a tab is a value alone), written by Kafka's own producer. */
  async produce(topic: string, lines: readonly string[], properties: readonly string[] = []): Promise<void> {
    const keyed = lines.some(line => line.includes('\t'))
    await this.tool(
      'org.apache.kafka.tools.ConsoleProducer',
      [
        '--topic',
        topic,
        ...(keyed ? ['--reader-property', 'parse.key=true', '--reader-property', 'null.marker=\\N'] : []),
        ...properties.flatMap(each => ['--command-property', each])
      ],
      { input: lines.map(line => `${line}\n`).join('') }
    )
  }

  /** Everything that is committed, from the beginning, by Kafka's own consumer; ends once nothing has come for `idleMs`. */
  async consume(
    topic: string,
    { idleMs = 2_000, max }: { readonly idleMs?: number; readonly max?: number } = {}
  ): Promise<ConsumedRecord[]> {
    const parts = ['print.key', 'print.timestamp', 'print.offset', 'print.partition', 'print.headers']
    const text = await this.tool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
      '--topic',
      topic,
      '--from-beginning',
      '--isolation-level',
      'read_committed',
      '--timeout-ms',
      String(idleMs),
      ...(max === undefined ? [] : ['--max-messages', String(max)]),
      ...parts.flatMap(part => ['--formatter-property', `${part}=true`]),
      '--formatter-property',
      'null.literal=\\N'
    ])
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(consumed)
  }

  /** Transactional ids that begin with `prefix` and are in a transaction now. */
  async openTransactions(prefix: string): Promise<string[]> {
    const text = await this.tool('org.apache.kafka.tools.TransactionsCommand', ['list'])
    return text
      .split('\n')
      .slice(1)
      .map(line => line.trim().split(/\s+/))
      .filter(([id, , , state]) => id?.startsWith(prefix) === true && !/^(Empty|Complete|Dead)/.test(state ?? ''))
      .map(words => words.join(' '))
  }

  /** What a consumer group has not read, by `topic/partition`, as operators see it; NaN where it has no offset. */
  async lag(group: string): Promise<Map<string, number>> {
    const text = await this.tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
      '--describe',
      '--group',
      group
    ])
    const lag = new Map<string, number>()
    for (const line of text.split('\n')) {
      const [name, topic, partition, , , behind] = line.trim().split(/\s+/)
      if (name === group) lag.set(`${topic}/${partition}`, Number(behind))
    }
    return lag
  }
}

/** Brokers that belong to the test, which may stop them. */
export class OwnKafka extends KafkaServer {
  readonly cluster: KafkaProcess

  private constructor(cluster: KafkaProcess) {
    super(cluster.addresses())
    this.cluster = cluster
  }

  static async launch(t: Test, options: OwnKafkaOptions = {}): Promise<OwnKafka> {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-kafka-'))
    const cluster = await KafkaProcess.launch({ program: service('kafka'), folder, ...options })
    t.teardown(async () => {
      await cluster.stop()
      await rm(folder, { recursive: true, force: true })
    })
    return new OwnKafka(cluster)
  }
}

/** `CreateTime:1000<TAB>Partition:0<TAB>Offset:3<TAB>NO_HEADERS<TAB>key<TAB>value` */
function consumed(line: string): ConsumedRecord {
  const match =
    /^(?:CreateTime|LogAppendTime):(-?\d+)\tPartition:(\d+)\tOffset:(\d+)\t([^\t]*)\t([^\t]*)\t([^]*)$/.exec(line)
  if (match === null) throw new Error(`the console consumer printed ${JSON.stringify(line)}`)
  const [, timestamp, partition, offset, headers, key, value] = match
  const orNull = (text: string | undefined): string | null => (text === undefined || text === '\\N' ? null : text)
  return {
    partition: Number(partition),
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: orNull(key),
    value: orNull(value),
    headers: headers === 'NO_HEADERS' || headers === undefined ? '' : headers
  }
}
