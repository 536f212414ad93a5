/** Trace contexts from the headers of what is read to the headers of what is written, in a job that runs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Actor, job, json, topic, tumbling, type Context } from '../../actors/index.ts'
import { startJob } from '../../deploy/start-job.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { traceHeaders, traceOf } from '../../runtime/kernel/trace-context.ts'

interface Order {
  readonly id: string
  readonly at: number
}

class Ledger extends Actor {
  receive(order: Order, ctx: Context<Order>): void {
    ctx.emit({ ...order, id: `${order.id}/ledger` })
  }
}

class Desk extends Actor {
  held = ''

  async receive(order: Order, ctx: Context<Order>): Promise<void> {
    if (order.id.startsWith('bad')) throw new Error('refused')
    await Promise.resolve()
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

async function runOrders(t: Test, name: string, delivery: 'exactly-once' | 'at-least-once'): Promise<EmbeddedLog> {
  const storage = mkdtempSync(join(tmpdir(), 'cairn-tracing-'))
  t.teardown(() => rmSync(storage, { recursive: true, force: true }))
  await mkdir(join(storage, name))
  const open = (): Promise<EmbeddedLog> => EmbeddedLog.open(join(storage, name, 'log'), nodeClock)
  const before = await open()
  await before.createTopic('in', 1)
  const records = ['1', '2', '3', 'bad 4', '5', 'none', '{'].map((id, i) => ({
    partition: 0,
    timestamp: i,
    key: undefined,
    value: new TextEncoder().encode(id === '{' ? id : JSON.stringify({ id, at: i })),
    headers: id === 'none' ? [] : traceHeaders(traceOfOrder(i + 1))
  }))
  await before.append('in', 0, records)
  await before.close()
  const started = await startJob(orders(name, delivery), { storage, fresh: false })
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
      for (const [i, id] of ['1', '2', '3', 'bad 4', '5', 'none'].entries()) {
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
      t.same(letters, { Desk: traceOfOrder(4), in: traceOfOrder(7) }, 'dead letters carry it too')
    }
  )
