/** What operators can do about a parked key, and what a parked key does not hold up. */
import t from 'tap'
import { Actor, count, files, generator, job, json, tumbling, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'

interface Event {
  readonly key: string
  readonly n: number
  /** The handler throws while it is in here. */
  readonly bad?: boolean
}
interface Row {
  readonly key: string
  readonly n: number
}

class Adder extends Actor {
  sum = 0
  receive(event: Event, ctx: Context<Row>): void {
    this.sum += event.n
    ctx.emit({ key: ctx.key, n: this.sum })
    if (event.bad === true) throw new Error(`cannot add ${event.n}`)
  }
}

const noEvent: Event = { key: '', n: 0 }
const adding = (limit: { eventsPerKey?: number; bytes?: number } = {}) =>
  job('adding', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 0 }, () => noEvent),
      { time: event => event.n }
    )
    const sums = events.keyBy(event => event.key).actor(Adder, { onError: 'quarantine', quarantineLimit: limit })
    const windows = sums
      .keyBy(row => row.key)
      .window(tumbling('10ms'))
      .aggregate({ rows: count() })
    return {
      events,
      sums: sums.to('sums', files('sums', json<Row>())),
      windows: windows.to('windows', files('windows', json()))
    }
  })

const bad = (key: string, n: number): Event => ({ key, n, bad: true })

void t.test('retry, edit and drop go on with what waits; each is answered once', async t => {
  const d = await drive(adding())
  d.events.push({ key: 'a', n: 1 }, bad('a', 2), { key: 'a', n: 3 }, { key: 'b', n: 4 }, bad('a', 5), {
    key: 'a',
    n: 6
  })
  await d.settle()
  t.same(d.sums.take(), [
    { key: 'a', n: 1 },
    { key: 'b', n: 4 }
  ])
  t.match(d.quarantine.list(Adder), [{ key: 'a', attempts: 1, error: 'cannot add 2', waiting: { length: 4 } }])
  t.match(d.quarantine.list(Adder)[0]?.stack, /quarantine-release/)

  t.match(await d.quarantine.retry(Adder, 'a'), {
    outcome: 'quarantined',
    handled: 0,
    waiting: 4,
    error: 'cannot add 2'
  })
  t.match(d.quarantine.list(Adder), [{ attempts: 2 }])
  await d.crash()
  t.match(d.quarantine.list(Adder), [{ attempts: 2, waiting: { length: 4 } }], 'all of it is state')
  t.match(await d.quarantine.edit(Adder, 'a', { key: 'a', n: 20 }), { outcome: 'quarantined', handled: 2, waiting: 2 })
  t.match(d.quarantine.list(Adder), [{ attempts: 1, error: 'cannot add 5' }])
  t.match(await d.quarantine.drop(Adder, 'a'), { outcome: 'released', handled: 1, dropped: 1, waiting: 0 })
  t.same(d.sums.take(), [
    { key: 'a', n: 21 },
    { key: 'a', n: 24 },
    { key: 'a', n: 30 }
  ])
  t.same(d.quarantine.list(Adder), [])
  await t.rejects(d.quarantine.retry(Adder, 'a'), { code: 'NOT_FOUND' })

  d.events.push(bad('a', 7), { key: 'a', n: 8 }, { key: 'a', n: 9 })
  await d.settle()
  t.match(await d.quarantine.dropAll(Adder, 'a'), { outcome: 'released', handled: 0, dropped: 3 })
  d.events.push({ key: 'a', n: 10 })
  await d.settle()
  t.same(d.sums.take(), [{ key: 'a', n: 40 }])
})

void t.test('beyond its limit the job fails', async t => {
  const d = await drive(adding({ eventsPerKey: 3 }))
  d.events.push(bad('a', 1), { key: 'a', n: 2 }, { key: 'a', n: 3 })
  await d.settle()
  d.events.push({ key: 'b', n: 4 }, { key: 'a', n: 5 })
  await t.rejects(d.settle(), { code: 'QUARANTINE_FULL', message: /stage "Adder", key a: 3 events .* cannot add 1/ })
})

void t.test('beyond the bytes of all its keys, too', async t => {
  const bytes = await drive(adding({ bytes: 200 }))
  bytes.events.push(bad('a', 1), bad('b', 2), bad('c', 3), bad('d', 4))
  await t.rejects(bytes.settle(), { code: 'QUARANTINE_FULL' })
  t.throws(() => adding({ bytes: 0.5 }), { code: 'PLAN_INVALID', message: /quarantineLimit.bytes is 0.5/ })
})

void t.test('at the end of input everything else ends; started again, the job waits, and then ends too', async t => {
  const d = await drive(adding())
  d.events.push({ key: 'a', n: 1 }, bad('b', 2), { key: 'b', n: 3 }, { key: 'c', n: 4 })
  d.events.end()
  await d.settle()
  t.same(d.sums.take().length, 2)
  t.match(d.windows.take(), [{ rows: 1 }, { rows: 1 }], 'the final watermark goes on')
  await t.rejects(d.quarantine.retry(Adder, 'b'), { code: 'NOT_RUNNING' }, 'it has ended')
  await d.crash()
  t.match(d.quarantine.list(Adder), [{ key: 'b' }])
  await d.crash({ parallelism: 3 })
  t.match(await d.quarantine.drop(Adder, 'b'), { outcome: 'released', handled: 1 })
  t.same(d.sums.take(), [{ key: 'b', n: 3 }])
  await d.crash()
  t.same(d.quarantine.list(Adder), [])
  t.same(d.sums.take(), [], 'it has finished')
})

/** Sends itself around; what it is sent last is bad. */
class Hopper extends Actor {
  static stands = true
  hops: number[] = []
  receive(event: Event, ctx: Context<Row>): void {
    this.hops.push(event.n)
    ctx.timer('last', ctx.time + 1000)
    if (event.n > 0)
      ctx.send(Hopper, event.key === 'x' ? 'y' : 'x', { key: event.key === 'x' ? 'y' : 'x', n: event.n - 1 })
    else ctx.emit({ key: ctx.key, n: this.hops.length })
    if (Hopper.stands && event.n === 2) throw new Error('tired')
  }
  override onTimer(_name: string, ctx: Context<Row>): void {
    ctx.emit({ key: ctx.key, n: -this.hops.length })
  }
}
const hopping = () =>
  job('hopping', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 0 }, () => noEvent),
      { time: event => event.n }
    )
    const hoppers = events.keyBy(event => event.key).actor(Hopper, { onError: 'quarantine', sends: [Hopper] })
    return { events, rows: hoppers.to('rows', files('rows', json<Row>())) }
  })

void t.test('a loop comes to rest around a parked key, and ends once it is released', async t => {
  const run = async (stands: boolean): Promise<Row[]> => {
    Hopper.stands = stands
    const d = await drive(hopping())
    d.events.push({ key: 'x', n: 5 })
    await d.settle()
    d.events.end()
    await d.settle()
    if (!stands) return d.rows.take()
    const [line] = d.quarantine.list(Hopper)
    t.match(line, { key: 'y', error: 'tired' })
    const before = d.rows.take()
    t.same(before, [{ key: 'x', n: -2 }], 'the final watermark fires the timer of the other')
    await d.crash()
    Hopper.stands = false
    t.match(await d.quarantine.retry(Hopper, 'y'), { outcome: 'released', handled: 1 })
    await d.settle()
    await d.crash()
    await t.rejects(d.quarantine.retry(Hopper, 'y'), { code: 'NOT_RUNNING' }, 'it has finished')
    return d.rows.take()
  }
  const order = (rows: readonly Row[]): string =>
    rows
      .map(({ key, n }) => `${key}${n}`)
      .sort()
      .join(' ')
  t.equal(order(await run(false)), 'x-3 y-3 y3')
  t.equal(
    order(await run(true)),
    'x-3 y-2 y-3 y3',
    'the final watermark was there before what the release sent came round'
  )
})
