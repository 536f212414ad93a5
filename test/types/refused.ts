/**
 * What must not compile. Never run: the build is the check, since an expected error that does not come is an error itself.
 * One mistake per line, each on the smallest job that shows it.
 */
/* eslint-disable @typescript-eslint/no-unsafe-return -- what must not compile has no type */
import { z } from 'zod'
import {
  Actor,
  count,
  csv,
  files,
  generator,
  job,
  json,
  lines,
  mean,
  output,
  service,
  stdout,
  topic,
  tumbling,
  type Context
} from '../../actors/index.ts'
import { drive, invariant, simulationOf, standIn } from '../../simulations/driver/index.ts'

interface Order {
  id: string
  total: number
}
interface Receipt {
  order: string
  paid: boolean
}
class Payments extends Actor {
  static readonly outputs = { refused: output<{ order: string }>() }
  paid = 0
  receive(order: Order, ctx: Context<Receipt>): void {
    this.paid += order.total
    ctx.emit({ order: order.id, paid: true })
  }
}
class Pair extends Actor {
  n = 0
  receive(_: Order, ctx: Context<number, readonly [string, number]>): void {
    ctx.emit(this.n++)
  }
}
class Numbered extends Actor {
  receive(_: Order, __: Context<never, number>): void {
    return undefined
  }
}
class Strict extends Actor {
  private readonly secret: string
  constructor(secret: string) {
    super()
    this.secret = secret
  }
  receive(_: Order): void {
    return void this.secret
  }
}
const orders = generator({ count: 1 }, n => ({ id: `o${n}`, total: n }))
const receipts = json<Receipt>()

export const refused = job('refused', j => {
  const source = j.source('orders', orders)
  const byId = source.keyBy(order => order.id)
  // window
  const hours = byId.window(tumbling('1h'))
  // @ts-expect-error an aggregate of something else
  hours.aggregate({ late: mean((receipt: Receipt) => Number(receipt.paid)) })
  // @ts-expect-error not a field of an order
  hours.aggregate({ late: mean(order => order.late) })
  // @ts-expect-error no such aggregate in the rows
  hours.aggregate({ n: count() }).map(row => row.m)
  // @ts-expect-error the key is a string
  hours.collect((_, window) => window.key.toFixed())
  // @ts-expect-error what was collected is not to be changed
  hours.collect(orders => orders.push({ id: '', total: 1 }))
  // @ts-expect-error a size has a unit
  tumbling('1 hour')
  // @ts-expect-error no such option
  byId.window(tumbling('1h'), { latness: '1m' })
  // @ts-expect-error not a field of an order
  source.dedupe({ id: order => order.name, within: '1h' })
  const paid = byId.actor(Payments)
  const pairs = source.keyBy(order => [order.id, order.total] as const).actor(Pair)

  // event
  const numbers = source.map(order => order.total)
  // @ts-expect-error the stream carries numbers, the actor receives orders
  numbers.keyBy(String).actor(Payments)
  const bare = source.map(({ id }) => ({ id }))
  // @ts-expect-error a field of the event is missing
  bare.keyBy(o => o.id).actor(Payments)
  const mixed = source.union(numbers)
  // @ts-expect-error one branch of a union does not fit
  mixed.keyBy(() => 'a').actor(Payments)
  // @ts-expect-error no such field in an event
  source.filter(order => order.amount > 3)
  // @ts-expect-error flatMap gives many
  source.flatMap(() => 7)

  // key
  // @ts-expect-error keyed by a number, the actor by a string
  source.keyBy(order => order.total).actor(Payments)
  // @ts-expect-error keyed by a string, the actor by a number
  byId.actor(Numbered)
  // @ts-expect-error the parts of the tuple are the wrong way round
  source.keyBy(order => [order.total, order.id] as const).actor(Pair)
  // @ts-expect-error the tuple is too short
  source.keyBy(order => [order.id] as const).actor(Pair)
  // @ts-expect-error a boolean is no key
  source.keyBy(order => order.total > 3)
  // @ts-expect-error an object is no key
  source.keyBy(order => ({ id: order.id }))
  // @ts-expect-error undefined is no key
  source.keyBy(order => (order.total > 3 ? order.id : undefined))
  // @ts-expect-error streams keyed by different types do not join
  byId.union(source.keyBy(order => order.total))

  // sink
  // @ts-expect-error the sink takes receipts, the stream carries orders
  source.to('a', files('a', receipts))
  // @ts-expect-error what an actor emits is not what the sink takes
  paid.to('b', files('b', json<Order>()))
  // @ts-expect-error a source is no sink
  paid.to('c', lines('c', receipts))
  // @ts-expect-error no such delivery
  paid.to('d', stdout(), { delivery: 'at-most-once' })
  // @ts-expect-error a sink is no source
  j.source('e', stdout())

  // topics and tables
  // @ts-expect-error the topic takes receipts, the stream carries orders
  source.to('i', topic('i', { value: receipts }))
  // @ts-expect-error no such field in what the topic holds
  topic('i', { value: receipts, key: receipt => String(receipt.id) })
  // @ts-expect-error a key is a string
  paid.to('k', topic('k', { value: receipts, key: receipt => receipt.paid }))
  // @ts-expect-error a topic of receipts gives receipts
  j.source('l', topic('l', { value: receipts })).map(receipt => void receipt.total)
  // @ts-expect-error a topic has a codec
  topic('m', {})
  // @ts-expect-error a table is no sink
  source.to('n', csv('n.csv'))
  // @ts-expect-error without a schema every column is text
  j.source('o', csv('o.csv')).map(row => row['n'] + 1 * row['m'])
  // @ts-expect-error the schema makes a number
  j.source('p', csv('p.csv', z.object({ n: z.coerce.number() }))).map(row => void row.n.toUpperCase())

  // output
  // @ts-expect-error no such side output
  paid.output('lost')
  // @ts-expect-error the side output carries something else
  paid.output('refused').to('f', files('f', receipts))
  // @ts-expect-error an actor without side outputs
  pairs.output('any')

  // options
  // @ts-expect-error no such policy
  byId.actor(Payments, { onError: 'ignore' })
  // @ts-expect-error a misspelt option
  byId.actor(Payments, { onerror: 'fail' })
  // @ts-expect-error sends names classes, not instances
  byId.actor(Payments, { sends: [new Pair()] })
  // @ts-expect-error constructor arguments: nobody could give them at a restore
  byId.actor(Strict)
  // @ts-expect-error not an actor
  byId.actor(Date)
  // @ts-expect-error a duration has a unit
  j.source('g', orders, { outOfOrder: '5 minutes' })
  // @ts-expect-error time is a number or a Date
  j.source('h', orders, { time: order => order.id })
  // @ts-expect-error the generator needs a count
  generator({}, n => n)
  // @ts-expect-error a codec, not a class
  lines('x', Payments)

  return { source, paid: paid.to('paid', files('paid', receipts)), refused: paid.output('refused') }
})

// @ts-expect-error a misspelt job option
job('options', () => ({}), { paralelism: 2 })
// @ts-expect-error intervals are durations
job('options', () => ({}), { interval: 'often' })
job('goal', () => ({}), { interval: { latency: '300ms', share: 0.2 } })
// @ts-expect-error and so are latencies
job('goal', () => ({}), { interval: { latency: 'soon' } })
// @ts-expect-error a share alone is no goal
job('goal', () => ({}), { interval: { share: 0.2 } })
// @ts-expect-error a schema that yields something else
export const wrongSchema: { name: number } = json(z.object({ name: z.string() })).decode(new Uint8Array())
// @ts-expect-error an actor handles events
export class Deaf extends Actor {}

export class Sender extends Actor {
  receive(order: Order, ctx: Context<Receipt, number>): void {
    // message
    // @ts-expect-error not what Payments receives
    ctx.send(Payments, 'a', { order: order.id })
    // @ts-expect-error Payments is keyed by a string
    ctx.send(Payments, 7, order)
    // @ts-expect-error Pair is keyed by a tuple
    ctx.send(Pair, order.id, order)
    // @ts-expect-error not an actor
    ctx.send(Date, 'a', order)
    // @ts-expect-error emits what its context says
    ctx.emit(order)
    // @ts-expect-error the type of the side output
    ctx.emitTo(Payments.outputs.refused, { order: 7 })
    // @ts-expect-error the key is a number
    ctx.key.toUpperCase()
    // @ts-expect-error the key is not to be set
    ctx.key = 7
    // @ts-expect-error a time, not a duration
    ctx.timer('t', '5m')
  }
}
class Silent extends Actor {
  receive(order: Order, ctx: Context): void {
    // @ts-expect-error a context without an output emits nothing
    ctx.emit(order)
  }
}

export async function drives(): Promise<void> {
  // handle, field
  const t = await drive(refused)
  // @ts-expect-error not the event of this source
  t.source.push({ id: 7, total: 1 })
  // @ts-expect-error a sink is read, not pushed to
  t.paid.push({ order: 'a', paid: true })
  // @ts-expect-error a source is pushed to, not read
  t.source.take()
  // @ts-expect-error no such handle
  void t.nothing
  // @ts-expect-error not a field of a receipt
  void t.paid.take()[0]?.total
  // @ts-expect-error there may be none
  void t.paid.take()[0].paid
  // @ts-expect-error Payments is keyed by a string
  t.state(Payments, 7)
  // @ts-expect-error there may be no such actor
  void t.state(Payments, 'a').paid
  // @ts-expect-error no such field
  void t.state(Payments, 'a')?.total
  // @ts-expect-error a method is no field
  void t.state(Payments, 'a')?.receive
  // @ts-expect-error a duration has a unit
  void t.advance('soon')
  // @ts-expect-error a class that is no actor has no state
  t.state(Date, 'a')
  void Silent
}

const bank = service('bank', {
  charge: (id: string, cents: number): Promise<boolean> => Promise.resolve(cents > id.length)
})
// @ts-expect-error a method of a service returns a promise
service('clock', { now: () => 7 })
export const simulations = [
  // @ts-expect-error a sink has no events
  simulationOf(refused, { events: { paid: [] } }),
  // @ts-expect-error not the event of this source
  simulationOf(refused, { events: { source: [{ id: 'a', sum: 1 }] } }),
  // @ts-expect-error not the event of this source, made up
  simulationOf(refused, { events: { source: random => [random.next()] } }),
  // @ts-expect-error a misspelt option
  simulationOf(refused, { invariant: [] }),
  // @ts-expect-error no such method
  standIn(bank, () => ({ refund: () => true })),
  // @ts-expect-error answers something else
  standIn(bank, () => ({ charge: () => 'yes' })),
  // @ts-expect-error takes something else
  standIn(bank, () => ({ charge: (id: number) => id > 0 })),
  // @ts-expect-error not a service
  standIn({ charge: () => true }, () => ({})),
  // @ts-expect-error not a field
  invariant('a', Payments, ({ total }) => total > 0),
  // @ts-expect-error Payments is keyed by a string
  invariant('b', Payments, (_, key) => key > 7),
  // @ts-expect-error not a field of a receipt
  invariant('c', refused.handles.paid, rows => rows.every(({ total }) => total > 0)),
  // @ts-expect-error a source has no rows
  invariant('d', refused.handles.source, rows => rows.length > 0),
  // @ts-expect-error the second argument is a number
  invariant('e', bank, calls => calls.every(({ args }) => args[1].length > 0)),
  // @ts-expect-error no such method
  invariant('f', bank, calls => calls.every(({ method }) => method === 'refund')),
  // @ts-expect-error a verdict is a boolean or a sentence
  invariant('g', bank, calls => calls.length)
]

const fields = json.fields({ id: 'string', 'note?': 'string' })
export const wrongFields = [
  // @ts-expect-error it may be missing
  fields.decode(new Uint8Array()).note.length,
  // @ts-expect-error not declared
  fields.decode(new Uint8Array()).total,
  // @ts-expect-error it is missing
  fields.encode({ note: 'x' }),
  // @ts-expect-error no such type
  json.fields({ id: 'text' }),
  // @ts-expect-error no such type in it
  json.nullable({ id: 'bigint' })
]
