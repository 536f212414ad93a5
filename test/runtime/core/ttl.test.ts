/** Time to live of actors, through the real engine, against one line of arithmetic per event. */
import fc from 'fast-check'
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'
import { OracleWatermark } from '../../support/window-oracle.ts'

// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

interface Event {
  readonly key: string
  readonly at: number
  readonly fails: boolean
}
interface Row {
  readonly key: string
  readonly n: number
}
class Counter extends Actor {
  n = 0
  receive(event: Event, ctx: Context<Row>): void {
    this.n++
    ctx.emit({ key: ctx.key, n: this.n })
    ctx.timer('far', 1e9)
    if (event.fails) throw new Error('as planned')
  }
}
const after = 50
class CreatedEvent extends Counter {
  static readonly ttl = { after, since: 'created' } as const
}
class LastEvent extends Counter {
  static readonly ttl = { after } as const
}
class CreatedWall extends Counter {
  static readonly ttl = { after, since: 'created', clock: 'wall' } as const
}
class LastWall extends Counter {
  static readonly ttl = { after, clock: 'wall' } as const
}
const actors = { CreatedEvent, LastEvent, CreatedWall, LastWall }

const counters = (actor: typeof Counter) =>
  job('counters', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 0 }, () => ({ key: '', at: 0, fails: false })),
      { time: event => event.at }
    )
    const counted = events.keyBy(event => event.key).actor(actor, { onError: 'dead-letter' })
    return { events, rows: counted.to('rows', files('rows', json<Row>())) }
  })

type Step = ({ readonly kind: 'event' } & Event) | { readonly kind: 'settle' | 'crash' } | { kind: 'clock'; ms: number }
interface Life {
  readonly actor: keyof typeof actors
  readonly cacheBytes: number
  readonly steps: readonly Step[]
}
const life: fc.Arbitrary<Life> = fc.record({
  actor: fc.constantFrom(...(Object.keys(actors) as (keyof typeof actors)[])),
  cacheBytes: fc.constantFrom(1, 2 ** 28),
  steps: fc.array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('event' as const),
          key: fc.constantFrom('a', 'b', 'c'),
          at: fc.nat(300),
          fails: fc.boolean()
        })
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'crash' as const) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('clock' as const), ms: fc.nat(40) }) }
    ),
    { maxLength: 25, size: 'max' }
  )
})

async function runProduct({ actor, cacheBytes, steps }: Life): Promise<Row[]> {
  const d = await drive(counters(actors[actor]), { cacheBytes })
  for (const step of steps)
    if (step.kind === 'event') d.events.push(step)
    else if (step.kind === 'clock') await d.advance(step.ms)
    else await d[step.kind]()
  await d.settle()
  return d.rows.take()
}

function runModel({ actor, steps }: Life, offBy = 0): Row[] {
  const [since, wall] = [actor.startsWith('Created') ? 'created' : 'last', actor.endsWith('Wall')]
  const lives = new Map<string, { n: number; created: number; last: number }>()
  const watermark = new OracleWatermark(0)
  const rows: Row[] = []
  let now = 0
  const expire = (by: number): void => {
    for (const [key, each] of lives) if (each[since as 'created' | 'last'] + after + offBy <= by) lives.delete(key)
  }
  for (const step of steps) {
    if (step.kind === 'clock') {
      now += step.ms
      if (wall) expire(now)
    }
    if (step.kind !== 'event') continue
    const at = wall ? now : step.at
    const found = lives.get(step.key)
    if (found !== undefined && found[since as 'created' | 'last'] + after + offBy <= at) lives.delete(step.key)
    if (!step.fails) {
      const life = lives.get(step.key) ?? { n: 0, created: at, last: at }
      lives.set(step.key, { n: life.n + 1, created: life.created, last: Math.max(life.last, at) })
      rows.push({ key: step.key, n: life.n + 1 })
    }
    if (watermark.observe(step.at) && !wall) expire(watermark.value)
  }
  return rows
}

const agrees = async (life: Life, offBy = 0): Promise<boolean> =>
  byKey(await runProduct(life)) === byKey(runModel(life, offBy))

/** Keys have no order among each other. */
const byKey = (rows: readonly Row[]): string =>
  JSON.stringify([...rows].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)))

void t.test(
  'an actor lives as long as its `ttl` says, on either clock, since its creation or its last event',
  async () => {
    await fc.assert(
      fc.asyncProperty(life, life => agrees(life)),
      { numRuns: 250 }
    )
  }
)

for (const offBy of [-1, 1])
  void t.test(`the model catches a ttl off by ${offBy}`, async t => {
    const check = fc.asyncProperty(life, life => agrees(life, offBy))
    t.ok((await fc.check(check, { numRuns: 500, seed: 1, endOnFailure: true })).failed)
  })

void t.test('what has expired is gone without another event of its key', async t => {
  const d = await drive(counters(LastEvent))
  d.events.push({ key: 'a', at: 0, fails: false }, { key: 'b', at: 49, fails: false })
  await d.crash()
  t.same([d.state(LastEvent, 'a'), d.state(LastEvent, 'b')], [{ n: 1 }, { n: 1 }])
  d.events.push({ key: 'c', at: 50, fails: false })
  await d.crash()
  t.same([d.state(LastEvent, 'a'), d.state(LastEvent, 'b')], [undefined, { n: 1 }])

  const w = await drive(counters(CreatedWall))
  w.events.push({ key: 'a', at: 0, fails: false })
  await w.advance(30)
  w.events.push({ key: 'a', at: 1, fails: false })
  await w.crash()
  await w.advance(19)
  t.same(w.state(CreatedWall, 'a'), { n: 2 })
  await w.advance(1)
  t.equal(w.state(CreatedWall, 'a'), undefined)
})
