/** Dashboard and alert rules ask for what is there, and a real Prometheus reads real workers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { jobLabel } from '../../../deploy/metrics/metrics-page.ts'
import { root } from '../cairn-cli.ts'
import { NatsServer } from '../../support/nats-server.ts'
import { promtool, PrometheusServer } from '../../support/prometheus-server.ts'
import { get, parseMetrics } from '../../support/scrape.ts'
import { needs } from '../../support/services.ts'
import { WorkerProcess } from '../../support/worker-process.ts'

t.setTimeout(120_000)

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string }[]
}
interface Dashboard {
  readonly panels: readonly Panel[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: string | { readonly query: string } }[]
  }
  readonly annotations: { readonly list: readonly { readonly expr: string }[] }
}
interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string
      readonly expr: string
      readonly labels: { readonly severity: string }
      readonly annotations: { readonly summary: string; readonly description: string }
    }[]
  }[]
}

const dashboard = JSON.parse(read('deploy/monitoring/grafana/cairn.json')) as Dashboard
const rules = (parse(read('deploy/monitoring/alerts.yml')) as Rules).groups.flatMap(group => group.rules)
const queries = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
const asked = [
  ...queries.map(({ expr }) => expr),
  ...dashboard.annotations.list.map(({ expr }) => expr),
  ...dashboard.templating.list.map(({ query }) => (typeof query === 'string' ? query : query.query)),
  ...rules.map(({ expr }) => expr)
]

/** What Grafana makes of it. */
const filledIn = (expression: string): string =>
  expression.replaceAll('$job', '.+').replaceAll('$__rate_interval', '3s')

/** Metrics and labels that docs/metrics.md names; another test compares it with a real page. */
const documented = new Map(
  [...read('docs/metrics.md').matchAll(/^\| `([a-z0-9_]+)` +\| (\w+) +\|(?: ([^|]*)\|)?/gm)].map(
    ([, name = '', type = '', labels = '']) => [
      name,
      { type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label as string) }
    ]
  )
)

/** One sentence per name that nobody answers to. */
function unknownNames(expression: string): string[] {
  const found: string[] = []
  for (const [, name = '', inner = ''] of expression.matchAll(
    /\b((?:cairn|process|nodejs)_[a-z0-9_]+)(?:\{([^}]*)\})?/g
  )) {
    if (name === jobLabel) continue
    const metric = documented.get(name) ?? documented.get(name.replace(/_(bucket|sum|count)$/, ''))
    const histogram = /_(bucket|sum|count)$/.test(name) && metric?.type === 'histogram'
    if (metric === undefined || (metric.type === 'histogram' && !histogram)) found.push(`${name} is no metric`)
    for (const [, label = ''] of inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      if (metric !== undefined && ![jobLabel, 'instance', 'le', ...metric.labels].includes(label))
        found.push(`${name} has no label ${label}`)
  }
  return found
}

void t.test('dashboard and rules name only metrics and labels that exist', async t => {
  t.ok(queries.length > 30 && rules.length > 10)
  t.same(asked.flatMap(unknownNames), [])
  t.same(unknownNames('rate(cairn_evnts_total[5m]) / cairn_tasks{sink="x"} + cairn_batch_duration_seconds'), [
    'cairn_evnts_total is no metric',
    'cairn_tasks has no label sink',
    'cairn_batch_duration_seconds is no metric'
  ])
})

void t.test('the dashboard is complete: panels have names and queries, and none lies on another', async t => {
  t.same(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  const taken = new Set<string>()
  for (const { title, type, targets = [], gridPos } of dashboard.panels) {
    t.ok(title !== '' && (type === 'row' || targets.length > 0), title)
    t.ok(gridPos.x + gridPos.w <= 24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        if (taken.has(`${x},${y}`)) t.fail(`${title} lies on another panel`)
        taken.add(`${x},${y}`)
      }
  }
  for (const { alert, labels, annotations } of rules) {
    t.match(labels.severity, /^(critical|warning)$/, alert)
    t.ok(annotations.summary.length > 10 && annotations.description.length > 20, alert)
  }
})

void t.test('the rules do what their test says, and the test would notice if not', needs('prometheus'), async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-rules-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const check = (text: string): ReturnType<typeof promtool> => {
    writeFileSync(join(folder, 'alerts.yml'), text)
    return promtool({}, 'test', 'rules', join(folder, 'alerts.test.yml'))
  }
  writeFileSync(join(folder, 'alerts.test.yml'), read('deploy/monitoring/alerts.test.yml'))
  const text = read('deploy/monitoring/alerts.yml')
  t.ok((await promtool({}, 'check', 'rules', join(root, 'deploy/monitoring/alerts.yml'))).ok)
  const { ok, text: said } = await check(text)
  t.ok(ok, said)
  const mistakes: readonly (readonly [string, string])[] = [
    ['cairn_checkpoint_changes_waiting[2m])) == 1', 'cairn_checkpoint_changes_waiting[2m])) >= 0'],
    ['(cairn_leader) == 0', '(cairn_leader) == 2'],
    ['sum by (cairn_job) (cairn_leader)', 'min by (cairn_job) (cairn_leader)'],
    ['process_start_time_seconds{cairn_job!=""}', 'process_start_time_seconds']
  ]
  for (const [find, replace] of mistakes) {
    t.ok(text.includes(find), find)
    t.notOk((await check(text.replace(find, replace))).ok, replace)
  }
  const tested = new Set(
    [...read('deploy/monitoring/alerts.test.yml').matchAll(/alertname(?:="|: )(\w+)/g)].map(([, name]) => name)
  )
  t.same(
    rules.map(({ alert }) => alert).filter(alert => !tested.has(alert)),
    [],
    'every rule is tested'
  )
})

const jobText = `
import { Actor, files, generator, job, json } from 'cairn'
const pause = new Int32Array(new SharedArrayBuffer(4))
class Count extends Actor {
  n = 0
  receive(event, ctx) {
    if (++this.n % 10 === 0) ctx.emit({ key: ctx.key, n: this.n })
  }
}
const make = n => {
  if (n % 20 === 0) Atomics.wait(pause, 0, 0, 1)
  return { key: 'k' + (n % 50), at: n }
}
export default job('counting', j => {
  const numbers = j.source('numbers', generator({ count: 1e9, partitions: 4 }, make), { time: each => each.at })
  return { out: numbers.keyBy(each => each.key).actor(Count).to('out', files('out', json())) }
}, { slots: 4, interval: '100ms' })
`

void t.test(
  'a real Prometheus reads two workers, and answers every query of the dashboard',
  needs('prometheus', 'nats-server'),
  async t => {
    const nats = await NatsServer.start(t)
    const folder = mkdtempSync(join(tmpdir(), 'cairn-scraped-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
    writeFileSync(join(folder, 'counting.mjs'), jobText)
    const at = { folder, job: 'counting.mjs', nats: `nats://127.0.0.1:${nats.port}` }
    const workers = ['w1', 'w2'].map(
      name => new WorkerProcess(t, at, name, '--metrics', '127.0.0.1:0', '--lost-after', '2s')
    )
    const urls = await Promise.all(
      workers.map(async each => String((await each.says(({ url }) => url !== undefined))['url']))
    )
    const prometheus = await PrometheusServer.start(
      t,
      urls.map(url => url.slice('http://'.length))
    )
    await Promise.all(workers.map(each => each.runs()))

    const page = await get(`${urls[0]}/metrics`)
    const { text } = await promtool({ input: page.text }, 'check', 'metrics')
    t.same(
      text.split('\n').filter(line => line.startsWith('cairn_')),
      [],
      'promtool has nothing against our names'
    )
    t.equal(parseMetrics(page.text).value('cairn_control_connected'), 1)
    for (const url of urls) t.same((await get(`${url}/readyz`)).status, 200)

    await prometheus.queryUntil('count(cairn_worker_running == 1) == 2')
    await prometheus.queryUntil('sum(cairn_leader) == 1')
    await prometheus.queryUntil('count(rate(cairn_published_records_total[3s]) > 0) == 2')
    const empty: string[] = []
    for (const { title, expr } of queries) if ((await prometheus.query(filledIn(expr))).length === 0) empty.push(title)
    t.same(empty, [], 'each query of the dashboard finds something')
    for (const { alert, expr } of rules) t.ok(await prometheus.query(expr), alert)

    for (const each of workers) each.kill('SIGTERM')
    for (const each of workers) t.equal(await each.exited, 0, each.text)
  }
)
