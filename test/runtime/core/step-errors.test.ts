/** What functions of the job throw behind a source: it ends the job with the place, or puts the event aside whole. */
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'

class Echo extends Actor {
  count = 0
  receive(event: { n: number }, ctx: Context<string>): void {
    ctx.emit(`${event.n}#${++this.count}`)
  }
}

/** One branch takes every event; the other throws at some. */
const branches = (onError: 'fail' | 'dead-letter') =>
  job(
    'branches',
    j => {
      const numbers = j.source(
        'numbers',
        generator({ count: 1 }, n => ({ n }))
      )
      const all = numbers.keyBy(() => 'one').actor(Echo)
      const halves = numbers.map(({ n }) => {
        if (n % 2 === 1) throw new RangeError(`${n} is odd`)
        return n / 2
      })
      return {
        numbers,
        all: all.to('all', files('unused', json<string>())),
        halves: halves.to('halves', files('unused', json<number>()))
      }
    },
    { onError }
  )

void t.test('with fail the job ends, naming source and position', async t => {
  const driver = await drive(branches('fail'))
  driver.numbers.push({ n: 2 }, { n: 3 })
  await t.rejects(driver.settle(), {
    code: 'HANDLER_FAILED',
    message: 'source "numbers", partition "0", position 1: 3 is odd'
  })
})

void t.test('with dead-letter the event is put aside whole: no branch has seen it', async t => {
  const driver = await drive(branches('dead-letter'))
  driver.numbers.push({ n: 2 }, { n: 3 }, { n: 4 })
  await driver.settle()
  await driver.crash()
  t.same(driver.halves.take(), [1, 2])
  t.same(driver.all.take(), ['2#1', '4#2'])
  t.match(driver.deadLetters(), [{ stage: 'numbers', id: 'numbers/0/1', error: '3 is odd' }])
})
