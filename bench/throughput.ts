/** Handler throughput against the loop one would write by hand: the same decoder, keys and output encoding over a Map. */
import { Actor, files, json, job, lines, type Context } from '../actors/index.ts'
import { ByteWriter } from '../runtime/kernel/bytes.ts'
import { startEngine } from './engine.ts'
import { EventBytes, EventReader, type Payment, type Skew } from './events.ts'
import { today } from './today.ts'

interface Balance {
  readonly account: string
  readonly count: number
  readonly total: number
}

class Account extends Actor {
  count = 0
  total = 0
  receive(payment: Payment, ctx: Context<Balance>): void {
    this.count++
    this.total += payment.amount
    ctx.emit({ account: payment.account, count: this.count, total: this.total })
  }
}

export interface ThroughputSpec {
  readonly kind: 'throughput'
  readonly engine: 'cairn' | 'loop' | 'today'
  readonly events: number
  readonly keys: number
  readonly skew: Skew
  readonly store?: 'memory' | 'level'
}
export interface ThroughputResult {
  readonly perSecond: number
  readonly cpuMicrosPerEvent: number
  readonly checkpoints: number
  readonly rssMiB: number
}

export async function measureThroughput(spec: ThroughputSpec): Promise<ThroughputResult> {
  const events = new EventBytes(spec.events, spec.keys, spec.skew)
  const cpu = process.cpuUsage()
  const start = performance.now()
  const checkpoints = await engines[spec.engine](events, spec)
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    perSecond: events.count / seconds,
    cpuMicrosPerEvent: (user + system) / events.count,
    checkpoints,
    rssMiB: process.memoryUsage.rss() / 1024 ** 2
  }
}

/** Each answers how many checkpoints it took. */
const engines: Readonly<
  Record<ThroughputSpec['engine'], (events: EventBytes, spec: ThroughputSpec) => Promise<number> | number>
> = {
  cairn,
  loop,
  async today(events) {
    await today(events)
    return 0
  }
}

function loop(events: EventBytes): number {
  const codec = json<Payment>()
  const out = json<Balance>()
  const accounts = new Map<string, { count: number; total: number }>()
  const bytes = new ByteWriter(1024 * 1024)
  for (let i = 0; i < events.count; i++) {
    const payment = codec.decode(events.value(i))
    let account = accounts.get(payment.account)
    if (account === undefined) accounts.set(payment.account, (account = { count: 0, total: 0 }))
    account.count++
    account.total += payment.amount
    bytes.block(out.encode({ account: payment.account, count: account.count, total: account.total }))
    if (bytes.length > 1024 * 1024) bytes.reset()
  }
  return 0
}

export function accounts(options: { store?: 'memory' | 'level'; cache?: number; interval?: number } = {}) {
  const { store, cache, interval = 1000 } = options
  return job(
    'bench',
    j => ({
      out: j
        .source('payments', lines('unused', json<Payment>()))
        .keyBy(payment => payment.account)
        .actor(Account)
        .to('balances', files('unused', json<Balance>()))
    }),
    { interval, ...(store === undefined ? {} : { store }), ...(cache === undefined ? {} : { cache }) }
  )
}

async function cairn(events: EventBytes, spec: ThroughputSpec): Promise<number> {
  const engine = await startEngine(
    accounts(spec.store === undefined ? {} : { store: spec.store }),
    new EventReader(events)
  )
  engine.shell.start()
  await engine.shell.ended
  const { epoch = 0 } = engine.shell.lastCheckpoint ?? {}
  if (engine.published() !== events.count) throw new Error(`${engine.published()} of ${events.count} came out`)
  await engine.close()
  return epoch
}
