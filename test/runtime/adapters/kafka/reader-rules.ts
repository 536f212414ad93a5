/** What a reader of Kafka's topics promises beyond the rules of the port, against any brokers: real ones, and those of the simulator. */
import type { Test } from 'tap'
import type { KafkaReaderOptions } from '../../../../runtime/adapters/kafka/kafka-reader.ts'
import type { Fetched, LogReader, RecordBatch } from '../../../../runtime/ports/log.ts'
import type { TopicRecord } from '../../../support/kafka-topics.ts'
import { readLog, testLogReader, type LogCapabilities, type LogSubject } from '../../ports/log-conformance.ts'

/** Begun; of a producer of its own. */
export interface LabTransaction {
  send(topic: string, records: readonly TopicRecord[]): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
}

export interface LabReader extends LogReader {
  /** What is kept of a partition and not taken yet. */
  heldBytes(topic: string, partition: number): number
}

export interface ReaderLab {
  /** Makes a topic whose name begins so; answers its name. */
  create(name: string, partitions: number): Promise<string>
  /** Resolves once they are there. */
  send(topic: string, records: readonly TopicRecord[]): Promise<void>
  begin(): Promise<LabTransaction>
  /** What stands before `offset` is gone, as retention does it. */
  cut(topic: string, partition: number, offset: number): Promise<void>
  remove(topic: string): Promise<void>
  reader(options: KafkaReaderOptions, more?: { readonly bufferedBytes?: number }): LabReader
}

const waitMs = 100
export const textOf = (batch: RecordBatch, i: number): string => new TextDecoder().decode(batch.value(i))
export const numbers = (count: number): TopicRecord[] => Array.from({ length: count }, (_, i) => ({ value: `v${i}` }))
const able: LogCapabilities = { bounded: false, gaveUp: true, outOfRange: true, limited: true, partitions: 3 }

/** Of 100 kB each. */
const large = (count: number): TopicRecord[] => Array.from({ length: count }, () => ({ value: 'x'.repeat(100_000) }))

export const closing = <R extends LogReader>(t: Test, reader: R): R => {
  t.teardown(() => reader.close())
  return reader
}

export async function filled(lab: ReaderLab, name: string, records: readonly TopicRecord[]): Promise<string> {
  const topic = await lab.create(name, 1)
  await lab.send(topic, records)
  return topic
}

/** The values of so many records, from the beginning. */
export async function textsOf(lab: ReaderLab, topic: string, partition: number, count: number): Promise<string[]> {
  const reader = lab.reader({ topic })
  const read = await readLog({ reader: () => reader, text: textOf }, reader, partition, count)
  await reader.close()
  return read.map(({ text }) => text)
}

export async function testKafkaReader(t: Test, lab: ReaderLab): Promise<void> {
  await testRecords(t, lab)
  await testBounds(t, lab)
  await testPort(t, lab)
  await testMemory(t, lab)
  await testTopics(t, lab)
}

async function testPort(t: Test, lab: ReaderLab): Promise<void> {
  const subject = (t: Test, topic: string): LogSubject => ({
    reader: () => closing(t, lab.reader({ topic })),
    text: textOf,
    append: (partition, value) => lab.send(topic, [{ partition, value }])
  })

  await t.test('plain records follow the rules of the port', t =>
    testLogReader(t, able, async (t, texts) => {
      const topic = await lab.create('plain', texts.length)
      for (const [partition, list] of texts.entries())
        await lab.send(
          topic,
          list.map(value => ({ partition, value }))
        )
      return subject(t, topic)
    })
  )

  await t.test('so do records between aborted ones and the marks of transactions', t =>
    testLogReader(t, { ...able, outOfRange: false }, async (t, texts) => {
      const topic = await lab.create('gaps', texts.length)
      for (let from = 0; from < 300; from += 150) {
        const [good, bad] = [await lab.begin(), await lab.begin()]
        for (const [partition, list] of texts.entries()) {
          const records = list.slice(from, Math.min(from + 150, 299)).map(value => ({ partition, value }))
          await good.send(topic, records.slice(0, 10))
          await bad.send(topic, [{ partition, value: 'never seen' }])
          await good.send(topic, records.slice(10))
        }
        await good.commit()
        await bad.abort()
      }
      for (const [partition, list] of texts.entries()) {
        if (list.length === 0) continue
        // What can be read has its mark behind it: the next record is the end.
        await textsOf(lab, topic, partition, 299)
        await lab.send(topic, [{ partition, value: list[299] as string }])
      }
      return subject(t, topic)
    })
  )
}

async function testRecords(t: Test, lab: ReaderLab): Promise<void> {
  await t.test('keys, tombstones and timestamps arrive as they were written', async t => {
    const topic = await filled(lab, 'parts', [
      { key: 'a', value: '1', timestamp: 5 },
      { key: 'a', value: null, timestamp: 1_600_000_000_123 },
      { key: '', value: '', timestamp: 6 }
    ])
    const reader = closing(t, lab.reader({ topic }))
    const got = await reader.fetch(0, 0, 1 << 20, 1000)
    t.equal(got.kind, 'records')
    const { batch } = got as Extract<Fetched, { kind: 'records' }>
    const string = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes)
    t.same(
      [0, 1, 2].map(i => [batch.offset(i), batch.timestamp(i), string(batch.key(i)), string(batch.value(i))]),
      [
        [0, 5, 'a', '1'],
        [1, 1_600_000_000_123, 'a', undefined],
        [2, 6, '', '']
      ]
    )
    t.equal(batch.sizeBytes, 3)
    t.same(shown(got), { kind: 'records', count: 3, next: 3, end: 3 })
  })

  await t.test('a producer that aborted writes on, and what it commits then is read', async t => {
    const topic = await filled(lab, 'again', numbers(2))
    const bad = await lab.begin()
    await bad.send(topic, [{ value: 'never seen' }])
    await lab.send(topic, [{ value: 'between' }])
    await bad.send(topic, [{ value: 'never seen either' }])
    await bad.abort()
    const good = await lab.begin()
    await good.send(topic, [{ value: 'seen' }])
    await good.commit()
    t.same(await textsOf(lab, topic, 0, 4), ['v0', 'v1', 'between', 'seen'])
  })

  await t.test('an open transaction is not read, and its begin is the end; "latest" is there, too', async t => {
    const topic = await filled(lab, 'open', numbers(3))
    const open = await lab.begin()
    await open.send(topic, [{ value: 'not yet' }])
    await lab.send(topic, [{ value: 'behind' }])
    const reader = closing(t, lab.reader({ topic }))
    t.equal(await reader.start(0, 'latest'), 3)
    const got = await reader.fetch(0, 0, 1 << 20, 1000)
    t.same(got.kind === 'records' && [got.batch.count, got.next], [3, 3])
    t.same(await reader.fetch(0, 3, 1 << 20, waitMs), { kind: 'caught-up', next: 3 })
    await open.commit()
    t.same(await textsOf(lab, topic, 0, 5), ['v0', 'v1', 'v2', 'not yet', 'behind'])
  })

  await t.test(
    'a reader that takes little by little may stop anywhere: where it stands is behind what it took',
    async t => {
      const topic = await filled(lab, 'little', numbers(16))
      const seen: string[] = []
      for (let position = 0; position < 16;) {
        const reader = lab.reader({ topic })
        // The first of a reader, and one that was fetched with it.
        for (let i = 0; i < 2 && position < 16; i++) {
          const got = await reader.fetch(0, position, 5, 1000)
          if (got.kind !== 'records') continue
          for (let n = 0; n < got.batch.count; n++) seen.push(textOf(got.batch, n))
          position = got.next
        }
        await reader.close()
      }
      t.same(
        seen,
        numbers(16).map(({ value }) => value)
      )
    }
  )

  await t.test('a reader may go back to where it was', async t => {
    const topic = await filled(lab, 'back', numbers(10))
    const reader = closing(t, lab.reader({ topic }))
    for (const from of [0, 7, 3, 9, 0]) {
      const got = await reader.fetch(0, from, 1 << 20, 1000)
      t.same(shown(got), { kind: 'records', count: 10 - from, next: 10, end: 10 })
      if (got.kind === 'records') t.equal(textOf(got.batch, 0), `v${from}`)
    }
  })
}

async function testBounds(t: Test, lab: ReaderLab): Promise<void> {
  await t.test('a source begins at the first record of a time, or at the end where there is none', async t => {
    const topic = await filled(
      lab,
      'times',
      [1000, 2000, 3000].map(timestamp => ({ value: 'x', timestamp }))
    )
    const from = (begin: number): Promise<number> => closing(t, lab.reader({ topic, begin })).start(0, 'latest')
    t.same([await from(0), await from(1500), await from(3000), await from(3001)], [0, 1, 2, 3])
    t.equal(await closing(t, lab.reader({ topic, begin: [2] })).start(0, 'latest'), 2)
    t.equal(await closing(t, lab.reader({ topic })).start(0, 'earliest'), 0)
  })

  await t.test('what retention has taken is out of range, at the start of reading and in the middle of it', async t => {
    const topic = await filled(lab, 'cut', numbers(100))
    const reader = closing(t, lab.reader({ topic }))
    t.equal((await reader.fetch(0, 0, 20, 1000)).kind, 'records')
    t.same(await reader.fetch(0, 100, 20, waitMs), { kind: 'caught-up', next: 100 })
    await lab.cut(topic, 0, 40)
    t.same(await reader.fetch(0, 39, 20, waitMs), { kind: 'out-of-range', earliest: 40, end: 100 })
    t.same(await closing(t, lab.reader({ topic })).fetch(0, 0, 20, 0), {
      kind: 'out-of-range',
      earliest: 40,
      end: 100
    })
    for (const [onMissing, next] of [
      ['earliest', 40],
      ['latest', 100]
    ] as const) {
      const told: string[] = []
      const going = closing(t, lab.reader({ topic, onMissing, told: ({ message }) => told.push(message) }))
      t.same(await going.fetch(0, 7, 20, 0), { kind: 'caught-up', next })
      t.equal(told.length, 1)
      t.match(String(told), new RegExp(`partition 0: ${next - 7} records from offset 7 on are gone`))
      t.equal((await going.fetch(0, 101, 20, 0)).kind, 'out-of-range', 'a topic that lost its end is another matter')
    }
    t.equal(await reader.start(0, 'earliest'), 40)
    t.equal((await reader.fetch(0, 40, 20, 1000)).kind, 'records')
  })

  await t.test('what retention takes from under a reader that is slow is out of range once it comes there', async t => {
    const topic = await filled(lab, 'slow', large(500))
    const reader = closing(t, lab.reader({ topic }, { bufferedBytes: 2_000_000 }))
    let got = await reader.fetch(0, 0, 1, 1000)
    await lab.cut(topic, 0, 450)
    for (let position = 0; got.kind === 'records' || got.kind === 'caught-up';) {
      if (got.kind === 'records') t.equal(got.batch.offset(0), position)
      position = got.next
      got = await reader.fetch(0, position, 1 << 20, 1000)
    }
    t.same(got, { kind: 'out-of-range', earliest: 450, end: 500 })
  })
}

async function testMemory(t: Test, lab: ReaderLab): Promise<void> {
  await t.test('a partition that nobody takes from is paused while another goes on, and nothing is lost', async t => {
    const topic = await lab.create('slow', 2)
    const value = 'x'.repeat(100_000)
    for (const partition of [0, 1])
      await lab.send(
        topic,
        Array.from({ length: 500 }, () => ({ partition, value }))
      )
    const reader = closing(t, lab.reader({ topic }, { bufferedBytes: 2_000_000 }))
    const read = async (partition: number, from: number, count: number): Promise<number> => {
      let position = from
      while (position < count) {
        const got: Fetched = await reader.fetch(partition, position, 1 << 20, 1000)
        if (got.kind !== 'records' && got.kind !== 'caught-up') throw new Error(got.kind)
        position = got.next
      }
      return position
    }
    t.ok((await read(1, 0, 1)) >= 1)
    t.equal(await read(0, 0, 500), 500)
    // What the client itself keeps, and fetched before it was paused, is of 16 MiB at most.
    const held = reader.heldBytes(topic, 1)
    t.ok(held < 25_000_000, `${held} bytes are kept`)
    const first = await reader.fetch(1, 0, 1, 1000)
    t.equal(await read(1, first.kind === 'records' ? first.next : NaN, 500), 500)
  })

  await t.test('whoever does not wait hears "caught up" at the end only, however little may be kept', async t => {
    const topic = await filled(lab, 'alone', large(60))
    const reader = closing(t, lab.reader({ topic }, { bufferedBytes: 1 }))
    let position = 0
    for (; position < 60;) {
      const got = await reader.fetch(0, position, 150_000, 0)
      t.equal(got.kind, 'records', `at ${position}`)
      if (got.kind !== 'records') break
      position = got.next
    }
    t.same(await reader.fetch(0, position, 1, 0), { kind: 'caught-up', next: 60 })
  })

  await t.test('a record that is larger than what is asked for at once comes all the same', async t => {
    const value = 'y'.repeat(900_000)
    const topic = await filled(lab, 'large', [{ value: 'small' }, { value }, { value }, { value: 'small' }])
    const texts = await textsOf(lab, topic, 0, 4)
    t.same(
      texts.map(({ length }) => length),
      [5, 900_000, 900_000, 5]
    )
  })
}

async function testTopics(t: Test, lab: ReaderLab): Promise<void> {
  await t.test('a topic that is not there is said as such', t =>
    t.rejects(closing(t, lab.reader({ topic: 'nowhere' })).partitions(), { code: 'TOPIC_MISSING' })
  )

  await t.test('a topic that is deleted while it is read fails its reader', async t => {
    const topic = await filled(lab, 'deleted', numbers(5))
    const reader = closing(t, lab.reader({ topic }))
    t.same(shown(await reader.fetch(0, 0, 1 << 20, 1000)), { kind: 'records', count: 5, next: 5, end: 5 })
    await lab.remove(topic)
    const more = async (): Promise<void> => {
      for (;;) await reader.fetch(0, 5, 100, waitMs)
    }
    await t.rejects(more(), { code: 'TOPIC_MISSING' })
  })

  await t.test('a pattern finds the topics that match, those that are made later, too', async t => {
    const prefix = await filled(lab, 'many', numbers(10))
    const reader = closing(t, lab.reader({ topic: new RegExp(`(x|${prefix}.*)`) }))
    const found = await reader.partitions()
    t.same(
      found.map(({ name }) => name),
      [`${prefix}/0`]
    )
    const number = found[0]?.number ?? NaN
    t.equal(await reader.start(number, 'latest'), 10)
    t.same(shown(await reader.fetch(number, 5, 1 << 20, 1000)), { kind: 'records', count: 5, next: 10, end: 10 })
    const later = await lab.create(`${prefix}-later`, 2)
    // A broker hears of a topic a moment later than whoever made it.
    let names: string[]
    do names = (await reader.partitions()).map(({ name }) => name).sort()
    while (names.length < 3)
    t.same(names, [`${prefix}/0`, `${later}/0`, `${later}/1`].sort())
  })
}

/** What a fetch brought, without its records. */
const shown = (got: Fetched): object =>
  got.kind === 'records' ? { kind: got.kind, count: got.batch.count, next: got.next, end: got.end } : got
