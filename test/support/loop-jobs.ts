/** Jobs with loops whose results depend neither on the order in which senders meet nor on when a checkpoint falls. */
import { Actor, files, generator, job, json, type Context } from '../../actors/index.ts'

export interface Burst {
  readonly key: string
  /** Split among the sends; what is left stays where it is. */
  readonly weight: number
  readonly depth: number
  readonly at: number
}

const source = generator<Burst>({ count: 0 }, () => ({ key: '', weight: 0, depth: 0, at: 0 }))
const rowsOf = <T>(name: string) => files(name, json<T>())

type Ctx = Context<string>
interface Part {
  readonly to: number
  readonly key: string
  readonly burst: Burst
}

/** The same at every replay: what `ctx.random()` says of this event. */
function split(burst: Burst, ctx: Ctx): { readonly kept: number; readonly parts: readonly Part[] } {
  let left = burst.weight
  const parts: Part[] = []
  for (let count = burst.depth === 0 ? 0 : Math.floor(ctx.random() * 4); count > 0; count--) {
    const weight = Math.floor(ctx.random() * left)
    left -= weight
    const key = `k${Math.floor(ctx.random() * 7)}`
    const to = Math.floor(ctx.random() * 3)
    parts.push({ to, key, burst: { key, weight, depth: burst.depth - 1, at: burst.at } })
  }
  return { kept: left, parts }
}

function send(part: Part, ctx: Ctx): void {
  if (part.to === 0) ctx.send(Plain, part.key, part.burst)
  else if (part.to === 1) ctx.send(Slow, part.key, part.burst)
  else ctx.send(Late, part.key, part.burst)
}

class Plain extends Actor {
  kept = 0
  receive(burst: Burst, ctx: Ctx): void {
    const { kept, parts } = split(burst, ctx)
    this.kept += kept
    for (const part of parts) send(part, ctx)
    ctx.emit(ctx.id)
  }
}
class Slow extends Actor {
  kept = 0
  async receive(burst: Burst, ctx: Ctx): Promise<void> {
    const { kept, parts } = split(burst, ctx)
    for (let turns = Math.floor(ctx.random() * 3); turns > 0; turns--) await Promise.resolve()
    this.kept += kept
    for (const part of parts) send(part, ctx)
    ctx.emit(ctx.id)
  }
}
/** Keeps what it would send until a timer of its own. */
class Late extends Actor {
  kept = 0
  held = new Map<string, Part[]>()
  receive(burst: Burst, ctx: Ctx): void {
    const { kept, parts } = split(burst, ctx)
    this.kept += kept
    ctx.emit(ctx.id)
    if (parts.length === 0) return
    this.held.set(ctx.id, [...parts])
    ctx.timer(ctx.id, burst.at + 5)
  }
  override onTimer(name: string, ctx: Ctx): void {
    for (const part of this.held.get(name) ?? []) send(part, ctx)
    this.held.delete(name)
  }
}

/** Every event is a tree of messages among three stages: at once, after a promise, after a timer. Two sources lead into the loop. */
export const trees = job('trees', j => {
  const bursts = j.source('bursts', source, { time: burst => burst.at, outOfOrder: 10 })
  const sends = [Plain, Slow, Late]
  const others = j.source('others', source, { time: burst => burst.at, outOfOrder: 10 })
  const both = bursts.union(others.filter(burst => burst.weight % 4 > 0))
  const plain = both.keyBy(burst => burst.key).actor(Plain, { sends })
  return {
    bursts,
    others,
    plain: plain.to('plain-rows', rowsOf<string>('plain')),
    slow: others
      .filter(burst => burst.weight % 4 === 0)
      .keyBy(burst => burst.key)
      .actor(Slow, { sends })
      .to('slow-rows', rowsOf<string>('slow')),
    late: j.actor(Late, { sends }).to('late-rows', rowsOf<string>('late'))
  }
})

export const weightOfState = (fields: Record<string, unknown>): number => {
  const held = fields['held'] instanceof Map ? ([...fields['held'].values()] as Part[][]).flat() : []
  return (fields['kept'] as number) + held.reduce((sum, part) => sum + part.burst.weight, 0)
}
export const weightOfMessage = (message: unknown): number => (message as Burst).weight

interface Token {
  readonly n: number
  readonly every: number
}
/** Passes tokens on for ever, at once or after a promise. */
class Circle extends Actor {
  passed = 0
  receive(token: Token, ctx: Context<Token>): void | Promise<void> {
    this.passed++
    if (token.n % 10 === 0) ctx.emit(token)
    const next = `c${(token.n * 7 + this.passed) % token.every}`
    if (token.n % 2 === 0) ctx.send(Circle, next, token)
    else return Promise.resolve().then(() => ctx.send(Circle, next, token))
  }
}
export const tokens = job('tokens', j => {
  const source = j.source(
    'tokens',
    generator<Token>({ count: 0 }, () => ({ n: 0, every: 1 }))
  )
  const circle = source.keyBy(token => `c${token.n}`).actor(Circle, { sends: [Circle] })
  return { tokens: source, circle: circle.to('circle-rows', rowsOf<Token>('circle')) }
})

export interface Splash {
  readonly depth: number
  readonly from: string
  readonly seq: number
}
/** Every message becomes two, down to some depth: one event floods the loop. Tells when messages of one sender change places. */
class Flood extends Actor {
  seen = 0
  disorder = ''
  readonly last = new Map<string, number>()
  readonly sent = new Map<string, number>()
  receive(splash: Splash, ctx: Context<number>): void {
    this.seen++
    const last = this.last.get(splash.from) ?? -1
    if (splash.from !== '' && splash.seq !== last + 1) this.disorder ||= `${splash.seq} after ${last} of ${splash.from}`
    this.last.set(splash.from, splash.seq)
    if (splash.depth === 0) return ctx.emit(1)
    for (let i = 0; i < 2; i++) {
      const key = `f${(this.seen * 5 + i) % 7}`
      const seq = this.sent.get(key) ?? 0
      this.sent.set(key, seq + 1)
      ctx.send(Flood, key, { depth: splash.depth - 1, from: String(ctx.key), seq })
    }
  }
}
export const floods = job('floods', j => {
  const source = j.source(
    'splashes',
    generator<Splash>({ count: 0 }, () => ({ depth: 0, from: '', seq: 0 }))
  )
  const flood = source.keyBy(({ seq }) => `f${seq}`).actor(Flood, { sends: [Flood] })
  return { splashes: source, flood: flood.to('leaves', rowsOf<number>('leaves')) }
})

export interface Road {
  readonly from: string
  readonly to: string
  readonly length: number
}
type Visit = { readonly kind: 'road'; readonly road: Road } | { readonly kind: 'reached'; readonly distance: number }

/** Shortest ways from `v0`, over roads that come in any order. */
class Place extends Actor {
  static outputs = {}
  distance = Infinity
  roads = new Map<string, number>()
  receive(visit: Visit, ctx: Context<never>): void {
    if (this.distance === Infinity && ctx.key === 'v0') this.distance = 0
    if (visit.kind === 'road') {
      const { to, length } = visit.road
      this.roads.set(to, Math.min(length, this.roads.get(to) ?? Infinity))
      this.tell(to, ctx)
    } else if (visit.distance < this.distance) {
      this.distance = visit.distance
      for (const to of this.roads.keys()) this.tell(to, ctx)
    }
  }
  private tell(to: string, ctx: Context<never>): void {
    const distance = this.distance + (this.roads.get(to) ?? Infinity)
    if (distance < Infinity) ctx.send(Place, to, { kind: 'reached', distance })
  }
}
export const walk = job('walk', j => {
  const roads = j.source(
    'roads',
    generator<Road>({ count: 0 }, () => ({ from: '', to: '', length: 0 }))
  )
  const places = roads
    .map((road): Visit & { from: string } => ({ kind: 'road', road, from: road.from }))
    .keyBy(visit => visit.from)
    .actor(Place, { sends: [Place] })
  return { roads, places: places.to('places-rows', rowsOf<never>('places')) }
})

interface Letter {
  readonly from: string
  readonly n: number
  readonly hops: number
}
type Wrong = { readonly key: string; readonly letter: Letter; readonly after: number }

/** Each checks that the letters of every sender come in order, and passes them on under its own name. */
abstract class Postman extends Actor {
  sent = 0
  seen = new Map<string, number>()
  delivered = 0
  protected take(letter: Letter, ctx: Context<Wrong>): Letter | undefined {
    const after = this.seen.get(letter.from) ?? 0
    if (letter.n !== after + 1) ctx.emit({ key: ctx.key, letter, after })
    this.seen.set(letter.from, letter.n)
    if (letter.hops > 0) return { from: ctx.key, n: ++this.sent, hops: letter.hops - 1 }
    this.delivered++
    return undefined
  }
}
class First extends Postman {
  receive(letter: Letter, ctx: Context<Wrong>): void {
    const next = this.take(letter, ctx)
    if (next !== undefined) ctx.send(Second, ctx.key, next)
  }
}
class Second extends Postman {
  receive(letter: Letter, ctx: Context<Wrong>): void {
    const next = this.take(letter, ctx)
    if (next !== undefined) ctx.send(Third, ctx.key, next)
  }
}
class Third extends Postman {
  receive(letter: Letter, ctx: Context<Wrong>): void {
    const next = this.take({ ...letter }, ctx)
    if (next !== undefined) ctx.send(First, ctx.key, { ...next, from: `back of ${ctx.key}` })
  }
}
/** A ring of three stages. */
export const ring = job('ring', j => {
  const letters = j.source(
    'letters',
    generator<Letter & { key: string }>({ count: 0 }, () => ({ key: '', from: '', n: 0, hops: 0 }))
  )
  const first = letters.keyBy(letter => letter.key).actor(First, { sends: [Second] })
  return {
    letters,
    first: first.to('first-rows', rowsOf<Wrong>('first')),
    second: j.actor(Second, { sends: [Third] }).to('second-rows', rowsOf<Wrong>('second')),
    third: j.actor(Third, { sends: [First] }).to('third-rows', rowsOf<Wrong>('third'))
  }
})
