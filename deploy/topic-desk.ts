/** Topics of a job's embedded log as the command line sees them: listed, appended to, read. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Plan } from '../actors/plan.ts'
import { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../runtime/adapters/node-clock.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { murmur2 } from '../runtime/kernel/murmur2.ts'
import { readableBytes } from '../runtime/kernel/readable-bytes.ts'
import type { OutputRecord, RecordBatch } from '../runtime/ports/log.ts'
import { lockFolder, makeJobFolder } from './job-lock.ts'

export interface TopicLine {
  readonly topic: string
  readonly partitions: number
  /** Where the next record of each partition will be. */
  readonly ends: readonly number[]
}
export interface NewRecord {
  readonly key?: string | undefined
  readonly value: string
}
export interface AppendRequest {
  readonly topic: string
  /** Default: by key, as Kafka does it; 0 where there is none. */
  readonly partition?: number | undefined
  /** Of a topic that is not there yet; default 1. */
  readonly partitions?: number | undefined
  /** Take values that the job's source could not read. */
  readonly unchecked?: boolean | undefined
  readonly records: readonly NewRecord[]
}
export interface ReadRequest {
  readonly topic: string
  /** Only this one. */
  readonly partition?: number | undefined
  /** Where to read on, as an earlier answer said; absent: see `last`. */
  readonly positions?: readonly number[] | undefined
  /** So many offsets before the end of each partition; absent = from the beginning. */
  readonly last?: number | undefined
  readonly limit: number
  /** How long to wait for a record where there is none. */
  readonly waitMs: number
}
export interface ReadRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  /** Text, or `{ $bytes }` in base64 where it is none. */
  readonly key: unknown
  readonly value: unknown
}
export interface ReadAnswer {
  readonly records: readonly ReadRecord[]
  /** By partition. */
  readonly positions: readonly number[]
}

/** Opens the log of a job that does not run, for as long as `work` takes; undefined = there is no log. Throws LOCKED. */
export async function withStoredLog<T>(
  folder: string,
  make: boolean,
  work: (log: EmbeddedLog) => Promise<T>
): Promise<T | undefined> {
  const path = join(folder, 'log')
  if (make) await makeJobFolder(folder)
  else if (
    !(await stat(path).then(
      () => true,
      () => false
    ))
  )
    return undefined
  const unlock = await lockFolder(folder)
  try {
    const log = await EmbeddedLog.open(path, nodeClock)
    try {
      return await work(log)
    } finally {
      await log.close()
    }
  } finally {
    await unlock()
  }
}

export async function topicLines(log: EmbeddedLog): Promise<TopicLine[]> {
  const lines: TopicLine[] = []
  for (const { name, partitions } of log.topics()) {
    const reader = log.reader(name)
    const ends: number[] = []
    for (let partition = 0; partition < partitions; partition++) ends.push(await reader.start(partition, 'latest'))
    await reader.close()
    lines.push({ topic: name, partitions, ends })
  }
  return lines
}

/** Durable when it resolves. A topic that is not there is made. Throws USAGE for a value that the job's source would refuse. */
export async function appendTo(
  log: EmbeddedLog,
  plan: Plan | undefined,
  request: AppendRequest
): Promise<{ readonly appended: number; readonly created: boolean }> {
  const { topic, partition, records } = request
  const values = records.map(record => Buffer.from(record.value))
  if (request.unchecked !== true) checkValues(plan, topic, values)
  const created = log.topic(topic) === undefined
  if (created || request.partitions !== undefined) await log.createTopic(topic, request.partitions ?? 1)
  const { partitions } = log.find(topic)
  const byPartition = new Map<number, OutputRecord[]>()
  for (const [i, { key: text }] of records.entries()) {
    const key = text === undefined ? undefined : Buffer.from(text)
    const target = partition ?? (key === undefined ? 0 : (murmur2(key) & 0x7fffffff) % partitions)
    const list = byPartition.get(target) ?? []
    byPartition.set(target, list)
    list.push({ partition: target, timestamp: nodeClock.now(), key, value: values[i] })
  }
  for (const [target, list] of byPartition) await log.append(topic, target, list)
  return { appended: records.length, created }
}

function checkValues(plan: Plan | undefined, topic: string, values: readonly Uint8Array[]): void {
  for (const node of plan?.nodes ?? [])
    if (node.kind === 'source' && node.source.connector === 'log' && node.source.topic === topic)
      for (const value of values)
        try {
          node.source.codec.decode(value)
        } catch (cause) {
          throw new CodedError(
            'USAGE',
            `source "${node.name}" cannot read ${JSON.stringify(Buffer.from(value).toString())}: ${(cause as Error).message}`,
            { cause, remedy: 'Correct the value, or append it all the same with --unchecked.' }
          )
        }
}

/** At most about a mebibyte: an answer is built while events wait. */
const readBytes = 1024 * 1024

/** Throws TOPIC_MISSING, OPTION_INVALID for a partition or position that is not there. */
export async function readTopic(log: EmbeddedLog, request: ReadRequest): Promise<ReadAnswer> {
  const { topic, last } = request
  if (log.topic(topic) === undefined) throw noTopic(topic, log)
  const reader = log.reader(topic)
  try {
    const count = log.find(topic).partitions
    const wanted = Array.from({ length: count }, (_, i) => i).filter(i => (request.partition ?? i) === i)
    if (wanted.length === 0)
      throw new CodedError('OPTION_INVALID', `topic "${topic}" has ${count} partitions, so no ${request.partition}`)
    const positions = Array.from({ length: count }, (_, i) => request.positions?.[i] ?? 0)
    if (request.positions === undefined && last !== undefined)
      for (const i of wanted) positions[i] = Math.max(0, (await reader.start(i, 'latest')) - last)
    const records: ReadRecord[] = []
    const fetch = async (i: number, waitMs: number): Promise<void> => {
      const fetched = await reader.fetch(i, positions[i] ?? 0, readBytes, waitMs)
      if (fetched.kind === 'out-of-range')
        throw new CodedError('OPTION_INVALID', `topic "${topic}", partition ${i} ends at ${fetched.end}`)
      if (fetched.kind === 'records') positions[i] = take(fetched.batch, i, fetched.next, records, request.limit)
      else if (fetched.kind === 'caught-up') positions[i] = fetched.next
    }
    for (const i of wanted) if (records.length < request.limit) await fetch(i, 0)
    if (records.length === 0 && request.waitMs > 0 && request.limit > 0)
      await Promise.race(wanted.map(i => fetch(i, request.waitMs)))
    return { records, positions }
  } finally {
    await reader.close()
  }
}

/** Adds records up to the limit; returns where to read on. */
function take(batch: RecordBatch, partition: number, next: number, into: ReadRecord[], limit: number): number {
  for (let i = 0; i < batch.count; i++) {
    if (into.length >= limit) return batch.offset(i)
    into.push({
      partition,
      offset: batch.offset(i),
      timestamp: batch.timestamp(i),
      key: readableBytes(batch.key(i)),
      value: readableBytes(batch.value(i))
    })
  }
  return next
}

export function noTopic(topic: string, log: EmbeddedLog | undefined): CodedError {
  const names = log?.topics().map(({ name }) => name) ?? []
  return new CodedError('TOPIC_MISSING', `topic "${topic}" does not exist; there are: ${names.join(', ') || 'none'}`)
}
