/** What every LogReader promises, run against each implementation. What one cannot do is said as data. */
import type { Test } from 'tap'
import type { RecordHeader } from '../../../runtime/kernel/record-header.ts'
import type { Fetched, LogReader, RecordBatch } from '../../../runtime/ports/log.ts'

export interface LogCapabilities {
  /** Partitions end: `finished` instead of `caught-up`. */
  readonly bounded: boolean
  /** A fetch is given up after `waitMs`. */
  readonly gaveUp: boolean
  /** A position behind the end is refused. */
  readonly outOfRange: boolean
  /** A fetch may be told how many bytes it may take. */
  readonly limited: boolean
  readonly partitions: number
  /** Records keep their headers; `append` takes some. */
  readonly headers?: boolean
}

export interface LogSubject {
  /** Anew at each call, over the same records. */
  reader(): LogReader
  /** Record `i` of a batch as the text that was written. */
  text(batch: RecordBatch, i: number): string
  /** Unbounded logs only: one more record for a partition, visible once it resolves. */
  append?(partition: number, text: string, headers?: readonly RecordHeader[]): Promise<void>
}

/** Makes a log that holds these texts, one list per partition; whatever it needs is released by `t.teardown`. */
export type MakeLog = (t: Test, texts: readonly (readonly string[])[]) => Promise<LogSubject>

const waitMs = 20

export async function readLog(
  subject: LogSubject,
  reader: LogReader,
  partition: number,
  count: number,
  options: { from?: number; maxBytes?: number } = {}
): Promise<{ text: string; at: number; next: number }[]> {
  let position = options.from ?? (await reader.start(partition, 'earliest'))
  const read: { text: string; at: number; next: number }[] = []
  while (read.length < count) {
    const got = await reader.fetch(partition, position, options.maxBytes ?? 1 << 20, 1000)
    if (got.kind === 'out-of-range') throw new Error(`position ${position} is out of range`)
    if (got.kind === 'finished') break
    if (got.kind === 'records')
      for (let i = 0; i < got.batch.count; i++)
        read.push({
          text: subject.text(got.batch, i),
          at: got.batch.offset(i),
          next: i + 1 < got.batch.count ? got.batch.offset(i + 1) : got.next
        })
    if (got.next < position) throw new Error(`next ${got.next} lies before ${position}`)
    position = got.next
  }
  return read
}

const textsOf = (partitions: number): string[][] =>
  Array.from({ length: partitions }, (_, partition) =>
    Array.from({ length: 300 }, (_, i) => `${partition}-${i}-${'x'.repeat(i % 50)}`)
  )

export async function testLogReader(t: Test, capabilities: LogCapabilities, make: MakeLog): Promise<void> {
  const texts = textsOf(capabilities.partitions)
  await testReading(t, capabilities, make, texts)
  await testEnd(t, capabilities, make, texts)
  if (!capabilities.bounded) await testFollowing(t, capabilities, make, texts)
}

async function testReading(t: Test, capabilities: LogCapabilities, make: MakeLog, texts: string[][]): Promise<void> {
  await t.test('partitions have the same names each time, one for each number', async t => {
    const subject = await make(t, texts)
    const reader = subject.reader()
    const first = await reader.partitions()
    t.equal(first.length, capabilities.partitions)
    t.equal(new Set(first.map(({ name }) => name)).size, first.length)
    t.same(await subject.reader().partitions(), first)
    await reader.close()
  })

  await t.test('from the start come all records of a partition, in order, at growing positions', async t => {
    const subject = await make(t, texts)
    const reader = subject.reader()
    for (const [partition, list] of texts.entries()) {
      const read = await readLog(subject, reader, partition, list.length)
      t.same(
        read.map(({ text }) => text),
        list
      )
      t.ok(read.every(({ at, next }, i) => next > at && (i === 0 || at > (read[i - 1]?.at ?? Infinity))))
      t.ok(read.every(({ next }, i) => i + 1 === read.length || next <= (read[i + 1]?.at ?? -1)))
    }
    await reader.close()
  })

  await t.test('a new reader goes on from the position of any record, and from behind it', async t => {
    const subject = await make(t, texts)
    const list = texts[0] as string[]
    const all = await readLog(subject, subject.reader(), 0, list.length)
    for (const i of [0, 1, 2, 63, 64, 150, 298, 299]) {
      const { at, next } = all[i] as { at: number; next: number }
      const again = await readLog(subject, subject.reader(), 0, list.length - i, { from: at })
      t.same(
        again.map(({ text }) => text),
        list.slice(i),
        `from record ${i}`
      )
      t.same(
        again.map(each => each.at),
        all.slice(i).map(each => each.at)
      )
      if (i === 299) continue
      const behind = await readLog(subject, subject.reader(), 0, list.length - i - 1, { from: next })
      t.equal(behind[0]?.text, list[i + 1])
    }
  })

  await t.test('partitions are read side by side', async t => {
    const subject = await make(t, texts)
    const reader = subject.reader()
    const read = await Promise.all(texts.map((list, partition) => readLog(subject, reader, partition, list.length)))
    t.same(
      read.map(each => each.map(({ text }) => text)),
      texts
    )
    await reader.close()
  })

  if (capabilities.limited)
    await t.test('whatever bytes are asked for, at least one record comes, and not much more than asked', async t => {
      const subject = await make(t, texts)
      for (const maxBytes of [1, 100, 3000]) {
        const reader = subject.reader()
        const read = await readLog(subject, reader, 0, 300, { maxBytes })
        t.same(
          read.map(({ text }) => text),
          texts[0],
          `${maxBytes} bytes`
        )
        await reader.close()
      }
    })
}

async function testEnd(t: Test, capabilities: LogCapabilities, make: MakeLog, texts: string[][]): Promise<void> {
  const endOf = async (subject: LogSubject): Promise<number> =>
    (await readLog(subject, subject.reader(), 0, 300)).at(-1)?.next ?? NaN

  if (capabilities.bounded)
    await t.test('behind the last record a partition is finished, however often it is asked', async t => {
      const subject = await make(t, texts)
      const reader = subject.reader()
      const end = await endOf(subject)
      for (let i = 0; i < 3; i++) t.same(await reader.fetch(0, end, 100, waitMs), { kind: 'finished' })
      const empty = (
        await make(
          t,
          texts.map(() => [])
        )
      ).reader()
      t.same(await empty.fetch(0, await empty.start(0, 'earliest'), 100, waitMs), { kind: 'finished' })
    })

  if (!capabilities.bounded && capabilities.gaveUp)
    await t.test('behind the last record a reader is told so when it has waited', async t => {
      const subject = await make(t, texts)
      const end = await endOf(subject)
      t.same(await subject.reader().fetch(0, end, 100, waitMs), { kind: 'caught-up', next: end })
      t.same(await subject.reader().fetch(0, end, 100, 0), { kind: 'caught-up', next: end })
    })

  if (capabilities.outOfRange)
    await t.test('a position behind the end is out of range: the log has lost what somebody read', async t => {
      const subject = await make(t, texts)
      const end = await endOf(subject)
      const got = await subject.reader().fetch(0, end + 1, 100, waitMs)
      t.match(got, { kind: 'out-of-range', end })
    })

  await t.test('a closed reader can be closed again', async t => {
    const reader = (await make(t, texts)).reader()
    await reader.partitions()
    await reader.close()
    await reader.close()
    t.pass()
  })
}

async function testFollowing(t: Test, capabilities: LogCapabilities, make: MakeLog, texts: string[][]): Promise<void> {
  await t.test('who waits gets what comes', async t => {
    const subject = await make(t, texts)
    const reader = subject.reader()
    const end = (await readLog(subject, reader, 0, 300)).at(-1)?.next ?? NaN
    const waiting = reader.fetch(0, end, 100, 60_000)
    await subject.append?.(0, 'late')
    const got: Fetched = await waiting
    t.equal(got.kind, 'records')
    if (got.kind === 'records') t.equal(subject.text(got.batch, 0), 'late')
    await reader.close()
  })

  if (capabilities.headers === true)
    await t.test('headers come as they were written', async t => {
      const subject = await make(
        t,
        texts.map(() => [])
      )
      const reader = subject.reader()
      const value = new TextEncoder().encode('ü')
      const written = [
        [],
        [
          { name: 'a', value },
          { name: 'a', value: undefined },
          { name: 'ü', value: value.slice(2) }
        ],
        []
      ]
      for (const [i, headers] of written.entries()) await subject.append?.(0, `${i}`, headers)
      const read: unknown[] = []
      for (let at = await reader.start(0, 'earliest'); read.length < written.length;) {
        const got = await reader.fetch(0, at, 1 << 20, 1000)
        if (got.kind === 'records') for (let i = 0; i < got.batch.count; i++) read.push(got.batch.headers?.(i) ?? [])
        if (got.kind !== 'finished' && got.kind !== 'out-of-range') at = got.next
      }
      t.same(read, written)
      await reader.close()
    })

  if (!capabilities.gaveUp) return
  await t.test('"latest" begins behind what is there', async t => {
    const subject = await make(t, texts)
    const reader = subject.reader()
    const from = await reader.start(0, 'latest')
    await subject.append?.(0, 'late')
    const [first] = await readLog(subject, reader, 0, 1, { from })
    t.equal(first?.text, 'late')
    await reader.close()
  })

  await t.test('closing answers who waits', async t => {
    const subject = await make(t, texts)
    const reader = subject.reader()
    const end = (await readLog(subject, reader, 0, 300)).at(-1)?.next ?? NaN
    const waiting = reader.fetch(0, end, 100, 60_000)
    await reader.close()
    t.match(await waiting, { kind: 'caught-up', next: end })
  })
}
