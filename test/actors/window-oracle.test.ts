import fc from 'fast-check'
import t from 'tap'
import type { Actor, ActorClass } from '../../actors/index.ts'
import {
  compare,
  eventTimeLife,
  planted,
  processingTimeLife,
  runOracle,
  runProduct,
  windowJob,
  type Life
} from '../support/window-runs.ts'

// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

async function agrees(life: Life): Promise<void> {
  const differences = compare(life, await runProduct(life), runOracle(life))
  if (differences.length > 0) throw new Error(differences.join('\n'))
}

void t.test('windows of event time give what their definitions give, in order, through crashes', async () => {
  await fc.assert(fc.asyncProperty(eventTimeLife, agrees), { numRuns: 300 })
})

void t.test('windows of processing time give what their definitions give', async () => {
  await fc.assert(fc.asyncProperty(processingTimeLife, agrees), { numRuns: 150 })
})

void t.test('the lives tried hold every kind of window, every firing, and late events', t => {
  const seen = new Set<string>()
  for (const life of fc.sample(eventTimeLife, { numRuns: 500, seed: 1 })) {
    const { rows, late } = runOracle(life)
    for (const row of Object.values(rows).flat()) seen.add(`${life.window.kind} ${row.split(' ')[1]}`)
    if (Object.values(late).length > 0) seen.add(`${life.window.kind} lost`)
    if (Object.values(rows).some(all => all.some(row => row.startsWith('-')))) seen.add('before 1970')
  }
  const bounded = ['tumbling', 'sliding', 'session'].flatMap(kind =>
    ['early', 'on-time', 'late', 'lost'].map(what => `${kind} ${what}`)
  )
  t.same([...seen].sort(), [...bounded, 'global early', 'global on-time', 'before 1970'].sort())
  t.end()
})

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-return, @typescript-eslint/no-unsafe-assignment -- mistakes are planted in what no application sees */
/** Replaces a method, given what it was. */
function method(name: string, plant: (was: (...rest: any[]) => any) => (this: any, ...rest: any[]) => any) {
  return (actor: ActorClass<Actor>): ActorClass<Actor> => {
    const mutant = class extends (actor as any) {} as any
    const was = mutant.prototype[name]
    if (was !== undefined) mutant.prototype[name] = plant(was)
    return mutant
  }
}
const setup = (change: (setup: any) => object) => (actor: ActorClass<Actor>) => {
  const mutant = class extends (actor as any) {} as any
  const was = Reflect.get(actor.prototype as object, 'setup')
  const changed = { ...was, ...change(was) }
  Object.defineProperty(mutant.prototype, 'setup', { get: () => changed })
  return mutant as ActorClass<Actor>
}
const late = (ctx: any, moveMs: number): any =>
  new Proxy(ctx, { get: (of, name) => (name === 'watermark' ? of.watermark + moveMs : bound(of, of[name])) })
const bound = (of: any, value: any): any => (typeof value === 'function' ? value.bind(of) : value)

const bugs: Record<string, (actor: ActorClass<Actor>) => ActorClass<Actor>> = {
  'lateness one too long': setup(was => ({ latenessMs: was.latenessMs + 1 })),
  'lateness one too short': setup(was => ({ latenessMs: Math.max(0, was.latenessMs - 1) })),
  'an event at the watermark is late': method(
    'receive',
    was =>
      function (value, ctx) {
        return was.call(this, value, late(ctx, 1))
      }
  ),
  'fires when W > end': method(
    'fire',
    was =>
      function (at, ctx) {
        if (ctx.watermark > at) was.call(this, at, ctx)
      }
  ),
  'fires twice': method(
    'fire',
    was =>
      function (at, ctx) {
        was.call(this, at, ctx)
        was.call(this, at, ctx)
      }
  ),
  'the end belongs to the window': method(
    'timeOf',
    was =>
      function (ctx) {
        return was.call(this, ctx) - 1
      }
  ),
  'sessions do not merge': method(
    'join',
    was =>
      function (start, end, purged) {
        const others = this.sessions.splice(0)
        const made = was.call(this, start, end, purged)
        this.sessions.push(...others)
        this.sessions.sort((a: any, b: any) => a.end - b.end)
        return made
      }
  ),
  'sessions that touch stay apart': method(
    'join',
    was =>
      function (start, end, purged) {
        const joined = was.call(this, start + 0.25, end - 0.25, purged)
        return joined && Object.assign(joined, { start: Math.floor(joined.start), end: Math.ceil(joined.end) })
      }
  ),
  'a merged session forgets its first part': setup(was => ({
    contents: { ...was.contents, merge: (_: unknown, b: unknown) => b }
  })),
  'late events vanish': method('late', () => () => undefined),
  'late events do not fire': method('fireAtEvent', () => () => undefined),
  'windows before 1970 are cut towards zero': method(
    'timeOf',
    was =>
      function (ctx) {
        const time = was.call(this, ctx)
        return time < 0 ? time + 1 : time
      }
  ),
  'early firings show what is new only': method(
    'settleEarly',
    was =>
      function () {
        was.call(this)
        this.panes?.clear()
      }
  ),
  'an early firing at every event but the n-th': setup(was => ({
    trigger: { ...was.trigger, every: was.trigger.every === undefined ? undefined : was.trigger.every + 1 }
  }))
}
/* eslint-enable */

for (const [name, plant] of Object.entries(bugs))
  void t.test(`the oracle catches a planted bug: ${name}`, async t => {
    const found = await fc.check(
      fc.asyncProperty(
        eventTimeLife,
        async life =>
          compare(life, await runProduct(life, planted(windowJob(life), plant)), runOracle(life)).length === 0
      ),
      { numRuns: 300, endOnFailure: true, seed: 1 }
    )
    t.ok(found.failed)
  })
