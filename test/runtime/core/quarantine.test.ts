/**
 * A key that fails is put aside, all others go on, and once it is released it ends as if nothing had failed: a run with a fault that is
 * corrected later is compared, key by key, with the run without it.
 */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'
import { planted, type Change } from '../../support/planted.ts'

// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

interface Event {
  readonly key: string
  readonly at: number
  readonly does: 'count' | 'timer' | 'past timer' | 'alarm' | 'cancel' | 'forget' | 'send'
  readonly fails: 'no' | 'at once' | 'later'
}
interface Row {
  readonly key: string
  readonly what: string
}

/** While it stands, events that are to fail do. */
const fault = { stands: true, timers: false }

class Heard extends Actor {
  heard: string[] = []
  receive(text: string, ctx: Context<Row>): void {
    if (fault.stands && text.endsWith('3')) throw new Error('unheard of')
    this.heard.push(text)
    ctx.emit({ key: ctx.key, what: `heard ${this.heard.join()} at ${ctx.time}` })
  }
}

class Tally extends Actor {
  static readonly ttl = { after: '60ms' } as const
  seen: number[] = []

  private handle(event: Event, ctx: Context<Row>): void {
    this.seen.push(event.at)
    const name = `t${event.at % 3}`
    if (event.does === 'timer') ctx.timer(name, ctx.time + 7)
    if (event.does === 'past timer') ctx.timer(name, ctx.time - 30)
    if (event.does === 'alarm') ctx.alarm(name, ctx.now + 7)
    if (event.does === 'cancel') ctx.cancel(name)
    if (event.does === 'forget') ctx.forget()
    if (event.does === 'send') ctx.send(Heard, ctx.key, `${event.at}`)
    ctx.emit({ key: ctx.key, what: `${ctx.id} at ${ctx.time}: ${this.seen.join()}` })
  }
  receive(event: Event, ctx: Context<Row>): void | Promise<void> {
    if (event.fails === 'later')
      return (async () => {
        this.handle(event, ctx)
        await Promise.resolve()
        if (fault.stands) throw new Error('as planned')
      })()
    this.handle(event, ctx)
    if (event.fails === 'at once' && fault.stands) throw new Error('as planned')
  }
  override onTimer(name: string, ctx: Context<Row>): void {
    this.seen.push(-ctx.time)
    ctx.emit({ key: ctx.key, what: `timer ${name} at ${ctx.time}: ${this.seen.join()}` })
    if (fault.stands && fault.timers && ctx.time % 5 === 0) throw new Error('a bad moment')
  }
  override onAlarm(name: string, ctx: Context<Row>): void {
    ctx.emit({ key: ctx.key, what: `alarm ${name}` })
  }
}

const tally = (parallelism: number) =>
  job(
    'tally',
    j => {
      const events = j.source(
        'events',
        generator<Event>({ count: 0 }, () => ({ key: '', at: 0, does: 'count', fails: 'no' })),
        { time: event => event.at, outOfOrder: '5ms' }
      )
      const stage = events
        .keyBy(event => event.key)
        .actor(Tally, { onError: 'quarantine', sends: [Heard], name: 'Tally' })
      return {
        events,
        rows: stage.to('rows', files('rows', json<Row>())),
        echoes: j.actor(Heard, { onError: 'quarantine' }).to('echoes', files('echoes', json<Row>()))
      }
    },
    { parallelism }
  )

interface Life {
  readonly crashes: boolean
  readonly cacheBytes: number
  readonly rescales: boolean
  readonly timersFail: boolean
  /** Tried in vain now and then. */
  readonly retries: boolean
  readonly events: readonly Event[]
}
const life: fc.Arbitrary<Life> = fc.record({
  crashes: fc.boolean(),
  cacheBytes: fc.constantFrom(1, 2 ** 28),
  rescales: fc.boolean(),
  timersFail: fc.boolean(),
  retries: fc.boolean(),
  events: fc.array(
    fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      at: fc.nat(120),
      does: fc.constantFrom(
        'count' as const,
        'timer' as const,
        'past timer' as const,
        'alarm' as const,
        'cancel' as const,
        'forget' as const,
        'send' as const
      ),
      fails: fc.constantFrom('no' as const, 'no' as const, 'no' as const, 'at once' as const, 'later' as const)
    }),
    { maxLength: 25, size: 'max' }
  )
})

async function run(
  life: Life,
  stands: boolean,
  driven = drive
): Promise<{ readonly rows: readonly Row[]; readonly parked: number }> {
  fault.stands = stands
  fault.timers = life.timersFail
  const d = await driven(tally(1), { cacheBytes: life.cacheBytes })
  const list = () => [Tally, Heard].flatMap(actor => d.quarantine.list(actor).map(line => ({ actor, ...line })))
  let parked = 0
  for (const [n, event] of life.events.entries()) {
    d.events.push(event)
    await d.settle()
    if (life.crashes && n % 3 === 2) await d.crash(life.rescales ? { parallelism: 1 + (n % 4) } : {})
    await d.advance(5)
    const [first] = list()
    if (life.retries && stands && first !== undefined && n % 4 === 1)
      await d.quarantine.retry(first.actor as never, first.key as never)
  }
  parked += list().length
  fault.stands = false
  for (let line = list()[0]; line !== undefined; line = list()[0]) {
    const answer = await d.quarantine.retry(line.actor as never, line.key as never)
    if (answer.outcome !== 'released') throw new Error(`not released: ${JSON.stringify(answer)}`)
  }
  if (life.crashes) await d.crash()
  for (const key of ['a', 'b', 'c']) d.events.push({ key, at: 130, does: 'count', fails: 'no' })
  d.events.end()
  await d.settle()
  const rows = [...d.rows.take(), ...d.echoes.take()]
  return { rows, parked }
}

/** Without alarms: those that a released event arms ring later, or are armed anew before they ring. */
function byKey(rows: readonly Row[]): Record<string, string[]> {
  const keys: Record<string, string[]> = {}
  for (const { key, what } of rows)
    if (!what.startsWith('alarm')) (keys[`${key} ${what.startsWith('heard') ? 'heard' : 'own'}`] ??= []).push(what)
  return keys
}

void t.test('a key that is released ends with the output of the run without the fault', async t => {
  let parked = 0
  await fc.assert(
    fc.asyncProperty(life, async life => {
      const faulty = await run(life, true)
      parked += faulty.parked
      const whole = await run(life, false)
      return isDeepStrictEqual(byKey(faulty.rows), byKey(whole.rows))
    }),
    { numRuns: 100 }
  )
  t.ok(parked > 30, `${parked} keys were parked`)
})

const [core, release] = ['runtime/core/quarantine.js', 'runtime/core/quarantine-release.js']
const mistakes: Readonly<Record<string, Change>> = {
  'what waits is kept in the wrong order': [
    core,
    'parked.items.push(item);\n        this.events',
    'parked.items.unshift(item);\n        this.events'
  ],
  'what waits is not stored': [core, 'this.write(itemKey(parked, item), parked.keyGroup, item.bytes);', ''],
  'what was handled comes back after a crash': [
    core,
    'this.write(itemKey(parked, item), parked.keyGroup, undefined);',
    ''
  ],
  'the key is parked again after a crash': [core, 'this.write(parked.recordKey, parked.keyGroup, undefined);', ''],
  'timers wait until all events were handled': [
    release,
    'event: next?.watermark ??',
    'event: next !== undefined ? -Infinity :'
  ],
  'timers fire before the event that failed': [release, 'event: first.watermark', 'event: -Infinity'],
  'timers of a parked key fire': ['runtime/core/handler-runner.js', 'held.hold(entry);', ''],
  'timers are lost with the restart': [
    'runtime/core/task-state.js',
    'this.held.hold(entry);',
    'this.timers.forget(entry);'
  ],
  'what comes meanwhile is handled at once': ['runtime/core/handler-runner.js', 'if (isHeld(entry)) {', 'if (false) {']
}
for (const [name, change] of Object.entries(mistakes))
  void t.test(`the comparison notices that ${name}`, async t => {
    const module = await planted(t, [change])<{ drive: typeof drive }>('simulations/driver/index.js')
    const found = await fc.check(
      fc.asyncProperty(life, async life => {
        const faulty = await run(life, true, module.drive)
        return isDeepStrictEqual(byKey(faulty.rows), byKey((await run(life, false)).rows))
      }),
      { numRuns: 150, seed: 1, endOnFailure: true }
    )
    t.ok(found.failed)
  })
