/**
 * Jobs for random lives, whose results per key depend neither on how partitions interleave nor on when a checkpoint falls: a key
 * lives in one partition, no event is late, and what timers say goes to an output of its own.
 */
import type { Job } from '../../actors/index.ts'
import {
  Actor,
  count,
  durableMap,
  files,
  generator,
  job,
  json,
  output,
  session,
  sliding,
  sum,
  type Context
} from '../../actors/index.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'

export interface Happening {
  readonly key: string
  readonly at: number
  readonly n: number
}
export interface Row {
  readonly key: string
}

const source = generator<Happening>({ count: 0 }, () => ({ key: '', at: 0, n: 0 }))
const byTime = { time: (event: Happening) => event.at, outOfOrder: 40 }
const keyOf = (event: Happening): string => event.key
const sink = (name: string) => files(name, json<Row>())

class Ringer extends Actor {
  static outputs = { rung: output<Row & { name: string; at: number; rung: number }>() }
  path = 0
  rung = 0
  set = new Map<string, number>()

  receive(event: Happening, ctx: Context<Row & { path: number }>) {
    this.path = (this.path * 31 + event.n) % 1_000_003
    this.set.set(`t${event.n}`, event.at)
    ctx.timer(`t${event.n}`, event.at + 30 + (event.n % 3) * 20)
    ctx.emit({ key: ctx.key, path: this.path })
  }
  override onTimer(name: string, ctx: Context<Row & { path: number }>) {
    this.set.delete(name)
    ctx.emitTo(Ringer.outputs.rung, { key: ctx.key, name, at: ctx.time, rung: ++this.rung })
    if (this.rung % 7 === 0) ctx.timer('again', ctx.time + 1)
  }
}

const timersAndWindows = job('timers-and-windows', j => {
  const events = j.source('events', source, byTime)
  const keyed = events.keyBy(keyOf)
  const ringers = keyed.actor(Ringer)
  return {
    events,
    paths: ringers.to('paths', sink('paths')),
    rung: ringers.output('rung').to('rung', sink('rung')),
    slides: keyed
      .window(sliding(60, 20), { name: 'slide' })
      .aggregate({ events: count(), sum: sum((event: Happening) => event.n) })
      .to('slides', sink('slides')),
    spells: keyed
      .window(session(25), { name: 'spell' })
      .collect((list, { key, start, end }) => ({ key, start, end, ns: list.map(({ n }) => n) }))
      .to('spells', sink('spells'))
  }
})

class Sender extends Actor {
  sent = 0
  async receive(event: Happening, ctx: Context<never>) {
    await Promise.resolve()
    this.sent++
    ctx.send(Keeper, `shelf ${event.n % 4}`, { from: ctx.key, n: event.n })
  }
}
class Keeper extends Actor {
  things = 0
  shelf = durableMap<string, number[]>()
  receive({ from, n }: { from: string; n: number }, ctx: Context<Row & { list: number[] }>) {
    this.things++
    const list = [...(this.shelf.get(from) ?? []), n].slice(-5)
    this.shelf.set(from, list)
    if (n % 11 === 0) this.shelf.delete(from)
    ctx.emit({ key: `${ctx.key} of ${from}`, list })
  }
}

const sendsAndMaps = job('sends-and-maps', j => {
  const events = j.source('events', source, byTime)
  return {
    events,
    sent: events
      .keyBy(keyOf)
      .actor(Sender, { sends: [Keeper] })
      .to('sent', files('sent', json())),
    kept: j.actor(Keeper).to('kept', sink('kept'))
  }
})

class Fleeting extends Actor {
  n = 0
  receive(event: Happening, ctx: Context<Row & { n: number; of: number }>) {
    if (event.n % 13 === 5) throw new Error(`event ${event.n} is refused`)
    ctx.emit({ key: ctx.key, n: ++this.n, of: event.n })
    if (event.n % 9 === 0) ctx.forget()
  }
}

const severalSources = job('several-sources', j => {
  const events = j.source('events', source, { ...byTime, idleAfter: 50 })
  const others = j.source('others', source, { ...byTime, idleAfter: 100 })
  const both = events.union(others.map(event => ({ ...event, key: `${event.key}*` })))
  const keyed = both.keyBy(keyOf)
  return {
    events,
    others,
    plain: both.filter(event => event.n % 3 === 0).to('plain', sink('plain')),
    fleeting: keyed.actor(Fleeting, { onError: 'dead-letter' }).to('fleeting-rows', sink('fleeting')),
    counts: keyed
      .window(sliding(50, 25), { name: 'counted' })
      .aggregate({ events: count() })
      .to('counts', sink('counts')),
    once: events
      .map(event => ({ ...event, key: `${event.key}/${event.n % 10}` }))
      .dedupe({ id: keyOf, within: 100_000 })
      .to('once', sink('once'))
  }
})

export const lifeJobs: readonly Job<unknown>[] = [timersAndWindows, sendsAndMaps, severalSources]

export type Feed = Readonly<Record<string, readonly (readonly Happening[])[]>>

export function sourcesOf(job: Job<unknown>): string[] {
  return job.plan.nodes.flatMap(node => (node.kind === 'source' ? [node.name] : []))
}

/** For each source, for each of its partitions: what happens, out of order by less than the sources allow. */
export function randomFeed(job: Job<unknown>, random: Prng, partitions: number, events: number): Feed {
  return Object.fromEntries(
    sourcesOf(job).map(name => [
      name,
      Array.from({ length: partitions }, (_, partition) => {
        let at = 1000
        return Array.from({ length: random.int(events + 1) }, (_, n): Happening => {
          at += random.int(8) === 0 ? 60 : random.int(8)
          return { key: `${partition}${'abcdef'[random.int(6)]}`, at: at - random.int(40), n }
        })
      })
    ])
  )
}
