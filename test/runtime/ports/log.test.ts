/** Every reader against the rules of the port. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CsvReader } from '../../../runtime/adapters/csv-reader.ts'
import { EmbeddedLog } from '../../../runtime/adapters/embedded-log/embedded-log.ts'
import { GeneratorReader } from '../../../runtime/adapters/generator-reader.ts'
import { LinesReader } from '../../../runtime/adapters/lines-reader.ts'
import { nodeClock } from '../../../runtime/adapters/node-clock.ts'
import type { RecordHeader } from '../../../runtime/kernel/record-header.ts'
import type { LogReader, OutputRecord, RecordBatch } from '../../../runtime/ports/log.ts'
import { DrivenReader } from '../../../simulations/driver/driven-reader.ts'
import { testLogReader, type LogCapabilities, type MakeLog } from './log-conformance.ts'

const textOfValue = (batch: RecordBatch, i: number): string => new TextDecoder().decode(batch.value(i))
const textOfObject = (batch: RecordBatch, i: number): string => String(batch.valueObject?.(i))
const record = (partition: number, text: string, headers: readonly RecordHeader[] = []): OutputRecord => ({
  partition,
  timestamp: 0,
  key: undefined,
  value: new TextEncoder().encode(text),
  headers
})

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const files: LogCapabilities = { bounded: true, gaveUp: true, outOfRange: true, limited: true, partitions: 2 }

void t.test('lines', async t => {
  await testLogReader(t, files, async (t, texts) => {
    const folder = folderOf(t)
    const paths = texts.map((_, i) => join(folder, `${i}.txt`))
    texts.forEach((list, i) => writeFileSync(paths[i] as string, list.map(text => `${text}\n`).join('')))
    return { reader: () => closing(t, new LinesReader(paths)), text: textOfValue }
  })
})

void t.test('CSV', async t => {
  await testLogReader(t, files, async (t, texts) => {
    const folder = folderOf(t)
    const paths = texts.map((_, i) => join(folder, `${i}.csv`))
    const row = (text: string, i: number): string => (i % 3 === 0 ? `"${text}","a\n""b"` : `${text},c`)
    texts.forEach((list, i) => writeFileSync(paths[i] as string, ['text,other', ...list.map(row)].join('\r\n')))
    const options = { separator: ',', make: (row: Readonly<Record<string, string>>) => row['text'] }
    return { reader: () => closing(t, new CsvReader(paths, options)), text: textOfObject }
  })
})

void t.test('generator', async t => {
  await testLogReader(t, { ...files, limited: false }, async (_t, texts) => {
    const count = texts[0]?.length ?? 0
    const make = (sequence: number, partition: number): string => texts[partition]?.[sequence] ?? ''
    return { reader: () => new GeneratorReader({ partitions: 2, count, make }), text: textOfObject }
  })
})

void t.test("the driver's own", async t => {
  const able: LogCapabilities = { bounded: false, gaveUp: false, outOfRange: false, limited: false, partitions: 1 }
  await testLogReader(t, able, async (_t, texts) => {
    const reader = new DrivenReader()
    reader.push(texts[0] as string[])
    return { reader: () => reader, text: textOfObject, append: async (_partition, text) => reader.push([text]) }
  })
})

type Fill = (log: EmbeddedLog, texts: readonly (readonly string[])[]) => Promise<void>

const makeLog =
  (fill: Fill, bounded = false): MakeLog =>
  async (t, texts) => {
    const log = await EmbeddedLog.open(join(folderOf(t), 'log'), nodeClock)
    t.teardown(() => log.close())
    await log.createTopic('other', 1)
    await log.createTopic('texts', texts.length)
    await fill(log, texts)
    return {
      reader: () => log.reader('texts', { bounded }),
      text: textOfValue,
      append: async (partition, text, headers) =>
        void (await log.append('texts', partition, [record(partition, text, headers)]))
    }
  }

const plain: Fill = async (log, texts) => {
  for (const [partition, list] of texts.entries())
    for (let i = 0; i < list.length; i += 64)
      await log.append(
        'texts',
        partition,
        list.slice(i, i + 64).map(text => record(partition, text))
      )
}

/** The same texts with aborted records, markers and other producers between them. */
const withGaps: Fill = async (log, texts) => {
  const [good, bad] = [await log.producer('good'), await log.producer('bad')]
  for (const [partition, list] of texts.entries())
    for (let i = 0; i < list.length; i += 16) {
      good.begin()
      bad.begin()
      good.append('texts', partition, [record(partition, list[i] as string)])
      bad.append('texts', partition, [record(partition, 'never seen'), record(partition, 'never seen')])
      good.append(
        'texts',
        partition,
        list.slice(i + 1, i + 16).map(text => record(partition, text))
      )
      await Promise.all([good.commit(), bad.abort()])
    }
}

const able = { bounded: false, gaveUp: true, outOfRange: true, limited: true, partitions: 3, headers: true }
const embedded: LogCapabilities = able
void t.test('embedded log', t => testLogReader(t, embedded, makeLog(plain)))
void t.test('embedded log, bounded', t => testLogReader(t, { ...embedded, bounded: true }, makeLog(plain, true)))
// Markers stand behind the last record, so that the position behind it plus one is not out of range.
void t.test('embedded log with gaps', t => testLogReader(t, { ...embedded, outOfRange: false }, makeLog(withGaps)))

function closing<R extends LogReader>(t: Test, reader: R): R {
  t.teardown(() => reader.close())
  return reader
}
