/**
 * What is put aside, and how it is written. A letter of a source that is a topic holds its record as it was read: key, value and headers, byte
 * for byte.
 *
 *     log, files   the letter, by the codec of the sink: the record's value is `event`, all else of it is `record`
 *     Kafka        of a source: the record itself, as key, value and headers; what the letter says are headers behind those
 *                  of a stage: the letter, by the codec of the sink; what it says are headers, too
 *
 * The first of those headers is `cairn-letter`, whose value tells the two forms apart. What stands behind the last header of that name is the
 * letter's, what stands before it the record's: a record that was a letter before keeps what that letter said.
 */
import type { SinkHeaders, SourceSpec, ValueCodec } from '../../actors/connectors.ts'
import type { SinkNode } from '../../actors/plan.ts'
import { bytesOfReadable, readableBytes, type ReadableBytes } from '../kernel/readable-bytes.ts'
import type { RecordHeader } from '../kernel/record-header.ts'
import type { OutputRecord, RecordBatch } from '../ports/log.ts'
import { sinkHeaders } from './sink-headers.ts'
import type { TaskOutputs } from './task-outputs.ts'

/** A record of a topic as a source read it, and where. */
export interface SourceRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: Uint8Array | undefined
  /** Undefined: a tombstone. */
  readonly value: Uint8Array | undefined
  readonly headers: readonly RecordHeader[]
}

export interface DeadLetter {
  /** The stage, or the source, that could not handle it. */
  readonly stage: string
  /** As text; of a stage. */
  readonly key: string | undefined
  /** source/partition/position, and what became of it on its way */
  readonly id: string
  readonly error: string
  readonly attempts: number
  /** Of the event; of a source the record's timestamp, NaN where it has none. */
  readonly time: number
  /** As it reached the stage. Of a source: the record's value, as text or `{ $bytes }` in base64; null for a tombstone. */
  readonly event: unknown
  /** Of a source that is a topic. */
  readonly record?: SourceRecord
}

/** `record`: key and value are those of the source's record; `event`: the value is the letter. */
export const letterHeader = 'cairn-letter'
const names = ['job', 'stage', 'key', 'id', 'error', 'attempts', 'time', 'topic', 'partition', 'offset'] as const

/** Record `i` as a source's letter holds it. Without `record` where the source is no topic, or hands out values alone, as in a test. */
export function whatWasRead(
  source: SourceSpec,
  { number, name }: { readonly number: number; readonly name: string },
  batch: RecordBatch,
  i: number
): Pick<DeadLetter, 'event' | 'record'> {
  const [key, value] = [batch.key(i), batch.value(i)]
  const isTopic = source.connector === 'log' || source.connector === 'kafka'
  const isTombstone = batch.valueObject === undefined || (source.connector === 'kafka' && key !== undefined)
  if (!isTopic || (value === undefined && !isTombstone))
    return { event: value === undefined ? objectOf(batch, i) : readableBytes(value) }
  // A pattern's partitions are called topic/partition.
  const [named = '', numbered] = name.split('/')
  const [topic, partition] = typeof source.topic === 'string' ? [source.topic, number] : [named, Number(numbered)]
  const record = { topic, partition, offset: batch.offset(i), key, value, headers: batch.headers?.(i) ?? [] }
  return { event: readableBytes(value), record }
}

function objectOf(batch: RecordBatch, i: number): unknown {
  try {
    return batch.valueObject?.(i)
  } catch {
    // Reading it may be what failed.
    return null
  }
}

/** Writes letters to the job's sink for them. */
export function letterWriter(job: string, sink: SinkNode): (letter: DeadLetter, outputs: TaskOutputs) => void {
  const { sink: spec } = sink
  if (spec.connector !== 'kafka') return (letter, outputs) => outputs.write(sink, plainLetter(letter), letter.time)
  const chosen = spec.headers as ((letter: unknown) => SinkHeaders | undefined) | undefined
  const headers = (letter: DeadLetter): SinkHeaders => ({ ...chosen?.(letter), ...headersOf(job, letter, 'event') })
  const framed: SinkNode = { ...sink, sink: { ...spec, headers } }
  return (letter, outputs) => {
    const { record, time } = letter
    if (record === undefined) return outputs.write(framed, letter, time)
    const said = Object.entries(headersOf(job, letter, 'record'))
    const own = said.map(([name, value]) => ({ name, value: encoder.encode(value) }))
    const more = sinkHeaders(sink, plainLetter(letter)) ?? []
    outputs.writeRecord(sink, { ...record, headers: [...record.headers, ...own, ...more] }, time)
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

function headersOf(job: string, letter: DeadLetter, form: 'record' | 'event'): Record<string, string> {
  const { topic, partition, offset } = letter.record ?? {}
  const said: Record<(typeof names)[number], unknown> = { ...letter, job, topic, partition, offset }
  return {
    [letterHeader]: form,
    ...Object.fromEntries(
      names.flatMap(name => (said[name] === undefined ? [] : [[`${letterHeader}-${name}`, String(said[name])]]))
    )
  }
}

/** As a codec of JSON can write it. */
function plainLetter({ record, ...letter }: Partial<DeadLetter>): object {
  if (record === undefined) return letter
  const { topic, partition, offset, key, headers } = record
  return {
    ...letter,
    record: {
      topic,
      partition,
      offset,
      key: readableBytes(key),
      headers: headers.map(({ name, value }) => ({ name, value: readableBytes(value) }))
    } satisfies PlainRecord
  }
}

interface PlainRecord extends Omit<SourceRecord, 'key' | 'value' | 'headers'> {
  readonly key: ReadableBytes
  readonly headers: readonly { readonly name: string; readonly value: ReadableBytes }[]
}

/**
 * What was written as a letter, in the form of the log, with the name of its `job` where that is known. Throws what the codec throws, where no
 * header tells what the letter says.
 */
export function readLetter(
  { key, value, headers = [] }: Pick<OutputRecord, 'key' | 'value' | 'headers'>,
  codec: ValueCodec
): unknown {
  const at = headers.findLastIndex(({ name }) => name === letterHeader)
  if (at < 0) return value === undefined ? undefined : codec.decode(value)
  const text = new Map(headers.slice(at).map(({ name, value }) => [name, decoder.decode(value)]))
  const said = (name: (typeof names)[number]): string => text.get(`${letterHeader}-${name}`) ?? ''
  const letter = {
    job: said('job'),
    stage: said('stage'),
    ...(text.has(`${letterHeader}-key`) ? { key: said('key') } : {}),
    id: said('id'),
    error: said('error'),
    attempts: Number(said('attempts')),
    time: Number(said('time')),
    event: readableBytes(value)
  }
  if (text.get(letterHeader) !== 'record')
    try {
      return { ...letter, ...(codec.decode(value ?? new Uint8Array(0)) as object) }
    } catch {
      return letter
    }
  const [topic, partition, offset] = [said('topic'), Number(said('partition')), Number(said('offset'))]
  return plainLetter({ ...letter, record: { topic, partition, offset, key, value, headers: headers.slice(0, at) } })
}

/** The record that a letter holds, in the form of the log; undefined where it holds none. */
export function recordOf(letter: Readonly<Record<string, unknown>>): SourceRecord | undefined {
  const { record, event } = letter as { readonly record?: Partial<PlainRecord>; readonly event?: unknown }
  if (typeof record !== 'object' || record === null) return undefined
  const { topic, partition, offset, key, headers } = record
  if (typeof topic !== 'string' || typeof partition !== 'number' || typeof offset !== 'number') return undefined
  return {
    topic,
    partition,
    offset,
    key: bytesOfReadable(key),
    value: bytesOfReadable(event),
    headers: (headers ?? []).map(({ name, value }) => ({ name, value: bytesOfReadable(value) }))
  }
}
