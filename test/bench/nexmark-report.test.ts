/** What the benchmark of Nexmark says: equal results, ratios within a round, and no ratio without equal results. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { queryOf } from '../../bench/nexmark/catalogue.ts'
import { Discard, RowBuffer } from '../../bench/nexmark/discard.ts'
import { writeEvents } from '../../bench/nexmark/generator.ts'
import { hashOfLast, lastRows } from '../../bench/nexmark/hash.ts'
import type { Measured } from '../../bench/nexmark/measure.ts'
import type { Profiled } from '../../bench/nexmark/profile.ts'
import { profileTable, summarise, table } from '../../bench/nexmark/report.ts'

const measured = (perCpuSecond: number, hash = 'a', rows = 7): Measured => ({
  perCpuSecond,
  perSecond: perCpuSecond / 2,
  peakMiB: 10,
  rows,
  hash,
  checkpoints: 2
})
const setting = { machine: 'm', node: 'v', events: 1000, rate: 1000, rounds: 2, load: [1, 1] } as const

void t.test('a ratio is taken within each round', t => {
  const { ratios, verdict } = summarise({
    query: 3,
    systems: {
      cairn: [measured(100), measured(300), measured(200)],
      loop: [measured(200), measured(400), measured(800)]
    }
  })
  t.same(ratios, { loop: { median: 0.5, least: 0.25, greatest: 0.75 } })
  t.equal(verdict, 'equal')
  t.end()
})

void t.test('a ratio without equal results is void and says so', t => {
  for (const other of [measured(200, 'b'), measured(200, 'a', 8)]) {
    const summary = summarise({ query: 3, systems: { cairn: [measured(100)], loop: [other] } })
    t.same(summary.ratios, {})
    t.match(table([summary], setting), /VOID: results differ/)
  }
  t.end()
})

void t.test('query 12, on the wall clock, is compared by its total and gets no ratio', t => {
  const summary = summarise({ query: 12, systems: { cairn: [measured(100, 'a', 7)], loop: [measured(200, 'a', 8)] } })
  t.same(summary.ratios, {})
  t.match(summary.verdict, /^equal total/)
  t.match(summarise({ query: 12, systems: { cairn: [measured(1)], loop: [measured(1, 'b')] } }).verdict, /^VOID/)
  t.end()
})

void t.test('the hash of results does not depend on their order, but on each of them and how often it comes', t => {
  const hashOf = (...rows: readonly object[]): string => {
    const discard = new Discard(queryOf(0))
    const buffer = new RowBuffer(discard)
    for (const row of rows) buffer.write({ ...row })
    buffer.flush()
    t.equal(discard.rows, rows.length)
    return discard.hash
  }
  t.equal(hashOf({ a: 1 }, { a: 2 }), hashOf({ a: 2 }, { a: 1 }))
  t.not(hashOf({ a: 1 }, { a: 2 }), hashOf({ a: 1 }, { a: 3 }))
  t.not(hashOf({ a: 1 }, { a: 1 }), hashOf({ a: 1 }))
  t.end()
})

void t.test('updates are equal where the last row of each key is; peers may put out others in between', t => {
  const last = (text: string, hash: string): Measured => ({ ...measured(100, hash), last: text })
  const verdictOf = (loop: Measured, flink: Measured): string =>
    summarise({ query: 4, systems: { cairn: [last('l', 'a')], loop: [loop], 'flink-heap': [flink] } }).verdict
  t.equal(verdictOf(last('l', 'a'), last('l', '')), 'equal')
  t.match(verdictOf(last('l', 'b'), last('l', '')), /^VOID/, 'the loop puts out what Cairn does')
  t.match(verdictOf(last('l', 'a'), last('other', '')), /^VOID/)
  t.end()
})

void t.test('the last row of each key is found in a file of rows, whether some were taken back or not', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [path, other] = [join(folder, 'rows'), join(folder, 'other')]
  const discard = new Discard(queryOf(4), path)
  const buffer = new RowBuffer(discard)
  // More than a buffer holds.
  for (let i = 0; i < 50_000; i++) buffer.write({ category: i % 3, average: i })
  buffer.flush()
  discard.close()
  t.same((await lastRows(queryOf(4), path)).sort(), [
    '{"category":0,"average":49998}',
    '{"category":1,"average":49999}',
    '{"category":2,"average":49997}'
  ])
  const rows = ['{"category":2,"average":49997}', '{"category":1,"average":49999}', '{"category":0,"average":49998}']
  writeFileSync(other, ['{"category":3,"average":1}', ...rows, '-{"category":3,"average":1}', ''].join('\n'))
  t.equal(await hashOfLast(queryOf(4), other), await hashOfLast(queryOf(4), path))
})

void t.test('a short run: every system gives the same results, and a page is written', t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const page = join(folder, 'page.html')
  const main = fileURLToPath(new URL('../../bench/nexmark/main.js', import.meta.url))
  const args = [main, '--queries', '4,12,17', '--events', '3000', '--rounds', '1', '--html', page]
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore']
  })
  t.equal(status, 0)
  t.match(stdout, /^4 average price for a category .* equal$/m)
  t.match(stdout, /^12 processing time windows .* equal total/m)
  t.match(stdout, /^17 auction statistics .* equal$/m)
  const text = readFileSync(page, 'utf8')
  t.match(text, /<td>17 auction statistics<\/td>/)
  t.notMatch(text, /(src|href)=/)
  t.end()
})

void t.test('a profile puts all CPU, and all that is allocated, down to stages', t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'events')
  writeEvents(path, 20_000)
  const script = fileURLToPath(new URL('../../bench/nexmark/profile.js', import.meta.url))
  for (const [of, stagesOf] of [
    ['time', ['decode', 'source', 'windows', 'timers']],
    ['memory', ['decode', 'look up keys', 'windows', 'timers']]
  ] as const) {
    const spec = JSON.stringify({ query: 5, path, events: 20_000, of })
    const { stdout } = spawnSync(process.execPath, [script, spec], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const { perEvent, stages } = JSON.parse(stdout) as Profiled
    const total = Object.values(stages).reduce((a, b) => a + b)
    t.ok(Math.abs(total / perEvent - 1) < 1e-6)
    for (const stage of stagesOf) t.ok((stages[stage] as number) > 0, `${of}: ${stage}`)
    t.match(profileTable(of, [{ query: 5, perEvent, stages }]), /^decode +\d+$/m)
  }
  t.end()
})
