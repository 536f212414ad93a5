/** A job that reads one topic and writes another, undisturbed, restarted, started over and killed. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Actor, generator, job, json, topic, type Context } from '../../actors/index.ts'
import { startJob, type Started } from '../../deploy/start-job.ts'
import type { RunningJob } from '../../deploy/running-job.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { drive } from '../../simulations/driver/index.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

interface Hit {
  readonly page: string
}
interface Total {
  readonly page: string
  readonly count: number
}

t.setTimeout(600_000)

class Page extends Actor {
  count = 0
  receive(_hit: Hit, ctx: Context<Total>): void {
    ctx.emit({ page: ctx.key, count: ++this.count })
  }
}

const relay = job(
  'relay',
  j => {
    const hits = j.source('hits', topic('hits', { value: json<Hit>() }), { onError: 'dead-letter' })
    const totals = hits.keyBy(hit => hit.page).actor(Page)
    return {
      hits,
      totals: totals.to('totals', topic('totals', { value: json<Total>(), key: total => total.page, partitions: 2 }))
    }
  },
  { interval: '10ms' }
)

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const record = (partition: number, value: unknown) => ({ partition, timestamp: 0, key: undefined, value: bytes(value) })

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-topics-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function openLog(folder: string, name: string): Promise<EmbeddedLog> {
  mkdirSync(join(folder, name), { recursive: true })
  return EmbeddedLog.open(join(folder, name, 'log'), nodeClock)
}

function runningOf(started: Started): RunningJob & { readonly log: EmbeddedLog } {
  if (started.kind === 'finished' || started.job.log === undefined) throw new Error('it does not run with a log')
  return started.job as RunningJob & { readonly log: EmbeddedLog }
}

/** Waits until a topic holds so many records; returns the values of each partition. */
async function take(log: EmbeddedLog, name: string, count: number): Promise<unknown[][]> {
  const reader = log.reader(name)
  const values: unknown[][] = (await reader.partitions()).map(() => [])
  const positions = values.map(() => 0)
  while (values.flat().length < count)
    for (const [partition, list] of values.entries()) {
      const got = await reader.fetch(partition, positions[partition] as number, 1 << 20, 20)
      if (got.kind === 'records')
        for (let i = 0; i < got.batch.count; i++) list.push(JSON.parse(new TextDecoder().decode(got.batch.value(i))))
      if (got.kind === 'records' || got.kind === 'caught-up') positions[partition] = got.next
    }
  await reader.close()
  return values
}

void t.test('a topic that a source names must be there', async t => {
  const folder = folderOf(t)
  await t.rejects(startJob(relay, { storage: folder, fresh: false }), {
    code: 'TOPIC_MISSING',
    message: 'topic "hits" does not exist; there are: none'
  })
  t.ok(await openLog(folder, 'relay').then(log => log.close().then(() => true)), 'nothing stays locked')
})

void t.test('what is appended while the job runs, or while it does not, comes out exactly once', async t => {
  const folder = folderOf(t)
  const options = { storage: folder, fresh: false }
  const log = await openLog(folder, 'relay')
  await log.createTopic('hits', 2)
  await log.append('hits', 0, [record(0, { page: 'a' }), record(0, { page: 'b' })])
  await log.close()

  const first = runningOf(await startJob(relay, options))
  await first.log.append('hits', 1, [record(1, { page: 'a' })])
  t.equal((await take(first.log, 'totals', 3)).flat().length, 3)
  await first.drain()

  const between = await openLog(folder, 'relay')
  await between.append('hits', 0, [{ ...record(0, ''), value: Uint8Array.of(123) }, record(0, { page: 'a' })])
  await between.close()
  const second = runningOf(await startJob(relay, options))
  const totals = (await take(second.log, 'totals', 4)).flat() as Total[]
  t.same(
    totals.filter(total => total.page === 'a').map(total => total.count),
    [1, 2, 3]
  )
  const [letters] = await take(second.log, 'relay-dead-letters', 1)
  t.match(letters, [{ stage: 'hits', id: 'hits/0/2', event: '{' }])
  await second.drain()

  const third = runningOf(await startJob(relay, { ...options, fresh: true }))
  t.equal((await take(third.log, 'totals', 4)).flat().length, 4, 'started over, from the same input')
  t.equal(third.log.topics().filter(({ name }) => name.startsWith('totals.before-')).length, 1)
  await third.drain()
})

void t.test('the driver stands in for topics', async t => {
  const driven = await drive(relay)
  driven.hits.push({ page: 'a' }, { page: 'b' }, { page: 'a' })
  await driven.settle()
  await driven.crash()
  await driven.settle()
  t.same(
    driven.totals.take().sort((x, y) => x.page.localeCompare(y.page) || x.count - y.count),
    [
      { page: 'a', count: 1 },
      { page: 'a', count: 2 },
      { page: 'b', count: 1 }
    ]
  )
})

void t.test('a topic can be written at least once, too', async t => {
  const folder = folderOf(t)
  const loose = job('loose', j => {
    const numbers = j.source(
      'n',
      generator({ count: 5000 }, n => n)
    )
    const key = (n: number): string => String(n)
    return {
      out: numbers.to('out', topic('out', { value: json<number>(), key, partitions: 3 }), { delivery: 'at-least-once' })
    }
  })
  const started = await startJob(loose, { storage: folder, fresh: false })
  if (started.kind === 'running') await started.job.ended
  const log = await openLog(folder, 'loose')
  const values = await take(log, 'out', 5000)
  await log.close()
  t.equal(new Set(values.flat()).size, 5000)
  t.ok(values.every(list => list.length > 1000))
})

void t.test('starting over moves a damaged log aside, but not one that holds input', async t => {
  const folder = folderOf(t)
  const damage = (name: string): void => writeFileSync(join(folder, name, 'log', 'high-water'), 'x'.repeat(64))
  const log = await openLog(folder, 'relay')
  await log.createTopic('hits', 1)
  await log.close()
  damage('relay')
  await t.rejects(startJob(relay, { storage: folder, fresh: true }), {
    code: 'CORRUPT',
    message: /high-water.* holds topics that the job reads: hits/,
    remedy: /move it away/
  })
  const numbers = job('numbers', j => ({
    out: j
      .source(
        'n',
        generator({ count: 10 }, n => n)
      )
      .to('out', topic('out', { value: json() }))
  }))
  const runToEnd = async (fresh: boolean): Promise<void> => {
    const started = await startJob(numbers, { storage: folder, fresh })
    if (started.kind === 'running') t.equal(await started.job.ended, 'finished')
  }
  await runToEnd(false)
  damage('numbers')
  await t.rejects(runToEnd(false), { code: 'CORRUPT' })
  await runToEnd(true)
  t.equal(readdirSync(join(folder, 'numbers')).filter(name => name.startsWith('log.before-')).length, 1)
  const again = await openLog(folder, 'numbers')
  t.equal((await take(again, 'out', 10)).flat().length, 10)
  await again.close()
})

const jobFile = `
import { Actor, job, json, topic } from 'cairn'
class Page extends Actor {
  count = 0
  receive(_hit, ctx) { ctx.emit({ page: ctx.key, count: ++this.count }) }
}
export default job('relay', j => ({
  totals: j.source('hits', topic('hits', { value: json(), bounded: true }))
    .keyBy(hit => hit.page)
    .actor(Page)
    .to('totals', topic('totals', { value: json(), key: total => total.page, partitions: 2 }))
}))
`

function run(
  folder: string,
  killAt?: string
): Promise<{ signal: NodeJS.Signals | null; code: number | null; stderr: string }> {
  const child = spawn(
    process.execPath,
    [join(root, 'deploy/bin/cairn.cjs'), 'run', 'relay.mjs', '--interval', '10ms'],
    {
      cwd: folder,
      env: { ...process.env, ...(killAt === undefined ? {} : { CAIRN_TEST_KILL_AT: killAt }) },
      stdio: ['ignore', 'ignore', 'pipe']
    }
  )
  let stderr = ''
  child.stderr.on('data', chunk => (stderr += String(chunk)))
  return new Promise(resolve => child.on('close', (code, signal) => resolve({ code, signal, stderr })))
}

void t.test(
  'killed at every step, from topic to topic: each total once and in order',
  { timeout: 600_000 },
  async t => {
    const folder = folderOf(t)
    writeFileSync(join(folder, 'relay.mjs'), jobFile)
    const log = await openLog(join(folder, '.cairn'), 'relay')
    await log.createTopic('hits', 3)
    const pages = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    for (let partition = 0; partition < 3; partition++)
      await log.append(
        'hits',
        partition,
        Array.from({ length: 7_000 }, (_, i) => record(partition, { page: pages[i % pages.length] }))
      )
    await log.close()
    // Each of these is reached however fast the machine is; the later ones only while something is left to do.
    const certain = [
      'publish:3',
      'published:2',
      'delta:1',
      'before-decision:1',
      'after-decision:1',
      'publish:2',
      'published:1'
    ]
    for (const point of certain) {
      const ended = await run(folder, point)
      t.equal(ended.signal, 'SIGKILL', `${point} ${ended.stderr}`)
    }
    for (const point of ['after-decision:2', 'publish:9', 'published:9', 'delta:2', 'before-decision:2']) {
      const ended = await run(folder, point)
      if (ended.signal !== 'SIGKILL') t.equal(ended.code, 0, ended.stderr)
    }
    const last = await run(folder)
    t.equal(last.code, 0, last.stderr)
    const opened = await openLog(join(folder, '.cairn'), 'relay')
    const totals = (await take(opened, 'totals', 21_000)) as Total[][]
    await opened.close()
    for (const page of pages)
      t.same(
        totals.flatMap(list => list.filter(total => total.page === page).map(total => total.count)),
        Array.from({ length: 3_000 }, (_, i) => i + 1),
        page
      )
  }
)
