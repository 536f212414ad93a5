/** Trace contexts from the headers of what is read to the headers of what is written, and spans, in a job that runs. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context as TraceContext
} from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import t, { type Test } from 'tap'
import { Actor, job, json, topic, tumbling, type Context } from '../../actors/index.ts'
import { startJob } from '../../deploy/start-job.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { loadTracing } from '../../runtime/adapters/opentelemetry.ts'
import { traceHeaders, traceOf, tracePartsOf } from '../../runtime/kernel/trace-context.ts'

interface Order {
  readonly id: string
  readonly at: number
}

/** Spans that are active in a handler. */
const seen: string[] = []
const spanIdNow = (): string => trace.getActiveSpan()?.spanContext().spanId ?? 'none'

class Ledger extends Actor {
  receive(order: Order, ctx: Context<Order>): void {
    ctx.emit({ ...order, id: `${order.id}/ledger` })
  }
}

class Desk extends Actor {
  held = ''

  async receive(order: Order, ctx: Context<Order>): Promise<void> {
    if (order.id.startsWith('bad')) throw new Error('refused')
    seen.push(`before ${spanIdNow()}`)
    await Promise.resolve()
    seen.push(`after ${spanIdNow()}`)
    ctx.emit({ ...order, id: `${order.id}/desk` })
    ctx.send(Ledger, 'all', order)
    this.held = order.id
    ctx.timer('later', order.at + 10)
  }
  override onTimer(_name: string, ctx: Context<Order>): void {
    ctx.emit({ id: `${this.held}/timer`, at: ctx.time })
  }
}

const orders = (name: string, delivery: 'exactly-once' | 'at-least-once') =>
  job(
    name,
    j => {
      const into = (target: string) => topic<Order>(target, { value: json<Order>(), key: order => order.id })
      const from = topic('in', { value: json<Order>(), bounded: true })
      const read = j.source('in', from, { time: order => order.at, onError: 'dead-letter' })
      const desk = read.keyBy(order => order.id).actor(Desk, { sends: [Ledger], onError: 'dead-letter' })
      const counted = read
        .keyBy(() => 'all')
        .window(tumbling('1s'))
        .collect(all => ({ id: `${all.length}/window`, at: 0 }))
      return {
        out: read
          .map(order => ({ ...order, id: `${order.id}/plain` }))
          .union(desk, j.actor(Ledger) as never, counted as never)
          .to('out', into('out'), { delivery })
      }
    },
    { interval: '10ms', onError: 'dead-letter' }
  )

const traceOfOrder = (n: number): string => {
  const id = String(n).padStart(16, '0')
  return `00-${'a'.repeat(16)}${id}-${id}-0${n % 2}${n % 3 === 0 ? ';cairn=1,b=2' : ''}`
}

async function runOrders(
  t: Test,
  name: string,
  delivery: 'exactly-once' | 'at-least-once',
  tracing = false
): Promise<EmbeddedLog> {
  const storage = mkdtempSync(join(tmpdir(), 'cairn-tracing-'))
  t.teardown(() => rmSync(storage, { recursive: true, force: true }))
  await mkdir(join(storage, name))
  const open = (): Promise<EmbeddedLog> => EmbeddedLog.open(join(storage, name, 'log'), nodeClock)
  const before = await open()
  await before.createTopic('in', 1)
  const records = ['1', '2', '3', '4', 'bad 5', 'none', '{'].map((id, i) => ({
    partition: 0,
    timestamp: i,
    key: undefined,
    value: new TextEncoder().encode(id === '{' ? id : JSON.stringify({ id, at: i })),
    headers: id === 'none' ? [] : traceHeaders(traceOfOrder(i + 1))
  }))
  await before.append('in', 0, records)
  await before.close()
  const started = await startJob(orders(name, delivery), { storage, fresh: false, tracing })
  if (started.kind === 'running') await started.job.ended
  const after = await open()
  t.teardown(() => after.close())
  return after
}

async function tracesIn(
  log: EmbeddedLog,
  name: string,
  idOf: (value: never) => string
): Promise<Record<string, string>> {
  const traces: Record<string, string> = {}
  const reader = log.reader(name, { bounded: true })
  for (let at = 0; ;) {
    const got = await reader.fetch(0, at, 1 << 20, 0)
    if (got.kind !== 'records') return traces
    for (let i = 0; i < got.batch.count; i++)
      traces[idOf(JSON.parse(new TextDecoder().decode(got.batch.value(i))) as never)] = traceOf(got.batch.headers?.(i))
    at = got.next
  }
}

for (const delivery of ['exactly-once', 'at-least-once'] as const)
  void t.test(
    `${delivery}: what an event causes carries its trace context, what a timer or window does has none`,
    async t => {
      const log = await runOrders(t, `orders-${delivery}`, delivery)
      const expected: Record<string, string> = { '6/window': '' }
      for (const [i, id] of ['1', '2', '3', '4', 'bad 5', 'none'].entries()) {
        const trace = id === 'none' ? '' : traceOfOrder(i + 1)
        expected[`${id}/plain`] = trace
        if (id.startsWith('bad')) continue
        expected[`${id}/desk`] = trace
        expected[`${id}/ledger`] = trace
        expected[`${id}/timer`] = ''
      }
      t.same(await tracesIn(log, 'out', ({ id }: Order) => id), expected)
      const letters = await tracesIn(
        log,
        `orders-${delivery}-dead-letters`,
        (letter: { stage: string }) => letter.stage
      )
      t.same(letters, { Desk: traceOfOrder(5), in: traceOfOrder(7) }, 'dead letters carry it too')
    }
  )

/** What an SDK for Node sets up: the active span follows what is awaited. */
function setUp(t: Test): InMemorySpanExporter {
  const storage = new AsyncLocalStorage<TraceContext>()
  const manager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: <A extends unknown[], F extends (...args: A) => ReturnType<F>>(
      active: TraceContext,
      f: F,
      self?: ThisParameterType<F>,
      ...args: A
    ): ReturnType<F> => storage.run(active, () => f.call(self, ...args)),
    bind: <T>(_context: TraceContext, target: T): T => target,
    enable: () => manager,
    disable: () => manager
  }
  const exporter = new InMemorySpanExporter()
  context.setGlobalContextManager(manager)
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  t.teardown(() => {
    context.disable()
    trace.disable()
  })
  return exporter
}

void t.test(
  'spans: sampled events only, each below what caused it, from the header read to the header written',
  async t => {
    const exporter = setUp(t)
    seen.length = 0
    const log = await runOrders(t, 'orders-spans', 'exactly-once', true)
    const spans = exporter.getFinishedSpans()
    t.ok(spans.every(({ instrumentationScope }) => instrumentationScope.name === 'cairn'))
    const of = (name: string, n: number) =>
      spans.find(span => span.name === name && span.spanContext().traceId === tracePartsOf(traceOfOrder(n)).traceId)
    t.equal(spans.filter(({ name }) => name === 'process in').length, 4, 'of 1, 3, the bad and the malformed one')
    t.equal(spans.filter(({ name }) => name === 'process Desk').length, 3)
    t.equal(of('process in', 2), undefined, 'not sampled')

    const [read, desk, ledger] = [of('process in', 1), of('process Desk', 1), of('process Ledger', 1)]
    t.equal(read?.parentSpanContext?.spanId, tracePartsOf(traceOfOrder(1)).spanId)
    t.equal(read?.parentSpanContext?.isRemote, true)
    t.equal(read?.kind, SpanKind.CONSUMER)
    t.same(read?.attributes, {
      'cairn.job': 'orders-spans',
      'cairn.stage': 'in',
      'messaging.system': 'cairn.log',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'in',
      'messaging.destination.partition.id': '0',
      'cairn.offset': 0
    })
    t.equal(desk?.parentSpanContext?.spanId, read?.spanContext().spanId)
    t.match(desk?.attributes, { 'cairn.stage': 'Desk', 'cairn.key': '1', 'cairn.event.id': 'in/0/0' })
    t.equal(ledger?.parentSpanContext?.spanId, desk?.spanContext().spanId)
    t.equal(of('process Ledger', 3)?.spanContext().traceState?.serialize(), 'cairn=1,b=2')

    const out = await tracesIn(log, 'out', ({ id }: Order) => id)
    for (const [id, span] of Object.entries({ '1/plain': read, '1/desk': desk, '1/ledger': ledger }))
      t.equal(tracePartsOf(out[id] ?? '').spanId, span?.spanContext().spanId, id)
    t.equal(out['2/desk'], traceOfOrder(2), 'what is not sampled is carried on as it is')

    const id = desk?.spanContext().spanId
    t.same(
      seen.filter(each => each.endsWith(String(id))),
      [`before ${id}`, `after ${id}`],
      'it is active in the handler, and in what follows an await'
    )
    t.equal(seen.filter(each => each === 'before none').length, 3)
  }
)

void t.test('spans say what was thrown, and how checkpoints ended', async t => {
  const exporter = setUp(t)
  const log = await runOrders(t, 'orders-errors', 'exactly-once', true)
  const spans = exporter.getFinishedSpans()
  const failed = spans.filter(({ status }) => status.code === SpanStatusCode.ERROR)
  t.same(
    failed.map(({ name, attributes, events }) => [name, attributes['error.type'], events.map(event => event.name)]),
    [
      ['process in', 'SyntaxError', ['exception']],
      ['process Desk', 'Error', ['exception']]
    ]
  )
  const letters = await tracesIn(log, 'orders-errors-dead-letters', (letter: { stage: string }) => letter.stage)
  t.equal(letters['in'], traceOfOrder(7), 'dead letters keep the context of the event')
  const { traceId, spanId } = tracePartsOf(letters['Desk'] ?? '')
  const read = spans.find(span => span.name === 'process in' && span.spanContext().traceId === traceId)
  t.equal(read?.spanContext().spanId, spanId, 'which is that of the source that emitted it')
  const checkpoints = spans.filter(({ name }) => name === 'checkpoint')
  t.ok(checkpoints.length > 0)
  t.match(checkpoints.at(-1)?.attributes, {
    'cairn.job': 'orders-errors',
    'cairn.generation': 1,
    'cairn.checkpoint.outcome': 'completed'
  })
  t.ok(Number(checkpoints.at(-1)?.attributes['cairn.checkpoint.size']) > 0)
})

void t.test(
  'without the package it is said what to install; without an SDK contexts go through as they are',
  async t => {
    const missing = Object.assign(new Error('none'), { code: 'ERR_MODULE_NOT_FOUND' })
    await t.rejects(
      loadTracing(() => Promise.reject(missing)),
      { code: 'PACKAGE_MISSING' }
    )
    await t.rejects(
      loadTracing(() => Promise.reject(new Error('broken'))),
      { message: 'broken' }
    )
    const span = (await loadTracing()).begin(
      { kind: 'event', job: 'j', stage: 's', key: 'k', id: 'i' },
      traceOfOrder(3)
    )
    t.equal(span.trace, traceOfOrder(3))
    t.equal(
      span.run(() => 7),
      7
    )
    span.end({ error: 'text' })
  }
)
