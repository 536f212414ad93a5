/** Virtual time: order, draining, comparison of runs. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

void t.test('events run by time, then in the order in which they were scheduled', async t => {
  const time = new WorldTime()
  const random = new Prng('order')
  const expected: [number, number][] = []
  const ran: [number, number][] = []
  for (let i = 0; i < 5000; i++) {
    const at = random.int(100)
    const cancel = time.schedule(at, () => ran.push([at, i]))
    if (random.int(2) === 0) cancel()
    else expected.push([at, i])
  }
  expected.sort(([a, i], [b, j]) => a - b || i - j)
  t.equal(await time.run({}), 'idle')
  t.same(ran, expected)
  t.equal(time.events, expected.length)
})

void t.test('all promises that can settle settle before the next event, however long their chain', async t => {
  const time = new WorldTime()
  let steps = 0
  time.schedule(1, () => {
    void (async () => {
      for (let i = 0; i < 10_000; i++) {
        await Promise.resolve()
        steps++
      }
      await new Promise<void>(resolve => queueMicrotask(resolve))
      await Promise.all(Array.from({ length: 10 }, async () => await (async () => steps++)()))
    })()
  })
  let seen = 0
  time.schedule(1, () => (seen = steps))
  await time.run({})
  t.equal(seen, 10_010)
})

void t.test('a run ends at its limit and says which it was', async t => {
  const time = new WorldTime(5)
  let ticks = 0
  const tick = (): void => {
    ticks++
    time.schedule(10, tick)
  }
  tick()
  t.equal(await time.run({ untilMs: 100 }), 'time')
  t.equal(time.now(), 100)
  t.equal(ticks, 10)
  t.equal(await time.run({ events: 3 }), 'events')
  t.equal(ticks, 13)
  t.equal(await time.run(() => ticks === 20), 'until')
  t.equal(ticks, 20)
  time.schedule(1, () => {
    throw new Error('out of an event')
  })
  await t.rejects(
    time.run(() => false),
    { message: 'out of an event' }
  )
})

/** @param change makes it another run */
async function hashOf(change: (time: WorldTime) => void): Promise<string> {
  const time = new WorldTime()
  for (let i = 0; i < 50; i++) time.schedule(i % 7, () => undefined, `event ${i % 3}`, `w${i % 2}`)
  change(time)
  await time.run({})
  return time.traceHash
}

void t.test(
  'two runs have one hash exactly when the same happened at the same times, to the same, in one order',
  async t => {
    const hash = await hashOf(() => undefined)
    t.equal(await hashOf(() => undefined), hash)
    const others = [
      await hashOf(time => time.schedule(3, () => undefined, 'event 1', 'w1')),
      await hashOf(time => time.schedule(3.001, () => undefined, 'event 1', 'w1')),
      await hashOf(time => time.schedule(3, () => undefined, 'event 1', 'w0')),
      await hashOf(time => time.schedule(3, () => undefined, 'event 2', 'w1')),
      await hashOf(time => time.note('event 2', 'w1'))
    ]
    t.equal(new Set([hash, ...others]).size, 6)
    t.equal(await hashOf(time => time.schedule(3, () => undefined)()), hash, 'what was cancelled never was')
  }
)

void t.test('the trace tells each event in a line, and what is pending is told by kind', async t => {
  const time = new WorldTime()
  const lines: string[] = []
  time.trace = line => lines.push(line)
  time.schedule(1.5, () => time.note('noted', 'w2'), 'first', 'w1')
  for (const delay of [9, 7]) time.schedule(delay, () => undefined, 'second', 'w1')
  t.same(time.pending(), [
    { label: 'w1 second', count: 2, nextMs: 7 },
    { label: 'w1 first', count: 1, nextMs: 1.5 }
  ])
  await time.run({ events: 1 })
  t.same(lines, ['1.500 w1 first', '1.500 w2 noted'])
})

void t.test('time-outs that are cancelled in time do not pile up', async t => {
  const time = new WorldTime()
  let left = 50_000
  let most = 0
  const tick = (): void => {
    time.schedule(30_000, () => undefined, 'time-out')()
    most = Math.max(most, (time as unknown as { heap: unknown[] }).heap.length)
    if (--left > 0) time.schedule(1, tick)
  }
  tick()
  await time.run({})
  t.ok(most < 5000, `${most} at most`)
  t.equal(time.events, 49_999)
})
