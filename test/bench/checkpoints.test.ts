/** The benchmark of checkpoints: what it is asked, what it answers, and when a goal is reached. What it measures is not judged here. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { lackOf, sizeOf } from '../../bench/checkpoints/cells.ts'
import { goalsOf, type Figures } from '../../bench/checkpoints/report.ts'

t.setTimeout(120_000)

const main = fileURLToPath(new URL('../../bench/checkpoints/main.js', import.meta.url))
const small = ['--quick', '--state', '0.05', '--changed', '50', '--checkpoints', '2', '--turn', '50']

function begin(t: Test, ...args: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-checkpoints-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder }
  })
  const said = { out: '', error: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.error += text))
  const closed = once(child, 'close').then(([code]) => code as number | null)
  return { folder, child, said, closed }
}

const none: Figures = { duration: [], pause: [], throughput: [], recovery: [] }

void t.test('what it does not know is refused, and it says what there is', async t => {
  for (const [args, answer] of [
    [['--only', 'duration,speed'], /There are duration, pause, throughput, recovery/],
    [['--unknown'], /unknown option '--unknown'/],
    [['--store', 'disk'], /Allowed choices are memory, level, rocksdb/],
    [['--intervals', '1'], /like 100ms or 10s/],
    [['--changed', '10,'], /whole number from 1/],
    [['--state', '0'], /MB above 0/],
    [['--keys', '10', '--state', '1'], /cannot be used with/],
    [['twice'], /too many arguments/]
  ] as const) {
    const { said, closed } = begin(t, ...args)
    t.equal(await closed, 1, args.join(' '))
    t.match(said.error, answer)
    t.equal(said.out, '')
  }
})

void t.test('--help tells what is measured, with examples', async t => {
  const { said, closed } = begin(t, '--help')
  t.equal(await closed, 0)
  t.match(said.out, /--intervals <list> .*100ms,1s,10s/s)
  t.match(said.out, /npm run bench:checkpoints -- --only recovery/)
})

void t.test('a small run measures in processes of their own, answers all fields and leaves nothing behind', async t => {
  const { folder, said, closed } = begin(
    t,
    ...small,
    '--json',
    '--html',
    join(tmpdir(), `cairn-page-${process.pid}.html`)
  )
  const pageFile = join(tmpdir(), `cairn-page-${process.pid}.html`)
  t.teardown(() => rmSync(pageFile, { force: true }))
  t.equal(await closed, 0, said.error)
  const result = JSON.parse(said.out) as Figures & { readonly setting: string; readonly skipped: readonly unknown[] }
  const quantiles = { p50: Number, p99: Number, p999: Number, worst: Number }
  const size = { keys: 500, stateBytes: 50_000 }
  t.match(result, {
    setting: /State in level, 100 bytes a key/,
    duration: [
      {
        ...size,
        changed: 50,
        medianMs: Number,
        worstMs: Number,
        cpuMs: Number,
        medianBytes: Number,
        manifestBytes: Number
      }
    ],
    pause: [
      {
        ...size,
        changed: 50,
        barriers: 2,
        pauseMs: quantiles,
        workMs: quantiles,
        gcMs: quantiles,
        withoutMs: quantiles
      }
    ],
    throughput: [
      {
        ...size,
        changed: 50,
        intervalMs: 100,
        checkpoints: 3,
        ratio: Number,
        perSecond: Number,
        cpuMicrosPerEvent: Number
      }
    ],
    recovery: [{ ...size, intervalMs: 100, medianMs: Number, restoredMs: Number, restored: /^state restored in/ }],
    goals: Array,
    skipped: []
  })
  t.ok((result.duration[0]?.medianBytes ?? 0) > 50 * 60, 'what changed was written')
  t.same(readdirSync(folder), [])
  const page = readFileSync(pageFile, 'utf8')
  t.match(page, /<h2>From SIGKILL to the first new output, the disk intact<\/h2>\n<p>.*<svg/s)
  t.notMatch(page, /(src|href)=|NaN|undefined/)
})

void t.test('who interrupts it ends its processes, and leaves nothing behind', async t => {
  const { folder, child, said, closed } = begin(t, '--only', 'throughput', '--state', '1', '--changed', '10')
  const children = (): string => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  while (children() === '') await new Promise(resolve => setImmediate(resolve))
  const [measuring = ''] = children().split(' ')
  child.kill('SIGINT')
  t.equal(await closed, 1, said.error)
  while (existsSync(`/proc/${measuring}`)) await new Promise(resolve => setImmediate(resolve))
  t.same(readdirSync(folder), [])
})

void t.test('a size without room is skipped with its reason', t => {
  const room = { memoryBytes: 4e9, diskBytes: 10e9 }
  t.equal(lackOf(sizeOf(1_000_000, 100), 'memory', [1000], room), undefined)
  t.equal(lackOf(sizeOf(10_000_000, 100), 'level', [1000], room), undefined)
  t.match(lackOf(sizeOf(10_000_000, 100), 'memory', [1000], room), /of memory, and 4.0 GB are free/)
  t.match(lackOf(sizeOf(50_000_000, 100), 'level', [1000], room), /25.0 GB in .*, and 10.0 GB are free/)
  t.match(
    lackOf(sizeOf(50_000_000, 100), 'memory', [], { memoryBytes: 1e12, diskBytes: 1e12 }),
    /more than a task holds/
  )
  t.end()
})

void t.test('a goal is judged only by what it names', t => {
  const duration = (keys: number, medianMs: number) => ({
    ...{ keys, stateBytes: keys * 100, changed: 1000, medianMs, worstMs: medianMs, cpuMs: 1 },
    ...{ medianBytes: 100_000, bytesPerCheckpoint: 120_000, manifestBytes: 2000 }
  })
  const flat = (...rows: Figures['duration']) => goalsOf({ ...none, duration: rows }).map(({ met }) => met)
  t.same(flat(duration(100_000, 10), duration(10_000_000, 11)), [true, true])
  t.same(flat(duration(100_000, 10), duration(1_000_000, 11)), [undefined, undefined], 'not so many keys')
  t.same(flat(duration(100_000, 10), duration(1_000_000, 13)), [undefined, false])
  t.same(flat(duration(1_000, 10), duration(10_000_000, 11)), [], 'nothing to compare with')
  const recovered = (stateBytes: number, medianMs: number, intervalMs = 1000) => ({
    ...{ keys: 10, stateBytes, intervalMs, medianMs, worstMs: medianMs, all: [medianMs], restoredMs: 1, restored: '' }
  })
  const met = (...rows: Figures['recovery']) => goalsOf({ ...none, recovery: rows }).map(({ met }) => met)
  t.same(met(recovered(1e9, 1400), recovered(1e9, 1600), recovered(1e8, 1400), recovered(1e8, 1600)), [
    true,
    false,
    undefined,
    false
  ])
  t.same(met(recovered(1e9, 1400, 100)), [])
  t.end()
})
