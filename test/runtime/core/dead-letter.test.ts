/** Letters as they are written and read: in JSON, and as records of Kafka. */
import fc from 'fast-check'
import t from 'tap'
import { json } from '../../../actors/codecs.ts'
import type { SinkSpec } from '../../../actors/connectors.ts'
import { files, job, kafka, topic } from '../../../actors/index.ts'
import {
  letterWriter,
  readLetter,
  recordOf,
  whatWasRead,
  type DeadLetter,
  type SourceRecord
} from '../../../runtime/core/dead-letter.ts'
import type { TaskOutputs } from '../../../runtime/core/task-outputs.ts'
import { readableBytes } from '../../../runtime/kernel/readable-bytes.ts'
import type { OutputRecord, RecordBatch } from '../../../runtime/ports/log.ts'
import { drive } from '../../../simulations/driver/index.ts'

const codec = json()
const inLog: SinkSpec = { connector: 'log', topic: 'letters', partitions: undefined, codec, key: undefined }
const inKafka: SinkSpec = { connector: 'kafka', topic: 'letters', codec, key: undefined, brokers: undefined }

/** As the sink takes it. */
function written(letter: DeadLetter, sink: SinkSpec): OutputRecord {
  let record: OutputRecord | undefined
  const at = { partition: 0, timestamp: 0 }
  const outputs: Pick<TaskOutputs, 'write' | 'writeRecord'> = {
    write({ sink: spec }, value) {
      const chosen = 'headers' in spec ? (spec.headers as ((value: unknown) => object) | undefined)?.(value) : undefined
      const headers = Object.entries(chosen ?? {}).map(([name, text]) => ({ name, value: Buffer.from(text as string) }))
      record = { ...at, key: undefined, value: spec.codec.encode(value), headers }
    },
    writeRecord: (_sink, { key, value, headers }) => (record = { ...at, key, value, headers })
  }
  const node = { kind: 'sink', id: 1, name: 'dead-letters', input: { node: 0, output: 'main' }, sink } as const
  letterWriter('shop', { ...node, delivery: 'exactly-once' })(letter, outputs as TaskOutputs)
  return record as OutputRecord
}

const said = { stage: 'events', key: undefined, id: 'events/0/7', error: 'né', attempts: 1, time: 5 }
const anyBytes = fc.option(fc.uint8Array(), { nil: undefined })
const anyRecord: fc.Arbitrary<SourceRecord> = fc.record({
  topic: fc.constant('in'),
  partition: fc.nat(),
  offset: fc.nat(),
  key: anyBytes,
  value: anyBytes,
  headers: fc.array(fc.record({ name: fc.constantFrom('a', '1', 'cairn-letter', 'cairn-letter-id'), value: anyBytes }))
})
const plain = (record: SourceRecord | undefined): unknown =>
  JSON.stringify(record, (_, value: unknown) => (value instanceof Uint8Array ? [...value] : value))

void t.test('a letter of a source gives back the record, byte for byte', async () => {
  fc.assert(
    fc.property(anyRecord, fc.constantFrom(inLog, inKafka), (record, sink) => {
      const letter = readLetter(written({ ...said, event: readableBytes(record.value), record }, sink), codec)
      return plain(recordOf(letter as Record<string, unknown>)) === plain(record)
    })
  )
})

void t.test('in Kafka it is the record itself, with headers behind its own; both forms read alike', async t => {
  const record: SourceRecord = {
    topic: 'in',
    partition: 0,
    offset: 7,
    key: Buffer.from('k'),
    value: Buffer.from('\xff', 'latin1'),
    headers: [{ name: 'own', value: undefined }]
  }
  const letter: DeadLetter = { ...said, event: readableBytes(record.value), record }
  const chosen = { ...inKafka, headers: () => ({ kind: 'bad' }) } as SinkSpec
  const { key, value, headers = [] } = written(letter, chosen)
  t.same([key, value], [record.key, record.value])
  t.same(
    headers.map(({ name, value }) => `${name}=${String(value === undefined ? undefined : Buffer.from(value))}`),
    [
      'own=undefined',
      'cairn-letter=record',
      'cairn-letter-job=shop',
      'cairn-letter-stage=events',
      'cairn-letter-id=events/0/7',
      'cairn-letter-error=né',
      'cairn-letter-attempts=1',
      'cairn-letter-time=5',
      'cairn-letter-topic=in',
      'cairn-letter-partition=0',
      'cairn-letter-offset=7',
      'kind=bad'
    ]
  )
  const { job, ...same } = readLetter({ key, value, headers }, codec) as { readonly job: string }
  t.equal(job, 'shop')
  t.same(same, readLetter(written(letter, inLog), codec))
})

void t.test('a letter of a stage is the letter, with headers; they tell it where its codec cannot', async t => {
  const letter: DeadLetter = { ...said, stage: 'Visitor', key: 'ann', event: { n: 1 } }
  const record = written(letter, { ...inKafka, headers: () => ({ kind: 'bad' }) } as SinkSpec)
  t.same(JSON.parse(String(Buffer.from(record.value ?? []))), { ...letter })
  t.same(readLetter(record, codec), { ...letter, job: 'shop' })
  t.match(readLetter({ ...record, value: Buffer.from('{') }, codec), { ...letter, job: 'shop', event: '{' })
  t.same(readLetter({ ...record, headers: [] }, codec), { ...letter }, 'as they were written before')
  t.throws(() => readLetter({ key: undefined, value: Buffer.from('{') }, codec))
  for (const letter of [{}, { record: 1 }, { record: { topic: 'in' } }, { event: 'old' }])
    t.equal(recordOf(letter), undefined)
})

void t.test(
  'what is read: tombstones, values alone, values that cannot be made, sources that are no topics',
  async t => {
    const batch = (more: Partial<RecordBatch>): RecordBatch => ({
      count: 1,
      sizeBytes: 0,
      offset: () => 7,
      timestamp: () => 5,
      key: () => undefined,
      value: () => undefined,
      ...more
    })
    const { source: ofKafka } = kafka({ topic: /in-.*/, value: codec })
    const { source: ofLog } = topic('in', { value: codec })
    const place = { number: 12345, name: 'in-eu/3' }
    const key = (): Uint8Array => Buffer.from('k')
    const made = { valueObject: () => ({ n: 1 }) }
    const cannot = {
      valueObject: () => {
        throw new Error('no')
      }
    }
    t.match(whatWasRead(ofKafka, place, batch({ key, ...cannot }), 0), {
      event: null,
      record: { topic: 'in-eu', partition: 3, offset: 7, value: undefined }
    })
    t.match(whatWasRead(ofLog, { number: 1, name: '1' }, batch({}), 0), {
      event: null,
      record: { topic: 'in', partition: 1 }
    })
    t.same(whatWasRead(ofLog, place, batch(made), 0), { event: { n: 1 } }, 'of a test')
    t.same(whatWasRead(ofLog, place, batch(cannot), 0), { event: null })
    const lines = { connector: 'lines', paths: [], codec } as const
    t.same(whatWasRead(lines, place, batch({ value: key }), 0), { event: 'k' })
  }
)

void t.test('the driver reads letters that go to Kafka', async t => {
  const letters = kafka({ topic: 'letters', value: json() }).sink
  const d = await drive(
    job(
      'numbers',
      j => {
        const numbers = j.source('numbers', topic('in', { value: json<number>() }))
        const odd = numbers.map(n => {
          if (n % 2 === 0) throw new Error('even')
          return n
        })
        return { numbers, odd: odd.to('odd', files('unused', json())) }
      },
      { onError: 'dead-letter', deadLetters: letters }
    )
  )
  d.numbers.push(1, 2)
  await d.settle()
  t.match(d.deadLetters(), [{ stage: 'numbers', id: 'numbers/0/1', error: 'even', event: 2, job: 'numbers' }])
})
