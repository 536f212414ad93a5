/** Processes: what enters them, what leaves them, and the zombie. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { worldEpochMs } from '../../../simulations/world/clock.ts'
import { SimHost, type SimHostOptions } from '../../../simulations/world/process.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

function hostAnd(options: SimHostOptions = {}): { time: WorldTime; host: SimHost } {
  const time = new WorldTime()
  return { time, host: new SimHost(time, 'w1', new Prng('test'), options) }
}

void t.test(
  'what arrives at a paused process runs upon resume, in order, promises between; at a dead one never',
  async t => {
    const { time, host } = hostAnd()
    const process = host.start()
    const ran: string[] = []
    for (const i of [1, 2, 3])
      process.after(
        i,
        () => {
          ran.push(`${i}`)
          void Promise.resolve().then(() => ran.push(`${i} settled`))
        },
        'test'
      )
    time.schedule(1.5, () => process.pause())
    time.schedule(10, () => process.resume())
    process.after(10, () => ran.push('late'), 'test')
    await time.run({ untilMs: 9 })
    t.same(ran, ['1', '1 settled'])
    t.equal(process.backlog, 2)
    await time.run({})
    t.same(ran, ['1', '1 settled', '2', '2 settled', '3', '3 settled', 'late'])

    process.after(1, () => ran.push('never'), 'test')
    process.kill()
    process.resume()
    await time.run({})
    t.equal(ran.at(-1), 'late')
    t.equal(process.state, 'dead')
    const next = host.start()
    t.equal(next.name, 'w1#2')
    t.throws(() => host.start(), TypeError)
  }
)

void t.test('a process paused again while it catches up stops there, and dies with its backlog', async t => {
  const { time, host } = hostAnd()
  const process = host.start()
  const ran: number[] = []
  process.pause()
  for (const i of [1, 2, 3]) process.after(0, () => (i === 2 && process.pause(), ran.push(i)), 'test')
  await time.run({})
  process.resume()
  await time.run({})
  t.same(ran, [1, 2])
  process.kill()
  await time.run({})
  t.same(ran, [1, 2])
})

void t.test('a timer cancelled while it is held does not run', async t => {
  const { time, host } = hostAnd()
  const process = host.start()
  let ran = false
  const cancel = process.clock.after(1, () => (ran = true))
  process.pause()
  await time.run({})
  cancel()
  process.resume()
  await time.run({})
  t.notOk(ran)
})

void t.test('a crash point: the effect is not done, or done and the process knows nothing of it', async t => {
  for (const at of ['before', 'after'] as const) {
    const { time, host } = hostAnd({ crashAt: (_, label) => (label === 'second' ? at : undefined) })
    const process = host.start()
    const done: string[] = []
    const ask = (label: string): Promise<string> =>
      process.ask<string>(label, answer => {
        done.push(label)
        answer({ value: `${label} answered` })
      })
    void (async () => {
      for (const label of ['first', 'second', 'third']) done.push(await ask(label))
    })()
    await time.run({})
    t.same(done, at === 'before' ? ['first', 'first answered'] : ['first', 'first answered', 'second'])
    t.equal(process.state, 'dead')
  }
})

void t.test('what runs belongs to the process that the event entered, across awaits', async t => {
  const { time, host } = hostAnd()
  const other = new SimHost(time, 'w2', new Prng('test')).start()
  const process = host.start()
  const seen: (string | undefined)[] = []
  const look = (): void => {
    seen.push(time.running?.name)
    void Promise.resolve().then(() => seen.push(time.running?.name))
  }
  process.after(1, look, 'test')
  time.schedule(2, look)
  other.after(3, () => other.deliver(() => seen.push('by itself'), 'test'), 'test')
  time.schedule(3, look)
  await time.run({})
  t.same(seen, ['w1#1', 'w1#1', undefined, undefined, undefined, undefined, 'by itself'])
})

void t.test('clocks differ, drift and jump; their timers do not jump', async t => {
  const { time, host } = hostAnd({ clock: { offsetMs: 500, yieldMs: 2 } })
  const { clock } = host.start()
  t.equal(clock.now(), worldEpochMs + 500)
  const healed = host.clock.drift(1.01)
  await time.run({ untilMs: 1000 })
  t.equal(clock.now(), worldEpochMs + 500 + 1010)
  let rang = 0
  clock.after(1010, () => (rang = time.now()))
  host.clock.jump(-3_600_000)
  t.equal(clock.now(), worldEpochMs + 500 + 1010 - 3_600_000)
  healed()
  await time.run({ untilMs: 3000 })
  t.equal(rang, 2000)
  t.equal(clock.now(), worldEpochMs + 500 + 1010 - 3_600_000 + 2000)
  let yielded = 0
  clock.yield(() => (yielded = time.now()))
  await time.run({})
  t.equal(yielded, 3002)
})

void t.test('a crash of the process keeps the disk, of the machine what was synced; a wiped disk is empty', async t => {
  const { time, host } = hostAnd()
  const process = host.start()
  void process.files.makeFolder('/a').then(() => process.files.writeSynced('/a/b', new Uint8Array(3)))
  await time.run({})
  host.kill()
  let wrote = false
  void process.files.remove('/a/b').then(() => (wrote = true))
  await time.run({})
  t.notOk(wrote, 'a dead process has no disk')
  const second = host.start()
  t.equal(await time.complete(second.files.size('/a/b')), 3)
  await time.complete(second.files.syncFolder('/a'))
  host.crash()
  t.notOk(host.up)
  const third = host.start()
  t.equal(await time.complete(third.files.size('/a/b')), 3)
  host.wipe()
  t.equal(third.state, 'dead')
  t.same(await time.complete(host.start().files.list('/a')), [])
})
