/**
 * A handler that throws leaves no trace: a run with events that fail is the run without them, plus their dead letters; where a
 * failure is to stop the job, it is the run up to the first of them.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Actor, durableMap, files, generator, job, json, output, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'

// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

const changes = ['number', 'text', 'big', 'date', 'bytes', 'list', 'map', 'set', 'nested', 'kind', 'stored'] as const
type Change = (typeof changes)[number]
const effects = ['emit', 'emitTo', 'send', 'timer', 'alarm', 'cancel', 'forget'] as const
/** `tell` emits all fields. */
type Effect = (typeof effects)[number] | 'tell'

interface Event {
  readonly key: string
  readonly at: number
  readonly changes: readonly Change[]
  readonly effects: readonly Effect[]
  readonly fails: 'no' | 'at once' | 'later'
}
interface Row {
  readonly key: string
  readonly what: string
}

class Heard extends Actor {
  heard: string[] = []
  receive(text: string, ctx: Context<Row>): void {
    this.heard.push(text)
    ctx.emit({ key: ctx.key, what: `heard ${this.heard.join()}` })
  }
}

class Everything extends Actor {
  static readonly outputs = { side: output<Row>() }
  number = -0
  text = ''
  big = 1n
  date = new Date(0)
  bytes = new Uint8Array(4)
  list: unknown[] = []
  map = new Map<string, { n: number[] }>()
  set = new Set<number>()
  nested = { a: { b: [{ c: 0 }] } }
  kind: unknown = undefined
  readonly stored = durableMap<string, number>()

  protected change(what: Change, n: number): void {
    switch (what) {
      case 'number':
        this.number = Object.is(this.number, -0) ? NaN : n
        return
      case 'text':
        this.text += `${n}`
        return
      case 'big':
        this.big = this.big * 3n + BigInt(n)
        return
      case 'date':
        this.date.setTime(n)
        return
      case 'bytes':
        this.bytes[n % 4] = n
        return
      case 'list':
        this.list.push({ n }, [n])
        return
      case 'map': {
        const key = `${n % 3}`
        const entry = this.map.get(key) ?? { n: [] }
        entry.n.push(n)
        this.map.set(key, entry)
        this.map.delete(`${(n + 1) % 3}`)
        return
      }
      case 'set':
        this.set.add(n)
        return
      case 'nested':
        this.nested.a.b.push({ c: n })
        ;(this.nested.a.b[0] as { c: number }).c++
        return
      case 'kind':
        this.kind = [null, n, { n }, 'text', undefined][n % 5]
        return
      case 'stored':
        this.stored.update(`${n % 3}`, was => (was ?? 0) + n)
        this.stored.delete(`${(n + 1) % 3}`)
    }
  }
  protected affect(what: Effect, n: number, ctx: Context<Row>): void {
    const name = `t${n % 3}`
    switch (what) {
      case 'emit':
        return ctx.emit({ key: ctx.key, what: `${n} ${this.text} ${this.stored.get('1')}` })
      case 'emitTo':
        return ctx.emitTo(Everything.outputs.side, { key: ctx.key, what: `${n}` })
      case 'send':
        return ctx.send(Heard, ctx.key, `${n}`)
      case 'timer':
        return ctx.timer(name, ctx.time + 7)
      case 'alarm':
        return ctx.alarm(name, ctx.now + 7)
      case 'cancel':
        return ctx.cancel(name)
      case 'forget':
        return ctx.forget()
      case 'tell': {
        const stored = ['0', '1', '2'].map(key => this.stored.get(key))
        return ctx.emit({ key: ctx.key, what: inspect({ ...this, stored }, { depth: 9, breakLength: Infinity }) })
      }
    }
  }
  private half(event: Event, ctx: Context<Row>): void {
    for (const each of event.changes) this.change(each, event.at)
    for (const each of event.effects) this.affect(each, event.at, ctx)
  }
  receive(event: Event, ctx: Context<Row>): void | Promise<void> {
    if (event.fails === 'later')
      return (async () => {
        this.half(event, ctx)
        await Promise.resolve()
        this.half(event, ctx)
        throw new Error('as planned')
      })()
    this.half(event, ctx)
    if (event.fails === 'at once') throw new Error('as planned')
  }
  override onTimer(name: string, ctx: Context<Row>): void {
    ctx.emit({ key: ctx.key, what: `timer ${name} at ${ctx.time}` })
  }
  override onAlarm(name: string, ctx: Context<Row>): void {
    ctx.emit({ key: ctx.key, what: `alarm ${name} at ${ctx.now}` })
  }
}

type Policy = 'fail' | 'dead-letter'
/** Events that fail reach no actor where `spared`. */
const everything = (onError: Policy, spared: boolean, actor: typeof Everything) =>
  job('everything', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 0 }, () => ({ key: '', at: 0, changes: [], effects: [], fails: 'no' })),
      { time: event => event.at }
    )
    const stage = events
      .filter(event => !spared || event.fails === 'no')
      .keyBy(event => event.key)
      .actor(actor, { onError, sends: [Heard], name: 'Everything' })
    return {
      events,
      rows: stage.to('rows', files('rows', json<Row>())),
      echoes: j.actor(Heard).to('echoes', files('echoes', json<Row>())),
      side: stage.output('side').to('side', files('side', json<Row>()))
    }
  })

interface Life {
  readonly crashes: boolean
  readonly cacheBytes: number
  readonly events: readonly Event[]
}
const life: fc.Arbitrary<Life> = fc.record({
  crashes: fc.boolean(),
  cacheBytes: fc.constantFrom(1, 2 ** 28),
  events: fc.array(
    fc.record({
      key: fc.constantFrom('a', 'b'),
      at: fc.nat(60),
      changes: fc.uniqueArray(fc.constantFrom(...changes), { maxLength: 4 }),
      effects: fc.uniqueArray(fc.constantFrom(...effects), { maxLength: 3 }),
      fails: fc.constantFrom('no' as const, 'no' as const, 'at once' as const, 'later' as const)
    }),
    { maxLength: 12, size: 'max' }
  )
})

interface Outcome {
  readonly rows: readonly string[]
  readonly letters: number
}

/** The outcome and, where the job stopped, what the driver refuses with when it begins again. */
async function run(
  events: readonly Event[],
  { crashes, cacheBytes }: Life,
  policy: Policy,
  { spared = false, end = true, actor = Everything } = {}
): Promise<Outcome & { readonly again: string | undefined }> {
  const d = await drive(everything(policy, spared, actor), { cacheBytes })
  let again: string | undefined
  try {
    for (const [n, event] of events.entries()) {
      d.events.push(event)
      await d.settle()
      if (crashes && n % 3 === 2) await d.crash()
      await d.advance(5)
    }
    const tell = { at: 60, changes: [], effects: ['tell'], fails: 'no' } as const
    if (end) {
      d.events.push({ key: 'a', ...tell }, { key: 'b', ...tell })
      d.events.end()
    }
    await d.settle()
  } catch (error) {
    if (policy === 'dead-letter') throw error
    again = await d.crash().then(
      () => 'nothing',
      (error: unknown) => (error as { code: string }).code
    )
  }
  const rows = [...d.rows.take(), ...d.side.take(), ...d.echoes.take()]
    // Keys have no order among each other.
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ key, what }) => `${key} ${what}`)
  return { rows, letters: d.deadLetters().length, again }
}

async function leavesNoTrace(life: Life, actor = Everything): Promise<boolean> {
  const failing = await run(life.events, life, 'dead-letter', { actor })
  const spared = await run(life.events, life, 'dead-letter', { spared: true, actor })
  return (
    isDeepStrictEqual(failing.rows, spared.rows) &&
    failing.letters === life.events.filter(event => event.fails !== 'no').length
  )
}

void t.test('an event that fails leaves its dead letter and nothing else, whatever its handler had done', async () => {
  await fc.assert(
    fc.asyncProperty(life, life => leavesNoTrace(life)),
    { numRuns: 150 }
  )
})

void t.test(
  'where a failure stops the job, nothing that its event did is published, now or after a restart',
  async () => {
    await fc.assert(
      fc.asyncProperty(life, async life => {
        const first = life.events.findIndex(event => event.fails !== 'no')
        const stopped = await run(life.events, life, 'fail')
        if (first === -1) return stopped.again === undefined
        const before = await run(life.events.slice(0, first), life, 'fail', { end: false })
        return stopped.again === 'HANDLER_FAILED' && isDeepStrictEqual(stopped.rows, before.rows)
      }),
      { numRuns: 100 }
    )
  }
)

void t.test('the comparison catches an actor that keeps something outside its fields', async t => {
  let leaked = 0
  class Leaky extends Everything {
    protected override change(what: Change, n: number): void {
      super.change(what, n)
      this.text += `${leaked++}`
    }
  }
  const found = await fc.check(
    fc.asyncProperty(life, life => {
      leaked = 0
      return leavesNoTrace(life, Leaky)
    }),
    { numRuns: 100, seed: 1, endOnFailure: true }
  )
  t.ok(found.failed)
})
