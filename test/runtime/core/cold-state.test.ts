/** Actors that leave memory and come back: the output must be that of a job whose actors all stay. */
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { planted, type Change } from '../../support/planted.ts'

t.setTimeout(120_000)

interface Event {
  readonly key: string
  readonly n: number
  readonly at: number
}

/** Counts, arms and re-arms timers, forgets itself now and then. */
class Restless extends Actor {
  count = 0
  fired: string[] = []
  receive(event: Event, ctx: Context<string>): void {
    this.count++
    ctx.timer(`t${event.n % 3}`, event.at + (event.n % 7) * 50)
    if (event.n % 5 === 0) ctx.cancel(`t${(event.n + 1) % 3}`)
    if (event.n % 4 === 0) ctx.alarm('a', ctx.now + 1000 * (event.n % 90))
    ctx.emit(`${event.key}#${this.count}`)
    if (event.n % 11 === 0) ctx.forget()
  }
  override onTimer(name: string, ctx: Context<string>): void {
    this.fired.push(name)
    if (this.fired.length > 5) this.fired.shift()
    ctx.emit(`${ctx.key} ${name}@${ctx.time} ${this.fired.join()}`)
  }
  override onAlarm(name: string, ctx: Context<string>): void {
    ctx.emit(`${ctx.key} alarm ${name} ${this.count}`)
  }
}

function restless(): ReturnType<typeof build> {
  return build()
}
function build() {
  return job('restless', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 1 }, () => ({ key: '', n: 0, at: 0 })),
      {
        time: event => event.at,
        outOfOrder: '100ms'
      }
    )
    return {
      events,
      out: events
        .keyBy(event => event.key)
        .actor(Restless)
        .to('out', files('unused', json<string>()))
    }
  })
}

async function run(
  seed: string,
  options: { parallelism: number; cacheBytes?: number; crash: boolean },
  driven: typeof drive = drive
): Promise<Map<string, string[]>> {
  const { crash, ...drives } = options
  const driver = await driven(restless(), drives)
  const random = new Prng(seed)
  const below = (n: number): number => Math.floor(random.next() * n)
  let at = 0
  const byKey = new Map<string, string[]>()
  const take = (): void => {
    for (const line of driver.out.take() as string[]) {
      const key = line.split(/[ #]/)[0] as string
      const lines = byKey.get(key)
      if (lines === undefined) byKey.set(key, [line])
      else lines.push(line)
    }
  }
  for (let round = 0; round < 12; round++) {
    const events: Event[] = []
    for (let i = 0; i < 60; i++) events.push({ key: `k${below(150)}`, n: below(1000), at: (at += below(20)) })
    driver.events.push(...events)
    await driver.settle()
    if (round % 3 === 1) await driver.advance('7s')
    if (crash && round % 4 === 2) await driver.crash()
    take()
  }
  driver.events.end()
  await driver.settle()
  take()
  return byKey
}

for (const parallelism of [1, 3])
  void t.test(`every key's output is the same whether actors leave memory or not, ${parallelism} tasks`, async t => {
    for (let seed = 0; seed < 4; seed++) {
      const expected = await run(`seed ${seed}`, { parallelism: 1, crash: false })
      t.ok(expected.size > 100)
      const cold = await run(`seed ${seed}`, { parallelism, cacheBytes: 1, crash: false })
      t.same(cold, expected, `seed ${seed}`)
      const crashed = await run(`seed ${seed}`, { parallelism, cacheBytes: 1, crash: true })
      t.same(crashed, expected, `seed ${seed}, with crashes`)
    }
  })

const mistakes: Readonly<Record<string, Change>> = {
  'it leaves memory before the store has it': [
    'runtime/core/task-state.js',
    'if (entry.dirtySequence > this.appliedSequence || entry.busy',
    'if (entry.busy'
  ],
  'its timers do not come back with it': ['runtime/core/entry.js', 'queue.arm(entry, name, at);', ''],
  'what it left in the store is not counted with the next timers': [
    'runtime/core/stored-timers.js',
    'this.nextAt[clock] = Math.min(this.nextAt[clock], at);',
    ''
  ],
  'it is forgotten in memory only': [
    'runtime/core/task-state.js',
    'sealed.writer.add(entry.keyGroup, recordKey(entry.keyBytes), undefined);',
    ''
  ]
}

for (const [name, change] of Object.entries(mistakes))
  void t.test(`an actor's output is another when ${name}`, async t => {
    const module = await planted(t, [change])<{ drive: typeof drive }>('simulations/driver/index.js')
    const expected = await run('seed 0', { parallelism: 1, crash: false }, module.drive)
    t.ok(expected.size > 100, 'nothing is wrong where all stay')
    const cold = await run('seed 0', { parallelism: 1, cacheBytes: 1, crash: false }, module.drive)
    t.notSame(cold, expected)
  })
