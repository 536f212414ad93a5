/** Durable maps against plain ones: whatever handlers write, undo, forget and read, in memory and from a store, across crashes. */
import fc from 'fast-check'
import t from 'tap'
import { Actor, durableMap, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'
import { testMistakes, type Mistakes } from '../../support/planted.ts'

type Op =
  | { readonly op: 'set'; readonly k: string | number; readonly v: number }
  | { readonly op: 'delete'; readonly k: string | number }
  | { readonly op: 'add'; readonly k: string | number }
interface Event {
  readonly key: string
  readonly ops: readonly Op[]
  readonly end: 'commit' | 'throw' | 'forget' | 'list'
}

class Book extends Actor {
  handled = 0
  lines = durableMap<string | number, { n: number }>()
  other = durableMap<string, number>()
  receive(event: Event, ctx: Context<string>): void | Promise<void> {
    for (const { op, k, ...rest } of event.ops)
      if (op === 'set') this.lines.set(k, { n: (rest as { v: number }).v })
      else if (op === 'delete') this.lines.delete(k)
      else this.lines.update(k, line => ({ n: (line?.n ?? 0) + 1 }))
    this.other.set('handled', ++this.handled)
    if (event.end === 'throw') throw new Error('planted')
    if (event.end === 'forget') ctx.forget()
    if (event.end === 'list') return this.list(ctx)
  }
  private async list(ctx: Context<string>): Promise<void> {
    const all: string[] = []
    for await (const [k, { n }] of this.lines.entries()) all.push(`${typeof k === 'number' ? '#' : ''}${k}=${n}`)
    const some: string[] = []
    for await (const [k] of this.lines.entries({ from: 'b', to: 'd', limit: 3 })) some.push(String(k))
    ctx.emit(
      `${ctx.key}: ${all.join(' ')} | ${some.join(' ')} | ${this.other.get('handled') ?? 0} ${this.lines.has('b')}`
    )
  }
}

/** The same, written down naively. */
class Model {
  private readonly books = new Map<string, { handled: number; lines: Map<string | number, number> }>()
  handle({ key, ops, end }: Event): string | undefined {
    if (end === 'throw') return undefined
    const { handled, lines } = this.books.get(key) ?? { handled: 0, lines: new Map<string | number, number>() }
    for (const op of ops)
      if (op.op === 'set') lines.set(op.k, op.v)
      else if (op.op === 'delete') lines.delete(op.k)
      else lines.set(op.k, (lines.get(op.k) ?? 0) + 1)
    this.books.set(key, { handled: handled + 1, lines })
    if (end === 'forget') this.books.delete(key)
    if (end !== 'list') return undefined
    const order = (k: string | number): [number, string | number] => [typeof k === 'number' ? 0 : 1, k]
    const keys = [...lines.keys()].sort((a, b) => {
      const [x, y] = [order(a), order(b)]
      return x[0] - y[0] || (x[1] < y[1] ? -1 : 1)
    })
    const all = keys.map(k => `${typeof k === 'number' ? '#' : ''}${k}=${lines.get(k) ?? 0}`)
    const some = keys.filter(k => typeof k === 'string' && k >= 'b' && k < 'd').slice(0, 3)
    return `${key}: ${all.join(' ')} | ${some.join(' ')} | ${handled + 1} ${lines.has('b')}`
  }
}

interface Build {
  readonly drive: typeof drive
  readonly job: typeof job
  readonly Book: typeof Book
}

const books = (build: Build) =>
  build.job('books', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 1 }, () => ({ key: '', ops: [], end: 'commit' }))
    )
    const stage = events.keyBy(event => event.key).actor(build.Book, { onError: 'dead-letter' })
    return { events, out: stage.to('out', files('unused', json<string>())) }
  })

const mapKey = fc.constantFrom<(string | number)[]>(
  'a',
  'b',
  'c',
  'cc',
  'd',
  '\ud800',
  '__proto__',
  '',
  -1,
  0,
  2.5,
  1e300
)
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('set' as const), k: mapKey, v: fc.integer({ min: 0, max: 99 }) })
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('delete' as const), k: mapKey }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('add' as const), k: mapKey }) }
)
const event: fc.Arbitrary<Event> = fc.record({
  key: fc.constantFrom('x', 'y', 'y\u0000', 'z'),
  ops: fc.array(op, { maxLength: 5 }),
  end: fc.oneof(
    { weight: 4, arbitrary: fc.constant('commit' as const) },
    { weight: 2, arbitrary: fc.constant('throw' as const) },
    { weight: 1, arbitrary: fc.constant('forget' as const) },
    { weight: 4, arbitrary: fc.constant('list' as const) }
  )
})

async function play(
  rounds: readonly (readonly Event[])[],
  options: { parallelism: number; cacheBytes?: number },
  crash: boolean,
  build: Build
): Promise<void> {
  const driver = await build.drive(books(build), options)
  const model = new Model()
  for (const round of rounds) {
    const expected = round.flatMap(each => model.handle(each) ?? [])
    driver.events.push(...round)
    await driver.settle()
    const found = driver.out.take()
    const keyOf = (line: string): string => line.slice(0, line.indexOf(':'))
    const byKey = (lines: readonly string[]): string =>
      [...lines].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) === keyOf(b) ? 0 : 1)).join('\n')
    if (byKey(found) !== byKey(expected)) throw new Error(`came out:\n${byKey(found)}\nexpected:\n${byKey(expected)}`)
    if (crash) await driver.crash()
  }
}

/** Throws when a durable map holds what a plain one would not. */
async function checkMaps(
  cacheBytes: number | undefined,
  build: Build = { drive, job, Book },
  runs: { numRuns: number; endOnFailure?: true } = { numRuns: 120 }
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(event, { maxLength: 12 }), { minLength: 1, maxLength: 5 }),
      fc.constantFrom(1, 3),
      fc.boolean(),
      (rounds, parallelism, crash) =>
        play(rounds, { parallelism, ...(cacheBytes === undefined ? {} : { cacheBytes }) }, crash, build)
    ),
    runs
  )
}

for (const cacheBytes of [undefined, 1])
  void t.test(
    `durable maps hold what plain maps would, ${cacheBytes === undefined ? 'in memory' : 'from a store'}`,
    async t => {
      await checkMaps(cacheBytes)
      t.pass('equal')
    }
  )

const mistakes: Mistakes = {
  'a handler that throws leaves its writes for the next': [
    'for (const backend of this.backends.get(entry) ?? []) backend.journal.clear();',
    ''
  ],
  'an actor that is forgotten leaves its entries in the store': ['cleared: true, values', 'cleared: false, values'],
  'what is not in the store yet is not listed': [
    'else if (last === undefined || compareMapKeys(key, last) <= 0) found.set(key, value);',
    ''
  ]
}

testMistakes('plain maps show when', 'runtime/core/map-state.js', mistakes, async (t, load) => {
  const actors = await load<{ job: typeof job; durableMap: typeof durableMap }>('actors/index.js')
  class PlantedBook extends Book {
    override lines = actors.durableMap<string | number, { n: number }>()
    override other = actors.durableMap<string, number>()
  }
  const { drive } = await load<Pick<Build, 'drive'>>('simulations/driver/index.js')
  await t.rejects(checkMaps(1, { drive, job: actors.job, Book: PlantedBook }, { numRuns: 1000, endOnFailure: true }), {
    cause: { message: /^came out/ }
  })
})

void t.test('an entry of a map with a time to live is gone when its time is over', async t => {
  class Cache extends Actor {
    seen = durableMap<string, number>({ ttl: '1m' })
    receive(event: { key: string }, ctx: Context<string>): void {
      ctx.emit(this.seen.has(event.key) ? 'known' : 'new')
      this.seen.set(event.key, 1)
    }
  }
  const driver = await drive(
    job('cache', j => {
      const events = j.source(
        'events',
        generator({ count: 1 }, () => ({ key: '' }))
      )
      return {
        events,
        out: events
          .keyBy(() => 'one')
          .actor(Cache)
          .to('out', files('unused', json<string>()))
      }
    })
  )
  driver.events.push({ key: 'a' })
  await driver.settle()
  await driver.advance('59s')
  driver.events.push({ key: 'a' })
  await driver.settle()
  await driver.advance('61s')
  driver.events.push({ key: 'a' })
  await driver.settle()
  t.same(driver.out.take(), ['new', 'known', 'new'])
})
