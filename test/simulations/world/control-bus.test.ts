/** What the simulated bus does when things go wrong; what it does otherwise is told by the conformance suite. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { ControlBus } from '../../../runtime/ports/control-bus.ts'
import { SimControlBus, type BusFaults } from '../../../simulations/world/control-bus.ts'
import { SimHost } from '../../../simulations/world/process.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: { readonly value: Uint8Array } | undefined): string | undefined =>
  read === undefined ? undefined : new TextDecoder().decode(read.value)

/** Two machines; what `b` hears of subject "s". */
async function world(seed = 'bus') {
  const time = new WorldTime()
  const random = new Prng(seed)
  const server = new SimControlBus(time, random, { leaseTtlMs: 3_000 })
  const [a, b] = [new SimHost(time, 'a', random), new SimHost(time, 'b', random)]
  const [one, other] = [server.bus(a.start()), server.bus(b.start())]
  const heard: string[] = []
  other.subscribe('s', message => heard.push(new TextDecoder().decode(message)))
  await time.run({ untilMs: 100 })
  return { time, server, a, b, one, other, heard }
}

/** What arrives of 200 messages, one each millisecond. */
async function sent({ time, one, heard }: Awaited<ReturnType<typeof world>>): Promise<string[]> {
  for (let i = 0; i < 200; i++) time.schedule(i, () => one.publish('s', bytes(`${i}`)))
  await time.run({ untilMs: time.now() + 20_000 })
  return heard
}
const all = Array.from({ length: 200 }, (_, i) => `${i}`)

void t.test('messages are lost, repeated, overtaken: each by its own fault, and not after it', async t => {
  const cases: [BusFaults, (heard: string[]) => boolean][] = [
    [{ loss: 0.2 }, heard => heard.length < 180 && heard.length > 80 && new Set(heard).size === heard.length],
    [{ duplication: 0.3 }, heard => heard.length > 220 && new Set(heard).size === 200],
    [{ reorder: 0.3, reorderMs: 50 }, heard => heard.length === 200 && heard.join() !== all.join()]
  ]
  for (const [faults, expected] of cases) {
    const there = await world()
    const heal = there.server.disturb(faults)
    t.ok(expected([...(await sent(there))]), JSON.stringify(faults))
    heal()
    there.heard.length = 0
    t.same(await sent(there), all)
  }
})

void t.test('a cut of one direction stops that direction', async t => {
  const speaker = await world()
  const heal = speaker.server.cut('a', 'from-bus')
  t.same(
    await sent(speaker),
    all.filter((_, i) => i < speaker.heard.length),
    'until its loss is noticed'
  )
  t.ok(speaker.heard.length > 0)
  t.notOk(speaker.one.connected)
  heal()
  const deaf = await world()
  deaf.server.cut('b', 'from-bus')
  t.same(await sent(deaf), [])
  t.ok(deaf.server.hits.of('cut') > 0)
})

void t.test('a process that was cut off and is back hears what is said after it, not before', async t => {
  const there = await world()
  const heal = there.server.cut('b', 'both')
  await sent(there)
  t.notOk(there.other.connected)
  heal()
  there.one.publish('s', bytes('too early'))
  await there.time.run({ untilMs: there.time.now() + 5_000 })
  t.ok(there.other.connected)
  t.same(there.heard, [])
  t.same(await sent(there), all)
})

async function put(time: WorldTime, bus: ControlBus, value: string, revision?: number) {
  return time.complete(bus.leases.put('leader', bytes(value), revision))
}

void t.test('a lost answer: it was written, and who wrote it is told of no answer', async t => {
  const { time, server, one, other } = await world()
  const heal = server.disturb({ lostReply: 1 })
  await t.rejects(put(time, one, 'a'), /did not answer/)
  heal()
  t.equal(textOf(await time.complete(other.leases.get('leader'))), 'a')
  t.equal(await put(time, other, 'b'), 'conflict')
})

void t.test('stale reads tell of the past, which never comes back', async t => {
  const { time, server, one, other } = await world()
  let revision: number | undefined
  for (const value of ['1', '2', '3']) {
    const told = await put(time, one, value, revision)
    if (told !== 'conflict') revision = told.revision
  }
  const heal = server.disturb({ staleRead: 0.9 })
  const read = new Set<string | undefined>()
  for (let i = 0; i < 50; i++) read.add(textOf(await time.complete(other.leases.get('leader'))))
  t.same([...read].sort(), ['1', '2', '3', undefined])
  heal()
  t.equal(textOf(await time.complete(other.leases.get('leader'))), '3')
})

void t.test('the adversarial lease: everybody may be told that it is his', async t => {
  const { time, server, one, other } = await world()
  await put(time, one, 'a')
  server.disturb({ lie: 0.5 })
  let won = 0
  let kept = 0
  for (let i = 0; i < 40; i++) {
    if ((await put(time, other, 'b')) !== 'conflict') won++
    if (textOf(await time.complete(other.leases.get('leader'))) === 'b') kept++
  }
  t.ok(won > 5 && won < 40 && kept > 5 && kept < 40, `${won} and ${kept} of 40`)
})

void t.test('two winners of one conditional write', async t => {
  const { time, server, one, other } = await world()
  server.disturb({ doubleAccept: 1 })
  t.not(await put(time, one, 'a'), 'conflict')
  t.not(await put(time, other, 'b'), 'conflict')
})

void t.test('a wiped bus has no leases, and counts from the beginning; an outage lets them age', async t => {
  const { time, server, one } = await world()
  const first = await put(time, one, 'a')
  server.wipe()
  t.equal(await time.complete(one.leases.get('leader')), undefined)
  t.same(await put(time, one, 'a'), first)
  const back = server.outage()
  t.notOk(server.up)
  await time.run({ untilMs: time.now() + 60_000 })
  t.notOk(one.connected)
  t.equal(server.leases.peek('leader'), undefined)
  back()
  await time.run({ untilMs: time.now() + 2_000 })
  t.ok(one.connected)
})

void t.test('leases end early or late', async t => {
  for (const [faults, check] of [
    [{ earlyExpiry: 1 }, (ms: number) => ms < 3_000],
    [{ lateExpiry: 1 }, (ms: number) => ms > 3_000 && ms <= 30_000]
  ] as const) {
    const { time, server, one } = await world()
    server.disturb(faults)
    const beganMs = time.now()
    await put(time, one, 'a')
    await time.run(() => server.leases.peek('leader') === undefined)
    t.ok(check(time.now() - beganMs), `${time.now() - beganMs}`)
  }
})

void t.test('what was said to a process before it died reaches no other; a paused one hears it late', async t => {
  const { time, b, one, other, heard } = await world()
  b.process?.pause()
  one.publish('s', bytes('hello'))
  await time.run({ untilMs: time.now() + 1_000 })
  t.same(heard, [])
  b.process?.resume()
  await time.run({ untilMs: time.now() + 1_000 })
  t.same(heard, ['hello'])
  b.kill()
  one.publish('s', bytes('hello'))
  other.publish('s', bytes('from the grave'))
  await time.run({ untilMs: time.now() + 1_000 })
  t.same(heard, ['hello'])
})
