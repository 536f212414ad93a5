/**
 * Records of topics of Kafka, sent again, some hundred in a transaction. What was redriven stands in a topic of the job's own, written in that
 * same transaction (`kafka-redriver.ts`): so neither a crash nor a second redrive sends one twice, and it does not matter whether the
 * copies, which retention may delete first, are still there.
 */
import type { KafkaRedriver, KafkaRedriverOptions, RedrivenRecord } from '../runtime/adapters/kafka/kafka-redriver.ts'
import type { CodedError } from '../runtime/kernel/errors.ts'
import type { LogReader, OutputRecord } from '../runtime/ports/log.ts'
import type { KafkaSide } from './kafka.ts'
import { copyOf, type KafkaPlace, type RedriveQuery, type Tally } from './redriven-record.ts'

/** Larger: readers of the topic wait longer in front of a transaction. Smaller: more of them. */
const chunkRecords = 500
const chunkBytes = 1024 * 1024
/** What a record is taken for that is not read yet. Smaller: more large ones are in memory, and in a transaction, at once. */
const unreadBytes = 16 * 1024
/** Records that stages refused lie apart: what is fetched beside one is seldom of use. */
const fetchBytes = 64 * 1024

/** A source, and where its partitions are. */
interface Input {
  readonly reader: LogReader
  /** Undefined: the source has it no more. */
  place(partition: number): { readonly topic: string; readonly partition: number } | undefined
}
interface Pending {
  readonly wanted: KafkaPlace
  readonly target: KafkaRedriver
  /** In its topic. */
  readonly partition: number
}

export class KafkaTargets {
  private readonly kafka: KafkaSide
  private readonly query: RedriveQuery
  private readonly probe: KafkaRedriverOptions['probe']
  private readonly inputs = new Map<string, Promise<Input>>()
  private readonly targets = new Map<string, Promise<KafkaRedriver>>()
  private pending: Pending[] = []
  private pendingBytes = 0
  /** Of this run, and what is pending. */
  private readonly own = new Set<string>()

  constructor(kafka: KafkaSide, query: RedriveQuery, probe: KafkaRedriverOptions['probe']) {
    this.kafka = kafka
    this.query = query
    this.probe = probe
  }

  async take(wanted: KafkaPlace, tally: Tally): Promise<void> {
    const { held, offset, name, source } = wanted
    const at = held ?? (await this.input(wanted)).place(wanted.partition)
    if (at === undefined) {
      tally.gone++
      return
    }
    const target = await this.target(name, source.brokers, at.topic)
    const key = `${at.topic}/${at.partition}/${offset}`
    if (this.own.has(key)) return
    if (target.has(at.partition, offset)) {
      tally.already++
      return
    }
    if (tally.redriven.length + this.pending.length >= this.query.limit) return
    this.own.add(key)
    this.pending.push({ wanted, target, partition: at.partition })
    this.pendingBytes += held === undefined ? unreadBytes : (held.value?.length ?? 0) + (held.key?.length ?? 0)
    if (this.pending.length >= chunkRecords || this.pendingBytes >= chunkBytes) await this.finish(tally)
  }

  /** Sends what is pending. */
  async finish(tally: Tally): Promise<void> {
    const { pending } = this
    this.pending = []
    this.pendingBytes = 0
    const found = await this.read(pending)
    const byTarget = new Map<KafkaRedriver, (RedrivenRecord & { readonly id: string })[]>()
    for (const { wanted, target, partition } of pending) {
      const { id, held, offset } = wanted
      const record = held ?? found.get(id)
      if (record === undefined) tally.gone++
      else
        byTarget.set(target, [...(byTarget.get(target) ?? []), { ...copyOf(id, { ...record, partition }), id, offset }])
    }
    for (const [target, records] of byTarget) await this.send(target, records, tally)
  }

  /** What the topic does not take is told, and holds up nothing. */
  private async send(
    target: KafkaRedriver,
    records: readonly (RedrivenRecord & { readonly id: string })[],
    tally: Tally
  ): Promise<void> {
    const refused = new Map<string, CodedError>()
    for (const record of records) {
      const error = target.refusal(record)
      if (error !== undefined) refused.set(record.id, error)
    }
    const sent = records.filter(({ id }) => !refused.has(id))
    if (!this.query.dryRun)
      for (const { partition, offset, error } of await target.redrive(sent)) {
        const record = sent.find(each => each.partition === partition && each.offset === offset)
        if (record !== undefined) refused.set(record.id, error)
      }
    tally.redriven.push(...sent.filter(({ id }) => !refused.has(id)).map(({ id }) => id))
    for (const [id, { message, remedy }] of refused) tally.refused.push({ id, error: `${message}. ${remedy}` })
  }

  /** What letters do not hold themselves: of stages, and of sources that an older Cairn has put aside. By id. */
  private async read(pending: readonly Pending[]): Promise<ReadonlyMap<string, OutputRecord>> {
    const byPartition = new Map<string, KafkaPlace[]>()
    for (const { wanted } of pending) {
      if (wanted.held !== undefined) continue
      const key = `${wanted.name}/${wanted.partition}`
      byPartition.set(key, [...(byPartition.get(key) ?? []), wanted])
    }
    const found = new Map<string, OutputRecord>()
    for (const list of byPartition.values()) {
      const [first] = list as [KafkaPlace]
      const { reader } = await this.input(first)
      const offsets = new Set(list.map(({ offset }) => offset))
      let next = 0
      for (const { offset } of list.sort((a, b) => a.offset - b.offset)) {
        if (offset < next) continue
        const got = await reader.fetch(first.partition, offset, fetchBytes, 0)
        if (got.kind !== 'records') continue
        const { batch } = got
        for (let i = 0; i < batch.count; i++) {
          if (!offsets.has(batch.offset(i))) continue
          const [key, value, headers] = [batch.key(i), batch.value(i), batch.headers?.(i) ?? []]
          const record = { partition: first.partition, timestamp: batch.timestamp(i), key, value, headers }
          found.set(`${first.name}/${first.partition}/${batch.offset(i)}`, record)
        }
        next = got.next
      }
    }
    return found
  }

  private input({ name, source }: KafkaPlace): Promise<Input> {
    const open = async (): Promise<Input> => {
      const reader = this.kafka.records(`source "${name}"`, source)
      const partitions = await reader.partitions()
      const places = new Map(
        partitions.map(({ name, number }, i) => {
          const [topic = '', partition] = name.split('/')
          const at =
            typeof source.topic === 'string'
              ? { topic: source.topic, partition: i }
              : { topic, partition: Number(partition) }
          return [number ?? i, at]
        })
      )
      return { reader, place: partition => places.get(partition) }
    }
    const input = this.inputs.get(name) ?? open()
    this.inputs.set(name, input)
    return input
  }

  private target(source: string, brokers: string | undefined, topic: string): Promise<KafkaRedriver> {
    const key = `${brokers ?? ''} ${topic}`
    const begin = async (): Promise<KafkaRedriver> => {
      const redriver = this.kafka.redriver(source, brokers, topic, this.probe)
      await redriver.begin(this.query.dryRun)
      return redriver
    }
    const target = this.targets.get(key) ?? begin()
    this.targets.set(key, target)
    return target
  }

  async close(): Promise<void> {
    for (const input of this.inputs.values()) await input.then(({ reader }) => reader.close()).catch(() => undefined)
  }
}
