/** What the types work out by themselves, to the letter. Never run: the build is the check. */
import { z } from 'zod'
import {
  Actor,
  count,
  first,
  generator,
  job,
  json,
  output,
  service,
  sliding,
  stdout,
  type Context,
  type Decoded,
  type EventOf,
  type Fields,
  type Firing,
  type KeyedStream,
  type KeyOf,
  type OutOf,
  type Source,
  type Stream
} from '../../actors/index.ts'
import {
  drive,
  invariant,
  simulationOf,
  standIn,
  type Call,
  type DrivenOutput,
  type DrivenSource
} from '../../simulations/driver/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles when `Is<Equal<A, B>>` holds. */
type Is<T extends true> = T

interface Visit {
  user: string
  at: number
}
class Visitor extends Actor {
  static readonly outputs = { big: output<{ user: string }>(), odd: output<number>() }
  visits = 0
  seen: number[] = []
  note?: string
  receive(visit: Visit, ctx: Context<{ user: string }>): void {
    this.seen.push(visit.at)
    ctx.send(Pair, [visit.user, 1], { at: visit.at })
  }
  override onTimer(_: string, ctx: Context<{ quiet: boolean }>): void {
    ctx.emit({ quiet: true })
  }
}
class Pair extends Actor {
  async receive(_: { at: number }, ctx: Context<number, readonly [string, number]>): Promise<void> {
    await Promise.resolve()
    ctx.emit(ctx.key[1])
  }
}
class Quiet extends Actor {
  receive(_: Visit): void {
    return undefined
  }
}

export type Handlers = [
  Is<Equal<EventOf<typeof Visitor>, Visit>>,
  Is<Equal<KeyOf<typeof Visitor>, string>>,
  Is<Equal<KeyOf<typeof Pair>, readonly [string, number]>>,
  Is<Equal<KeyOf<typeof Quiet>, string>>,
  Is<Equal<OutOf<typeof Visitor>, { user: string } | { quiet: boolean }>>,
  Is<Equal<OutOf<typeof Pair>, number>>,
  Is<Equal<OutOf<typeof Quiet>, never>>,
  Is<Equal<keyof Fields<Visitor>, 'visits' | 'seen' | 'note'>>
]

const Schema = z.object({ user: z.string(), at: z.number() })
const typed = json(Schema)
const declared = json.fields({
  user: 'string',
  at: 'integer',
  'note?': 'string',
  'from?': json.nullable({ id: 'number', ok: 'boolean' }),
  rest: 'json'
})
export type Codecs = [
  Is<Equal<ReturnType<typeof typed.decode>, Visit>>,
  Is<
    Equal<
      Decoded<typeof declared>,
      { user: string; at: number; rest: unknown; note?: string; from?: { id: number; ok: boolean } | null }
    >
  >
]

const visits: Source<Visit> = generator({ count: 1 }, at => ({ user: 'u', at }))
export const inferred = job('inferred', j => {
  const source = j.source('visits', visits, { time: visit => visit.at })
  const texts: Stream<string> = source.map(visit => visit.user)
  const onlyTexts: Stream<string> = source
    .map(visit => (visit.at > 3 ? visit.user : visit.at))
    .filter(each => typeof each === 'string')
  const letters: Stream<string> = texts.flatMap(text => text)
  const both: Stream<string | number> = letters.union(source.map(visit => visit.at))
  const keyed: KeyedStream<Visit, string> = source.keyBy(visit => visit.user)
  const windowed = keyed.window(sliding('1h', '5m'), { lateness: '10m' })
  const rows: Stream<{ key: string; start: number; end: number; firing: Firing; visits: number; opening: Visit }> =
    windowed.aggregate({ visits: count(), opening: first(visit => visit) })
  const firsts = windowed.collect((visits, { key, firing }) => ({ key, firing, at: visits[0]?.at }))
  const numbered: KeyedStream<Visit, number> = source.keyBy(visit => visit.at)
  const tuples: KeyedStream<Visit, readonly [string, number]> = source.keyBy(visit => [visit.user, visit.at])
  // An actor takes a wider event than the stream carries.
  const visitors = source
    .map(visit => ({ ...visit, extra: true }))
    .keyBy(visit => visit.user)
    .actor(Visitor, { sends: [Pair] })
  return {
    source,
    all: visitors.to('all', stdout()),
    big: visitors.output('big').to('big', stdout()),
    odd: visitors.output('odd'),
    pairs: j.actor(Pair),
    rows,
    firsts,
    late: firsts.late,
    unused: [onlyTexts, both, keyed, numbered, tuples].length > 0 ? letters : letters
  }
})

export async function drives(): Promise<unknown> {
  const t = await drive(inferred)
  const state = t.state(Visitor, 'u')
  const paired = t.state(Pair, ['u', 1])
  type Driven = typeof t
  type Checks = [
    Is<Equal<Driven['source'], DrivenSource<Visit>>>,
    Is<Equal<Driven['all'], DrivenOutput<{ user: string } | { quiet: boolean }>>>,
    Is<Equal<Driven['big'], DrivenOutput<{ user: string }>>>,
    Is<Equal<Driven['odd'], DrivenOutput<number>>>,
    Is<Equal<Driven['pairs'], DrivenOutput<number>>>,
    Is<Equal<Driven['firsts'], DrivenOutput<{ key: string; firing: Firing; at: number | undefined }>>>,
    Is<Equal<Driven['late'], DrivenOutput<Visit>>>,
    Is<Equal<NonNullable<typeof state>['visits'], number>>,
    Is<Equal<NonNullable<typeof state>['note'], string | undefined>>
  ]
  return [state, paired] satisfies unknown[] as unknown as Checks
}

const shop = service('shop', {
  price: (item: string, count: number): Promise<number> => Promise.resolve(item.length * count),
  close: async (): Promise<void> => Promise.resolve()
})
type Shop = typeof shop
export type Calls = [
  Is<Equal<Call<Shop>['method'], 'price' | 'close'>>,
  Is<Equal<Extract<Call<Shop>, { method: 'price' }>['args'], [item: string, count: number]>>,
  Is<Equal<Extract<Call<Shop>, { method: 'price' }>['result'], number | undefined>>,
  Is<Equal<Extract<Call<Shop>, { method: 'close' }>['args'], []>>
]
export const simulated = simulationOf(inferred, {
  events: { source: random => [{ user: `u${random.int(3)}`, at: random.next() }] },
  services: [standIn(shop, random => ({ price: (item, count) => item.length * count * random.next(), close() {} }))],
  invariants: [
    invariant('fields', Visitor, (fields, key) => {
      type Checks = [
        Is<Equal<typeof key, string>>,
        Is<Equal<typeof fields.visits, number>>,
        Is<Equal<typeof fields.note, string | undefined>>
      ]
      return [fields, key] satisfies unknown[] as unknown as Checks extends unknown[] ? true : never
    }),
    invariant('key', Pair, (_, [user, n]) => user.length < n || 'a sentence'),
    invariant('rows', inferred.handles.big, rows => rows.every(({ user }) => user !== '')),
    invariant('calls', shop, calls => calls.every(call => call.method === 'close' || call.args[1] > 0))
  ]
})
