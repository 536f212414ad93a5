/** The page of metrics of a real process: what it tells, that it is what docs/metrics.md says, and who asks wrongly. */
import { createServer, type AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addressOf } from '../../../deploy/address.ts'
import { startHealthServer } from '../../../deploy/metrics/health-server.ts'
import { JobMeters } from '../../../deploy/metrics/job-meters.ts'
import { loadPromClient, openMetricsPage } from '../../../deploy/metrics/metrics-page.ts'
import { readiness, type Observed } from '../../../deploy/metrics/observed.ts'
import { CairnFolder, root } from '../cairn-cli.ts'
import { get, parseMetrics, scrapeUntil, type Scraped } from '../../support/scrape.ts'

/** Counts; one in a hundred is refused and put aside. */
const counting = `
import { Actor, files, generator, job, json } from 'cairn'
class Count extends Actor {
  n = 0
  async receive(event, ctx) {
    if (event.at % 100 === 99) throw new Error('refused')
    ctx.emit({ key: ctx.key, n: ++this.n })
  }
}
export default job('counting', j => {
  const numbers = j.source('numbers', generator({ count: 1e9, partitions: 2 }, n => ({ key: 'k' + (n % 10), at: n })), { time: each => each.at })
  return { out: numbers.keyBy(each => each.key).actor(Count, { onError: 'dead-letter' }).to('out', files('out', json())) }
}, { interval: { latency: '100ms', share: 0.9 } })
`

async function running(t: Test): Promise<{ url: string; page: Scraped; end: () => Promise<number | null> }> {
  const folder = new CairnFolder()
  t.teardown(() => folder.remove())
  folder.file('counting.mjs', counting)
  const job = folder.start('run', 'counting.mjs', '--metrics', '127.0.0.1:0')
  const [, url = ''] = /metrics at (\S+)\/metrics/.exec(await job.until(/metrics at \S+\n/)) ?? []
  const page = await scrapeUntil(
    url,
    page =>
      (page.value('cairn_checkpoints_completed_total') ?? 0) > 1 &&
      (page.value('cairn_published_records_total', { sink: 'out' }) ?? 0) > 0
  )
  return {
    url,
    page,
    async end() {
      job.child.kill('SIGTERM')
      return (await job.ended).code
    }
  }
}

interface Documented {
  readonly type: string
  readonly labels: readonly string[]
}

function documented(text: string): Map<string, Documented> {
  const rows = [...text.matchAll(/^\| `([a-z0-9_]+)` +\| (\w+) +\|(?: ([^|]*)\|)?/gm)]
  return new Map(
    rows.map(([, name = '', type = '', labels = '']) => [
      name,
      { type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label as string) }
    ])
  )
}

/** One sentence per difference between a page and its documentation. */
function differences(page: Scraped, documents: ReadonlyMap<string, Documented>): string[] {
  const found: string[] = []
  for (const [name, type] of page.types) {
    const said = documents.get(name)
    if (said === undefined) {
      found.push(`${name} is not documented`)
      continue
    }
    if (said.type !== type) found.push(`${name} is a ${type}, not a ${said.type}`)
    if (!name.startsWith('cairn_')) continue
    const labels = page.labels.get(name) ?? page.labels.get(`${name}_bucket`)
    const wanted = ['cairn_job', ...said.labels, ...(type === 'histogram' ? ['le'] : [])].sort().join()
    if (labels !== undefined && [...labels].sort().join() !== wanted)
      found.push(`${name} has the labels ${[...labels].sort().join()}, not ${wanted}`)
  }
  for (const name of documents.keys()) if (!page.types.has(name)) found.push(`${name} is on no page`)
  return found
}

void t.test('a running job tells how it does, by the names of docs/metrics.md', async t => {
  const { url, page, end } = await running(t)
  const said = documented(readFileSync(join(root, 'docs/metrics.md'), 'utf8'))
  t.ok(said.size > 60)
  t.same(differences(page, said), [], 'page and document say the same')

  const [read = 0, processed = 0] = [
    page.value('cairn_source_records_read_total', { stage: 'numbers' }),
    page.value('cairn_events_processed_total', { stage: 'Count' })
  ]
  t.ok(read >= processed && processed > 100, `${read} read, ${processed} processed`)
  t.equal(page.value('cairn_events_emitted_total', { stage: 'numbers' }), read, 'every record goes to the actors')
  t.equal(
    page.value('cairn_events_emitted_total', { stage: 'Count' }),
    processed,
    'one output, or one dead letter, each'
  )
  const letters = page.value('cairn_dead_letters_total', { stage: 'Count' }) ?? 0
  t.ok(Math.abs(letters - processed / 100) <= 20, `${letters} dead letters`)
  t.equal(
    page.value('cairn_batch_duration_seconds_bucket', { stage: 'Count', le: '+Inf' }),
    page.value('cairn_batch_duration_seconds_count', { stage: 'Count' })
  )
  for (const name of [
    'cairn_handler_seconds_total',
    'cairn_checkpoint_last_size_bytes',
    'cairn_pending_limit_bytes',
    'cairn_watermark_delay_seconds',
    'cairn_latency_expected_seconds'
  ])
    t.ok((page.value(name) ?? 0) > 0, name)
  t.equal(page.value('cairn_latency_goal_seconds'), 0.1)
  const interval = page.value('cairn_checkpoint_interval_seconds') ?? 0
  t.ok(interval >= 0.01 && interval <= 60, `${interval} s`)
  t.equal(page.value('cairn_worker_running'), 1)
  t.equal(page.value('cairn_generations_started_total'), 1)
  t.ok((page.value('cairn_checkpoint_age_seconds') ?? 99) < 30)

  t.same(await get(`${url}/livez`), { status: 200, text: 'alive\n' })
  t.same(await get(`${url}/readyz`), { status: 200, text: 'running in generation 1, leads\n' })
  t.equal((await get(`${url}/metrics?name=x`)).status, 200)
  t.equal((await get(`${url}/other`)).status, 404)
  t.equal((await get(`${url}/livez`, { method: 'POST' })).status, 405)
  t.same(await get(`${url}/livez`, { method: 'HEAD' }), { status: 200, text: '' })
  t.equal(await end(), 0)
  await t.rejects(get(`${url}/livez`), 'it is closed with the job')
})

void t.test('the comparison sees a planted difference of each kind', async t => {
  const page = parseMetrics(
    '# TYPE cairn_a counter\ncairn_a{cairn_job="j",stage="s"} 1\n# TYPE b gauge\nb{x="a\\"b,}"} 2'
  )
  t.same(differences(page, documented('| `cairn_a` | counter | `stage` | a |\n| `b` | gauge |\n')), [])
  t.same(differences(page, documented('| `cairn_a` | gauge | `sink` | a |\n| `c` | gauge |\n')), [
    'cairn_a is a counter, not a gauge',
    'cairn_a has the labels cairn_job,stage, not cairn_job,sink',
    'b is not documented',
    'c is on no page'
  ])
  t.equal(page.value('b', { x: 'a\\"b,}' }), 2)
})

const observed: Observed = {
  job: 'orders',
  worker: 'w1',
  state: 'running',
  leaving: false,
  generation: 3,
  generations: 1,
  failures: 0,
  leads: false,
  connected: true,
  gauges: undefined,
  pace: undefined,
  trouble: undefined
}

void t.test('a worker is ready while its tasks run, and says why when they do not', async t => {
  const says = (change: Partial<Observed>): string => {
    const { ready, text } = readiness({ ...observed, ...change })
    return `${ready ? 200 : 503} ${text}`
  }
  t.equal(says({}), '200 running in generation 3')
  t.equal(says({ connected: false, leads: true }), '200 running in generation 3, leads, NATS is away')
  t.equal(says({ leaving: true }), '503 draining')
  t.equal(says({ state: 'connecting', connected: false }), '503 not connected')
  t.equal(says({ state: 'starting' }), '503 restoring for generation 3')
  t.equal(says({ state: 'idle', generation: 0 }), '503 waiting for a leader')
  t.equal(says({ state: 'idle' }), '503 waiting for a share of the job')
  t.equal(says({ state: 'idle', connected: false }), '503 not connected: NATS is away')
  t.equal(says({ state: 'failed', trouble: 'HANDLER_FAILED' }), '503 generation 3 failed here: HANDLER_FAILED')
})

void t.test('what is wrong with the address is said', async t => {
  t.same(addressOf('--metrics', '[::1]:9464'), { host: '::1', port: 9464 })
  t.same(addressOf('--metrics', ':9464'), { host: '', port: 9464 })
  for (const bad of ['nowhere', 'a:b', '1:2:3', 'host:', 'http://host:1', ''])
    t.throws(() => addressOf('--metrics', bad), { code: 'OPTION_INVALID' }, bad)
  t.throws(() => addressOf('--metrics', 'a:65536'), { message: /at most 65535/ })

  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const page = await openMetricsPage({ observe: () => observed, meters: new JobMeters(), version: '0' })
  t.teardown(() => page.close())
  const starts = (host: string, at: number): Promise<unknown> =>
    startHealthServer('--metrics', { host, port: at }, page, () => observed)
  await t.rejects(starts('127.0.0.1', port), {
    code: 'OPTION_INVALID',
    message: `--metrics "127.0.0.1:${port}": something else listens there already; port 0 is a free one`
  })
  await t.rejects(starts('192.0.2.1', 0), { message: /this machine has no such address/ })
})

void t.test('without prom-client it says what to install', async t => {
  const missing = Object.assign(new Error('no'), { code: 'ERR_MODULE_NOT_FOUND' })
  await t.rejects(
    loadPromClient(() => Promise.reject(missing)),
    {
      code: 'PACKAGE_MISSING',
      remedy: 'npm install prom-client@15'
    }
  )
  await t.rejects(
    loadPromClient(() => Promise.reject(new TypeError('x'))),
    TypeError
  )
})
