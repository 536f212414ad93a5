/** Loops of sends through `drive`: what comes out is what a loop without crashes gives. */
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'

interface Serve {
  readonly game: string
  readonly rallies: number
}

class Ping extends Actor {
  hits = 0
  receive(event: Serve, ctx: Context<{ game: string; hits: number }>): void {
    this.hits++
    if (event.rallies > 0) ctx.send(Pong, ctx.key, { game: event.game, rallies: event.rallies - 1 })
    else ctx.emit({ game: event.game, hits: this.hits })
  }
}
class Pong extends Actor {
  hits = 0
  receive(event: Serve, ctx: Context<{ game: string; hits: number }>): void {
    this.hits++
    if (event.rallies > 0) ctx.send(Ping, ctx.key, { game: event.game, rallies: event.rallies - 1 })
    else ctx.emit({ game: event.game, hits: this.hits })
  }
}
const pingPong = job('ping-pong', j => {
  const serves = j.source(
    'serves',
    generator<Serve>({ count: 0 }, () => ({ game: '', rallies: 0 }))
  )
  const pings = serves.keyBy(serve => serve.game).actor(Ping, { sends: [Pong] })
  const pongs = j.actor(Pong, { sends: [Ping] })
  return { serves, pings: pings.to('pings', files('pings', json())), pongs: pongs.to('pongs', files('pongs', json())) }
})

void t.test('two actors send to each other until one of them stops, and the job ends', async t => {
  const d = await drive(pingPong, { parallelism: 2 })
  d.serves.push({ game: 'a', rallies: 10 }, { game: 'b', rallies: 101 })
  await d.settle()
  t.same(d.pings.take(), [{ game: 'a', hits: 6 }])
  t.same(d.pongs.take(), [{ game: 'b', hits: 51 }])
  await d.crash()
  d.serves.push({ game: 'b', rallies: 2 })
  await d.settle()
  t.same(d.pings.take(), [{ game: 'b', hits: 53 }])
  d.serves.end()
  await d.settle()
  t.same([...d.pings.take(), ...d.pongs.take()], [])
})

class Countdown extends Actor {
  left: number[] = []
  receive(left: number, ctx: Context<{ key: string; left: number[] }>): void {
    this.left.push(left)
    if (left > 0) ctx.send(Countdown, ctx.key, left - 1)
    else ctx.emit({ key: ctx.key, left: this.left })
  }
}

void t.test('an actor that sends to itself', async t => {
  const counting = job('counting', j => {
    const numbers = j.source(
      'numbers',
      generator<number>({ count: 0 }, n => n)
    )
    const counted = numbers.keyBy(n => `from ${n}`).actor(Countdown, { sends: [Countdown] })
    return { numbers, counted: counted.to('counted', files('counted', json())) }
  })
  const d = await drive(counting)
  d.numbers.push(3)
  d.numbers.end()
  await d.settle()
  t.same(d.counted.take(), [{ key: 'from 3', left: [3, 2, 1, 0] }])
})

interface Try {
  readonly what: string
  readonly left: number
  readonly at: number
}
class Retrier extends Actor {
  tries = 0
  receive(event: Try, ctx: Context<never>): void {
    this.tries++
    ctx.timer(JSON.stringify(event), event.at + 60_000)
  }
  override onTimer(name: string, ctx: Context<never>): void {
    const { what, left } = JSON.parse(name) as Try
    ctx.send(Doer, what, { what, left, at: ctx.time })
  }
}
class Doer extends Actor {
  done: string[] = []
  receive(event: Try, ctx: Context<string>): void {
    if (event.left > 0) ctx.send(Retrier, ctx.key, { ...event, left: event.left - 1 })
    else ctx.emit(`${event.what} at ${event.at}`)
  }
}
const retries = job('retries', j => {
  const tries = j.source(
    'tries',
    generator<Try>({ count: 0 }, () => ({ what: '', left: 0, at: 0 })),
    {
      time: event => event.at
    }
  )
  tries.keyBy(event => event.what).actor(Retrier, { sends: [Doer] })
  return { tries, done: j.actor(Doer, { sends: [Retrier] }).to('done', files('done', json<string>())) }
})

void t.test(
  'at the end every timer in a loop fires, those armed by what the last ones sent too, then the job ends',
  async t => {
    const d = await drive(retries, { parallelism: 2 })
    d.tries.push({ what: 'a', left: 3, at: 1000 }, { what: 'b', left: 0, at: 2000 })
    await d.settle()
    t.same(d.done.take(), [])
    await d.crash()
    d.tries.push({ what: 'c', left: 0, at: 62_000 }, { what: 'd', left: 0, at: 62_001 })
    await d.settle()
    t.same(d.done.take(), ['b at 62000'], 'only what is due fires before the end')
    d.tries.end()
    await d.settle()
    t.same(d.done.take().sort(), ['a at 241000', 'c at 122000', 'd at 122001'])
  }
)

class Bouncer extends Actor {
  static ttl = { after: '1m' } as const
  bounces = 0
  receive(event: Try, ctx: Context<string>): void {
    this.bounces++
    if (event.left > 0) ctx.send(Bouncer, ctx.key, { ...event, left: event.left - 1 })
    if (event.what === 'bad' && event.left === 2) throw new Error('no further')
    ctx.emit(`${ctx.key} ${event.left} bounce ${this.bounces}`)
  }
}
const bounces = job('bounces', j => {
  const tries = j.source(
    'tries',
    generator<Try>({ count: 0 }, () => ({ what: '', left: 0, at: 0 })),
    {
      time: event => event.at
    }
  )
  const bouncers = tries.keyBy(event => event.what).actor(Bouncer, { sends: [Bouncer], onError: 'dead-letter' })
  return { tries, bounced: bouncers.to('bounced', files('bounced', json<string>())) }
})

void t.test('a handler in a loop that fails sends nothing, and its message is put aside', async t => {
  const d = await drive(bounces)
  d.tries.push({ what: 'bad', left: 4, at: 1000 }, { what: 'good', left: 1, at: 1000 })
  await d.settle()
  t.same(d.bounced.take().sort(), ['bad 3 bounce 2', 'bad 4 bounce 1', 'good 0 bounce 2', 'good 1 bounce 1'])
  const letters = d.deadLetters() as { stage: string; key: string; event: Try }[]
  t.same(
    letters.map(({ stage, key, event }) => ({ stage, key, left: event.left })),
    [{ stage: 'Bouncer', key: 'bad', left: 2 }]
  )
  await d.crash()
  d.tries.push({ what: 'good', left: 0, at: 100_000 })
  d.tries.end()
  await d.settle()
  t.same(d.bounced.take(), ['good 0 bounce 1'], 'it was forgotten meanwhile')
  t.same(d.deadLetters(), [])
})

class Ringing extends Actor {
  rung = 0
  receive(left: number, ctx: Context<string>): void {
    if (left > 0) ctx.alarm(String(left), ctx.now + 1000)
    else ctx.emit(`${ctx.key} rung ${this.rung}`)
  }
  override onAlarm(name: string, ctx: Context<string>): void {
    this.rung++
    ctx.send(Ringing, ctx.key, Number(name) - 1)
  }
}

void t.test('alarms send into a loop, until its input has ended and it has come to rest', async t => {
  const ringing = job('ringing', j => {
    const numbers = j.source(
      'numbers',
      generator<number>({ count: 0 }, n => n)
    )
    const rings = numbers.keyBy(n => `from ${n}`).actor(Ringing, { sends: [Ringing] })
    return { numbers, rings: rings.to('rings', files('rings', json<string>())) }
  })
  const d = await drive(ringing)
  d.numbers.push(2)
  await d.advance('1s')
  t.same(d.rings.take(), [])
  await d.crash()
  await d.advance('1s')
  t.same(d.rings.take(), ['from 2 rung 2'])
  d.numbers.push(7)
  d.numbers.end()
  await d.settle()
  t.same(d.rings.take(), [])
})

void t.test('a loop that nothing leads into is refused', t => {
  t.throws(
    () =>
      job('closed', j => {
        const numbers = j.source(
          'numbers',
          generator<number>({ count: 0 }, n => n)
        )
        const counted = numbers.keyBy(n => `from ${n}`).actor(Countdown, { sends: [Countdown] })
        j.actor(Ping, { sends: [Pong] })
        j.actor(Pong, { sends: [Ping] })
        return { numbers, counted }
      }),
    /stage "Ping" is fed only by a loop that nothing leads into[^]*stage "Pong" is fed only/
  )
  t.end()
})
