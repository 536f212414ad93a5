/** The rules of `ControlBus` while nothing goes wrong, and what is left of them when the bus is away; for every implementation. */
import type { Test } from 'tap'
import type { ControlBus } from '../../../runtime/ports/control-bus.ts'

export interface ControlBusSubject {
  /** Of another process. */
  open(): Promise<ControlBus>
  /** Made-up or real. */
  sleep(ms: number): Promise<void>
  readonly leaseTtlMs: number
  /** The bus is away. Returns what brings it back. */
  outage?(): () => void
  /** Runs the work to its end; made-up time passes only in here. */
  run<T>(work: () => Promise<T>): Promise<T>
}
/** Made anew for each test. */
export type MakeControlBus = (t: Test) => Promise<ControlBusSubject>

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: Uint8Array): string => new TextDecoder().decode(read)

/** What finds out whether the bus knows that somebody listens. */
const probe = '?'

class Ear {
  probed = false
  readonly heard: string[] = []
  readonly end: () => void
  private changed: () => void = () => undefined

  constructor(bus: ControlBus, subject: string) {
    this.end = bus.subscribe(subject, message => {
      const text = textOf(message)
      if (text === probe) this.probed = true
      else this.heard.push(text)
      message.fill(0)
      this.changed()
    })
  }
  async hears(text: string): Promise<void> {
    while (!this.heard.includes(text)) await new Promise<void>(resolve => (this.changed = resolve))
  }
}

/** Listens, and returns once the bus knows. */
async function listening(subject: ControlBusSubject, bus: ControlBus, name: string): Promise<Ear> {
  const ear = new Ear(bus, name)
  for (let i = 0; !ear.probed; i++) {
    if (i === 500) throw new Error(`nothing is heard of ${name}`)
    bus.publish(name, bytes(probe))
    await subject.sleep(20)
  }
  return ear
}

type Rule = (name: string, work: (t: Test, subject: ControlBusSubject) => Promise<void>) => Promise<unknown>

export async function testControlBus(t: Test, make: MakeControlBus): Promise<void> {
  const rule: Rule = (name, work) =>
    t.test(name, async t => {
      const subject = await make(t)
      await subject.run(() => work(t, subject))
    })
  await testMessages(rule)
  await testLeases(rule)
  await testAbsence(rule)
}

async function testMessages(rule: Rule): Promise<void> {
  await rule(
    'a message reaches all that listen to its subject, the sender included, and no others',
    async (t, subject) => {
      const [one, other] = [await subject.open(), await subject.open()]
      const mine = await listening(subject, one, 'job.a')
      const theirs = await listening(subject, other, 'job.a')
      const second = await listening(subject, other, 'job.a')
      const stranger = await listening(subject, other, 'job.ab')
      const message = bytes('hello')
      one.publish('job.a', message)
      message.fill(0)
      one.publish('job.ab', bytes('end'))
      await Promise.all([mine.hears('hello'), theirs.hears('hello'), second.hears('hello'), stranger.hears('end')])
      t.same([mine.heard, theirs.heard, second.heard], [['hello'], ['hello'], ['hello']])
      t.same(stranger.heard, ['end'])
      t.ok(one.connected && other.connected)
    }
  )

  await rule('messages of one process arrive in order, once each', async (t, subject) => {
    const [one, other] = [await subject.open(), await subject.open()]
    const ear = await listening(subject, other, 'job.a')
    for (let i = 0; i < 100; i++) one.publish('job.a', bytes(`${i}`))
    await ear.hears('99')
    t.same(
      ear.heard,
      Array.from({ length: 100 }, (_, i) => `${i}`)
    )
  })

  await rule('nothing that was said before listening is heard, nothing after its end', async (t, subject) => {
    const bus = await subject.open()
    const last = await listening(subject, bus, 'job.last')
    bus.publish('job.a', bytes('before'))
    bus.publish('job.last', bytes('1'))
    await last.hears('1')
    const ear = await listening(subject, bus, 'job.a')
    bus.publish('job.a', bytes('heard'))
    await ear.hears('heard')
    ear.end()
    ear.end()
    bus.publish('job.a', bytes('after'))
    bus.publish('job.last', bytes('2'))
    await last.hears('2')
    t.same(ear.heard, ['heard'])
  })
}

async function testLeases(rule: Rule): Promise<void> {
  await rule('a lease is written by whoever knows its revision', async (t, subject) => {
    const [one, other] = [(await subject.open()).leases, (await subject.open()).leases]
    t.equal(await one.get('leader'), undefined)
    const value = bytes('w1')
    const first = await one.put('leader', value, undefined)
    value.fill(0)
    if (first === 'conflict') throw new Error('nobody else writes')
    const read = await other.get('leader')
    t.equal(read?.revision, first.revision)
    t.equal(textOf(read?.value ?? bytes('')), 'w1')
    t.equal(await other.put('leader', bytes('w2'), undefined), 'conflict', 'it is there')
    t.equal(await other.put('leader', bytes('w2'), first.revision + 1), 'conflict')
    t.equal(textOf((await other.get('leader'))?.value ?? bytes('')), 'w1')
    const second = await one.put('leader', bytes('w1 again'), first.revision)
    if (second === 'conflict') throw new Error('nobody else writes')
    t.ok(second.revision > first.revision)
    t.equal(await other.put('leader', bytes('w2'), first.revision), 'conflict', 'an old revision is none')
    t.equal(await other.get('follower'), undefined, 'keys are apart')
    t.not(await other.put('follower', bytes('w2'), undefined), 'conflict')
  })

  await rule('of many who take a free lease at once, one has it', async (t, subject) => {
    const all = await Promise.all(Array.from({ length: 5 }, () => subject.open()))
    const told = await Promise.all(all.map(({ leases }, i) => leases.put('leader', bytes(`w${i}`), undefined)))
    t.equal(told.filter(each => each !== 'conflict').length, 1)
    const winner = told.findIndex(each => each !== 'conflict')
    t.equal(textOf((await all[0]?.leases.get('leader'))?.value ?? bytes('')), `w${winner}`)
  })

  await rule('a lease is removed by whoever knows its revision, and is free then', async (t, subject) => {
    const [one, other] = [(await subject.open()).leases, (await subject.open()).leases]
    const first = await one.put('leader', bytes('w1'), undefined)
    if (first === 'conflict') throw new Error('nobody else writes')
    await other.remove('leader', first.revision - 1)
    await other.remove('absent', first.revision)
    t.ok(await other.get('leader'))
    await one.remove('leader', first.revision)
    t.equal(await other.get('leader'), undefined)
    const second = await other.put('leader', bytes('w2'), undefined)
    t.ok(second !== 'conflict' && second.revision > first.revision, 'revisions grow over a removal')
    t.equal(await one.put('leader', bytes('w1'), first.revision), 'conflict')
  })

  await rule('a lease that is written in time stays; one that is not vanishes', async (t, subject) => {
    const [one, other] = [(await subject.open()).leases, (await subject.open()).leases]
    let revision: number | undefined
    for (let i = 0; i < 5; i++) {
      const told = await one.put('leader', bytes(`${i}`), revision)
      if (told === 'conflict') throw new Error(`gone after ${i} times`)
      revision = told.revision
      await subject.sleep(subject.leaseTtlMs / 2)
    }
    t.ok(await other.get('leader'))
    for (let i = 0; i < 40 && (await other.get('leader')) !== undefined; i++)
      await subject.sleep(subject.leaseTtlMs / 10)
    t.equal(await other.get('leader'), undefined)
    t.not(await other.put('leader', bytes('w2'), undefined), 'conflict')
  })
}

async function testAbsence(rule: Rule): Promise<void> {
  await rule(
    'after its end a bus says nothing, tells nothing, and is closed again without harm',
    async (t, subject) => {
      const [one, other] = [await subject.open(), await subject.open()]
      const mine = await listening(subject, one, 'job.a')
      const theirs = await listening(subject, other, 'job.a')
      await one.close()
      await one.close()
      one.publish('job.a', bytes('from the grave'))
      other.publish('job.a', bytes('end'))
      await theirs.hears('end')
      await other.leases.get('leader')
      t.same(theirs.heard, ['end'])
      t.same(mine.heard, [])
      t.notOk(one.connected)
    }
  )

  await rule('while the bus is away messages are lost and requests reject; then all goes on', async (t, subject) => {
    const [one, other] = [await subject.open(), await subject.open()]
    const ear = await listening(subject, other, 'job.a')
    const back = subject.outage?.()
    if (back === undefined) return
    one.publish('job.a', bytes('lost'))
    await t.rejects(one.leases.get('leader'))
    await t.rejects(one.leases.put('leader', bytes('w1'), undefined))
    while (one.connected || other.connected) await subject.sleep(20)
    one.publish('job.a', bytes('lost too'))
    back()
    while (!one.connected || !other.connected) await subject.sleep(20)
    while (!ear.heard.includes('again')) {
      one.publish('job.a', bytes('again'))
      await subject.sleep(20)
    }
    t.same(new Set(ear.heard), new Set(['again']))
    const told = await one.leases.put('leader', bytes('w1'), undefined)
    t.not(told, 'conflict')
  })
}
