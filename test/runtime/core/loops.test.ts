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
