import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { csv } from '../../../actors/index.ts'
import { CsvReader, fieldsOf } from '../../../runtime/adapters/csv-reader.ts'

type Row = Readonly<Record<string, string>>
const same = (row: Row): unknown => row

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-csv-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Every row from a position to the end: its value or the message of its error, and its position. */
async function readAll(
  reader: CsvReader,
  options: { partition?: number; from?: number; maxBytes?: number } = {}
): Promise<{ at: number; value?: unknown; error?: string }[]> {
  const { partition = 0, maxBytes = 1 << 20 } = options
  let position = options.from ?? (await reader.start(partition))
  const rows: { at: number; value?: unknown; error?: string }[] = []
  for (;;) {
    const got = await reader.fetch(partition, position, maxBytes)
    if (got.kind === 'finished') return rows
    if (got.kind === 'out-of-range') throw new Error(`out of range at ${position}`)
    if (got.kind === 'records')
      for (let i = 0; i < got.batch.count; i++) {
        const at = got.batch.offset(i)
        try {
          rows.push({ at, value: got.batch.valueObject?.(i) })
        } catch (error) {
          rows.push({ at, error: (error as Error).message })
        }
      }
    position = got.next
  }
}

async function read(t: Test, content: string | Uint8Array, separator = ','): ReturnType<typeof readAll> {
  const path = join(folderOf(t), 'in.csv')
  writeFileSync(path, content)
  const reader = new CsvReader([path], { separator, make: same })
  return readAll(reader).finally(() => reader.close())
}

const values = (rows: { value?: unknown }[]): unknown[] => rows.map(row => row.value)

void t.test('quotes, escaped quotes, separators and newlines inside quotes, CRLF, no newline at the end', async t => {
  const rows = await read(t, 'name,"said, aloud"\r\nann,"he said ""no"""\r\n"bob\nby","x,y"\r\n\r\ncy,')
  t.same(values(rows), [
    { name: 'ann', 'said, aloud': 'he said "no"' },
    { name: 'bob\nby', 'said, aloud': 'x,y' },
    { name: 'cy', 'said, aloud': '' }
  ])
})

void t.test('a malformed row is one error and takes no other row with it', async t => {
  const rows = await read(t, 'a,b\n1,2\n3\n4,5,6\n7" x,8\n"9"9,0\n"open,1\n2,3\n"4",5\n')
  t.same(
    rows.map(row => row.error ?? row.value),
    [
      { a: '1', b: '2' },
      'a row of 1 fields under 2 columns',
      'a row of 3 fields under 2 columns',
      'character 0: a quote inside a field that is not quoted',
      'character 3: text behind a closing quote',
      'character 0: a quote that is never closed',
      { a: '2', b: '3' },
      { a: '4', b: '5' }
    ]
  )
})

void t.test('a quote that stays open to the end of the file, or for too long, spoils one line', async t => {
  const last = await read(t, 'a,b\n1,2\n"3,4\n5,6')
  t.same(
    last.map(row => row.error ?? row.value),
    [{ a: '1', b: '2' }, 'character 0: a quote that is never closed', { a: '5', b: '6' }]
  )
  const long = await read(t, `a\n"x\n${'y\n'.repeat(1 << 19)}z\n`)
  t.equal(long.length, 1 + (1 << 19) + 1)
  t.equal(long.filter(row => row.error !== undefined).length, 1)
})

void t.test('bytes that are not UTF-8 spoil one row', async t => {
  const rows = await read(t, Uint8Array.from([...Buffer.from('a\n1\n'), 0xff, 0x0a, 0x32, 0x0a]))
  t.same(rows[0]?.value, { a: '1' })
  t.ok(rows[1]?.error)
  t.same(rows[2]?.value, { a: '2' })
})

void t.test(
  'a byte order mark, an empty file, a header alone, another separator, a column named __proto__',
  async t => {
    t.same(values(await read(t, '\ufeffa\n1\n')), [{ a: '1' }])
    t.same(await read(t, ''), [])
    t.same(await read(t, 'a,b\n'), [])
    t.same(values(await read(t, 'a;b\n1;"2;3"\n', ';')), [{ a: '1', b: '2;3' }])
    const [row] = values(await read(t, '__proto__,b\nx,y\n')) as [object]
    t.same(Object.entries(row), [
      ['__proto__', 'x'],
      ['b', 'y']
    ])
    t.equal(Object.getPrototypeOf(row), Object.prototype)
  }
)

void t.test('a header that is malformed, or names a column twice, is refused with the name of the file', async t => {
  await t.rejects(read(t, 'a,a\n1,2\n'), { code: 'DECODE_FAILED', message: /in\.csv", first row: two columns/ })
  await t.rejects(read(t, 'a,"b\n1,2\n'), { code: 'DECODE_FAILED', message: /first row: .*never closed/ })
  await t.rejects(read(t, 'a'.repeat(2 << 20)), { code: 'DECODE_FAILED', message: /first row: a row of more/ })
  await t.rejects(read(t, `a\n${'b'.repeat(2 << 20)}`), { code: 'DECODE_FAILED', message: /byte 2: a row of more/ })
})

void t.test('several files are partitions; a missing one is refused by name', async t => {
  const folder = folderOf(t)
  const paths = ['one.csv', 'two.csv'].map(name => join(folder, name))
  for (const [i, path] of paths.entries()) writeFileSync(path, `n\n${i}\n`)
  const reader = new CsvReader(paths, { separator: ',', make: same })
  t.same(await reader.partitions(), [{ name: paths[0] }, { name: paths[1] }])
  t.same(values(await readAll(reader, { partition: 1 })), [{ n: '1' }])
  t.same(await reader.fetch(0, 100, 10), { kind: 'out-of-range', earliest: 2, end: 4 })
  await reader.close()
  const missing = new CsvReader([join(folder, 'three.csv')], { separator: ',', make: same })
  await t.rejects(missing.partitions(), { code: 'INPUT_MISSING', message: /three\.csv/ })
  await t.rejects(missing.fetch(0, 0, 10), { code: 'INPUT_MISSING', message: /three\.csv/ })
})

void t.test('whatever was quoted comes back, from every row on, whatever the size of a fetch', async t => {
  const path = join(folderOf(t), 'in.csv')
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', 'é', ' '), maxLength: 6 })
  const table = fc.array(fc.tuple(field, field, field), { maxLength: 12 })
  const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.constantFrom('\n', '\r\n'),
      fc.integer({ min: 1, max: 40 }),
      async (rows, end, maxBytes) => {
        writeFileSync(path, ['x,y,z', ...rows.map(row => row.map(quoted).join(','))].join(end))
        const reader = new CsvReader([path], { separator: ',', make: same })
        try {
          const all = await readAll(reader, { maxBytes })
          const expected = rows.map(([x, y, z]) => ({ x, y, z }))
          t.strictSame(values(all), expected)
          for (const [i, { at }] of all.entries())
            t.strictSame(values(await readAll(reader, { from: at, maxBytes })), expected.slice(i))
        } finally {
          await reader.close()
        }
      }
    ),
    { numRuns: 150 }
  )
})

void t.test('a row without quotes is split at separators alone', t => {
  t.same(fieldsOf('a,,b', ','), ['a', '', 'b'])
  t.same(fieldsOf('"a",,"b"', ','), ['a', '', 'b'])
  t.same(fieldsOf('"a",', ','), ['a', ''])
  t.end()
})

void t.test('csv(paths, schema) checks and converts each row; the separator is one character', t => {
  const { source } = csv('a.csv', z.object({ n: z.coerce.number().int() }), { separator: ';' })
  if (source.connector !== 'csv') throw new Error('not csv')
  t.same(source.paths, ['a.csv'])
  t.equal(source.separator, ';')
  t.same(source.make({ n: '7' }), { n: 7 })
  t.throws(() => source.make({ n: 'x' }), /n: .*expected/i)
  t.throws(() => csv('a.csv', undefined, { separator: '""' }), { code: 'OPTION_INVALID' })
  t.end()
})
