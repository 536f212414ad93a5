/** Timers and alarms of actors through the real engine, against a list that is searched for what is due. */
import fc from 'fast-check'
import t from 'tap'
import { Actor, files, generator, job, json, type ActorClass, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'
import { OracleWatermark } from '../../support/window-oracle.ts'

// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

type Command =
  /** `after` counts from the time of the handler; of a timer it may be negative. */
  | { readonly kind: 'timer' | 'alarm'; readonly name: string; readonly after: number }
  | { readonly kind: 'cancel'; readonly name: string }
  | { readonly kind: 'forget' }
interface Event {
  readonly key: string
  readonly at: number
  readonly commands: readonly Command[]
  /** Carried out when the timer or alarm of that name fires next. */
  readonly then: Readonly<Record<string, readonly Command[]>>
}
interface Row {
  readonly key: string
  readonly fired: string
}

function perform(commands: readonly Command[], ctx: Context<Row>): void {
  for (const command of commands)
    if (command.kind === 'timer') ctx.timer(command.name, ctx.time + command.after)
    else if (command.kind === 'alarm') ctx.alarm(command.name, ctx.now + command.after)
    else if (command.kind === 'cancel') ctx.cancel(command.name)
    else ctx.forget()
}

class Sync extends Actor {
  static readonly actorName = 'Timed'
  then: Record<string, readonly Command[]> = {}

  receive(event: Event, ctx: Context<Row>): void {
    this.then = { ...this.then, ...event.then }
    perform(event.commands, ctx)
  }
  override onTimer(name: string, ctx: Context<Row>): void {
    ctx.emit({ key: ctx.key, fired: `timer ${name} at ${ctx.time}` })
    this.next(name, ctx)
  }
  override onAlarm(name: string, ctx: Context<Row>): void {
    ctx.emit({ key: ctx.key, fired: `alarm ${name} at ${ctx.now}` })
    this.next(name, ctx)
  }
  next(name: string, ctx: Context<Row>): void {
    const commands = this.then[name] ?? []
    delete this.then[name]
    perform(commands, ctx)
  }
}
class Async extends Actor {
  static readonly actorName = 'Timed'
  then: Record<string, readonly Command[]> = {}

  async receive(event: Event, ctx: Context<Row>): Promise<void> {
    await Promise.resolve()
    this.then = { ...this.then, ...event.then }
    perform(event.commands, ctx)
  }
  override async onTimer(name: string, ctx: Context<Row>): Promise<void> {
    await Promise.resolve()
    Sync.prototype.onTimer.call(this as never, name, ctx)
  }
  override async onAlarm(name: string, ctx: Context<Row>): Promise<void> {
    await Promise.resolve()
    Sync.prototype.onAlarm.call(this as never, name, ctx)
  }
  next(name: string, ctx: Context<Row>): void {
    Sync.prototype.next.call(this as never, name, ctx)
  }
}

type Step = ({ readonly kind: 'event' } & Event) | { readonly kind: 'settle' | 'crash' } | { kind: 'clock'; ms: number }
interface Life {
  readonly async: boolean
  readonly onError: 'fail' | 'dead-letter'
  readonly cacheBytes: number
  readonly steps: readonly Step[]
}

const name = fc.constantFrom('x', 'y', 'z')
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('timer' as const), name, after: fc.integer({ min: -20, max: 60 }) })
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('alarm' as const), name, after: fc.integer({ min: 1, max: 30 }) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const) }) }
)
const commands = fc.array(command, { maxLength: 4 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('event' as const),
      key: fc.constantFrom('a', 'b'),
      at: fc.nat(200),
      commands,
      then: fc.dictionary(name, commands, { maxKeys: 2 })
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'crash' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('clock' as const), ms: fc.nat(25) }) }
)
const life: fc.Arbitrary<Life> = fc.record({
  async: fc.boolean(),
  onError: fc.constantFrom('fail' as const, 'dead-letter' as const),
  cacheBytes: fc.constantFrom(1, 2 ** 28),
  steps: fc.array(step, { maxLength: 25, size: 'max' })
})

async function runProduct(life: Life, plant: (actor: typeof Sync) => typeof Sync = actor => actor): Promise<Row[]> {
  const actor = plant(life.async ? (Async as unknown as typeof Sync) : Sync)
  const made = job('timers', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 0 }, () => ({ key: '', at: 0, commands: [], then: {} })),
      { time: event => event.at }
    )
    const timed = events.keyBy(event => event.key).actor(actor, { onError: life.onError })
    return { events, rows: timed.to('rows', files('rows', json<Row>())) }
  })
  const d = await drive(made, { cacheBytes: life.cacheBytes })
  for (const step of life.steps)
    if (step.kind === 'event') d.events.push(step)
    else if (step.kind === 'clock') await d.advance(step.ms)
    else await d[step.kind]()
  d.events.end()
  await d.settle()
  return d.rows.take()
}

/** One key's timers, as the contract of Context has them. */
class Model {
  readonly fired: string[] = []
  private timers: { name: string; at: number }[] = []
  private alarms: { name: string; at: number }[] = []
  private then: Record<string, readonly Command[]> = {}
  now = 0

  event(event: Event): void {
    this.then = { ...this.then, ...event.then }
    this.perform(event.commands, event.at)
  }
  watermark(to: number): void {
    for (let due = this.take(this.timers, to); due !== undefined; due = this.take(this.timers, to)) {
      this.timers = this.timers.filter(each => each !== due)
      this.fire('timer', due.name, due.at)
    }
  }
  clock(to: number): void {
    for (; this.now <= to; this.now++)
      for (let due = this.take(this.alarms, this.now); due !== undefined; due = this.take(this.alarms, this.now)) {
        this.alarms = this.alarms.filter(each => each !== due)
        this.fire('alarm', due.name, this.now)
      }
    this.now = to
  }
  private fire(kind: string, name: string, at: number): void {
    this.fired.push(`${kind} ${name} at ${at}`)
    const commands = this.then[name] ?? []
    this.then = Object.fromEntries(Object.entries(this.then).filter(([other]) => other !== name))
    this.perform(commands, at)
  }
  private perform(commands: readonly Command[], time: number): void {
    for (const command of commands) {
      if (command.kind === 'forget') continue
      const others = (list: typeof this.timers) => list.filter(each => each.name !== command.name)
      if (command.kind !== 'alarm') this.timers = others(this.timers)
      if (command.kind !== 'timer') this.alarms = others(this.alarms)
      if (command.kind === 'timer') this.timers.push({ name: command.name, at: time + command.after })
      if (command.kind === 'alarm') this.alarms.push({ name: command.name, at: this.now + command.after })
    }
    if (!commands.some(command => command.kind === 'forget')) return
    this.timers = this.alarms = []
    this.then = {}
  }
  private take(list: typeof this.timers, upTo: number): { name: string; at: number } | undefined {
    return list.filter(each => each.at <= upTo).sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))[0]
  }
}

function runModel(life: Life): Record<string, readonly string[]> {
  const models = { a: new Model(), b: new Model() }
  const watermark = new OracleWatermark(0)
  for (const step of life.steps) {
    if (step.kind === 'clock') for (const model of Object.values(models)) model.clock(model.now + step.ms)
    if (step.kind !== 'event') continue
    models[step.key as 'a' | 'b'].event(step)
    if (watermark.observe(step.at)) for (const model of Object.values(models)) model.watermark(watermark.value)
  }
  for (const model of Object.values(models)) model.watermark(Infinity)
  return { a: models.a.fired, b: models.b.fired }
}

async function differences(life: Life, plant?: (actor: typeof Sync) => typeof Sync): Promise<string[]> {
  const rows = await runProduct(life, plant)
  return Object.entries(runModel(life)).flatMap(([key, expected]) => {
    const got = rows.filter(row => row.key === key).map(row => row.fired)
    return got.join() === expected.join() ? [] : [`${key}: ${got.join(', ')}; expected: ${expected.join(', ')}`]
  })
}

void t.test(
  'timers and alarms fire as a list would have them, whatever re-arms, cancels, forgets or crashes',
  async () => {
    await fc.assert(
      fc.asyncProperty(life, async life => {
        const found = await differences(life)
        if (found.length > 0) throw new Error(found.join('\n'))
      }),
      { numRuns: 200 }
    )
  }
)

/** Changes what the handlers' context does. */
function through(change: (ctx: Context<Row>) => Partial<Context<Row>>): (actor: typeof Sync) => typeof Sync {
  return actor => {
    const changed = (ctx: Context<Row>): Context<Row> => {
      const own = change(ctx)
      return new Proxy(ctx, {
        get(of, name) {
          const value: unknown = name in own ? Reflect.get(own, name) : Reflect.get(of, name, of)
          return typeof value === 'function' ? (value as (...rest: unknown[]) => unknown).bind(of) : value
        }
      })
    }
    class Planted extends actor {
      override receive(event: Event, ctx: Context<Row>): void {
        return super.receive(event, changed(ctx))
      }
      override onTimer(name: string, ctx: Context<Row>): void {
        return super.onTimer(name, changed(ctx))
      }
    }
    return Planted satisfies ActorClass as typeof Sync
  }
}
const bugs = {
  'cancel is lost': through(() => ({ cancel: () => undefined })),
  'forget keeps the timers': through(() => ({ forget: () => undefined })),
  'a timer fires a ms late': through(ctx => ({ timer: (name, at) => ctx.timer(name, Number(at) + 1) })),
  'alarms go by event time': through(ctx => ({ alarm: (name, at) => ctx.timer(name, at) }))
}
for (const [name, plant] of Object.entries(bugs))
  void t.test(`the list catches a planted bug: ${name}`, async t => {
    const check = fc.asyncProperty(life, async life => (await differences(life, plant)).length === 0)
    t.ok((await fc.check(check, { numRuns: 100, seed: 1, endOnFailure: true })).failed)
  })
