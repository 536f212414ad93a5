import t from 'tap'
import { Actor, files, generator, job, json, output, type Context } from '../../actors/index.ts'
import { drive } from '../../simulations/driver/index.ts'

interface Visit {
  user: string
  at: number
  bad?: boolean
}
type Report = { user: string; visits: number; why: string }

class Visitor extends Actor {
  static readonly outputs = { big: output<{ user: string }>() }
  visits = 0
  seen: number[] = []

  receive(visit: Visit, ctx: Context<Report>): void {
    this.visits++
    this.seen.push(visit.at)
    ctx.emit({ user: ctx.key, visits: this.visits, why: 'visit' })
    ctx.timer('quiet', ctx.time + 1000)
    if (this.visits > 2) ctx.emitTo(Visitor.outputs.big, { user: ctx.key })
    if (visit.bad === true) throw new Error('bad visit')
  }
  override onTimer(name: string, ctx: Context<Report>): void {
    ctx.emit({ user: ctx.key, visits: this.visits, why: `${name}@${ctx.time}` })
  }
}

const visits = (onError: 'fail' | 'dead-letter', parallelism = 1) =>
  job(
    'visits',
    j => {
      const source = j.source(
        'visits',
        generator<Visit>({ count: 0 }, () => ({ user: '', at: 0 })),
        { time: v => v.at }
      )
      const visitors = source.keyBy(v => v.user).actor(Visitor, { onError })
      return {
        visits: source,
        reports: visitors.to('reports', files('reports', json<Report>())),
        big: visitors.output('big').to('big', files('big', json<{ user: string }>()))
      }
    },
    { parallelism }
  )

for (const parallelism of [1, 3])
  void t.test(`state, timers and output survive a crash, parallelism ${parallelism}`, async t => {
    const d = await drive(visits('fail', parallelism))
    d.visits.push({ user: 'ann', at: 0 }, { user: 'bob', at: 5 }, { user: 'ann', at: 10 })
    await d.settle()
    t.same(
      d.reports
        .take()
        .filter(report => report.user === 'ann')
        .map(report => report.visits),
      [1, 2]
    )
    d.visits.push({ user: 'ann', at: 20 })
    await d.crash()
    t.same(d.state(Visitor, 'ann'), { visits: 3, seen: [0, 10, 20] })
    t.same(d.big.take(), [{ user: 'ann' }])
    t.same(d.reports.take(), [{ user: 'ann', visits: 3, why: 'visit' }])
    d.visits.watermark(1020)
    await d.settle()
    await d.crash()
    t.same(
      d.reports.take().sort((a, b) => (a.user < b.user ? -1 : 1)),
      [
        { user: 'ann', visits: 3, why: 'quiet@1020' },
        { user: 'bob', visits: 1, why: 'quiet@1005' }
      ]
    )
    t.same(d.reports.take(), [], 'nothing is published twice')
  })

void t.test('a crash may change parallelism and memory, and what has left memory can be looked at', async t => {
  const d = await drive(visits('fail', 2))
  for (const user of ['ann', 'bob', 'eve']) d.visits.push({ user, at: 0 }, { user, at: 5 })
  await d.crash({ parallelism: 3, cacheBytes: 1 })
  await d.settle()
  d.visits.push({ user: 'ann', at: 10 })
  await d.settle()
  t.same(d.state(Visitor, 'ann'), { visits: 3, seen: [0, 5, 10] })
  t.same(d.state(Visitor, 'bob'), { visits: 2, seen: [0, 5] })
  t.equal(d.state(Visitor, 'nobody'), undefined)
  await d.crash()
  t.same(d.state(Visitor, 'eve'), { visits: 2, seen: [0, 5] })
})

void t.test('a handler that throws leaves no trace but its dead letter', async t => {
  const d = await drive(visits('dead-letter'))
  d.visits.push({ user: 'ann', at: 0 }, { user: 'ann', at: 5, bad: true }, { user: 'ann', at: 10 })
  await d.settle()
  t.same(
    d.reports.take().map(report => report.visits),
    [1, 2]
  )
  t.same(d.state(Visitor, 'ann'), { visits: 2, seen: [0, 10] })
  t.match(d.deadLetters(), [{ stage: 'Visitor', key: 'ann', error: 'bad visit', event: { at: 5 } }])
})

void t.test('with onError fail the job stops and names stage, key and event', async t => {
  const d = await drive(visits('fail'))
  d.visits.push({ user: 'ann', at: 0, bad: true })
  await t.rejects(d.settle(), {
    code: 'HANDLER_FAILED',
    message: /stage "Visitor", key ann, event visits\/0\/0: bad visit/
  })
})

void t.test('the end of the input fires every timer once, then the job is finished', async t => {
  const d = await drive(visits('fail'))
  d.visits.push({ user: 'ann', at: 0 })
  d.visits.end()
  await d.settle()
  t.same(
    d.reports.take().map(report => report.why),
    ['visit', 'quiet@1000']
  )
  await d.crash()
  t.same(d.reports.take(), [])
})

class Slow extends Actor {
  total = 0
  async receive(event: { key: string; n: number }, ctx: Context<{ key: string; total: number }>): Promise<void> {
    await Promise.resolve()
    this.total = this.total * 10 + event.n
    ctx.emit({ key: ctx.key, total: this.total })
  }
}

void t.test('async handlers of one key run one at a time and in order', async t => {
  const slow = job('slow', j => {
    const source = j.source(
      'events',
      generator({ count: 0 }, () => ({ key: '', n: 0 }))
    )
    return {
      events: source,
      totals: source
        .keyBy(e => e.key)
        .actor(Slow)
        .to('totals', files('totals', json<{ key: string; total: number }>()))
    }
  })
  const d = await drive(slow)
  d.events.push({ key: 'a', n: 1 }, { key: 'a', n: 2 }, { key: 'b', n: 7 }, { key: 'a', n: 3 })
  await d.settle()
  const totals = d.totals.take()
  t.same(
    totals.filter(each => each.key === 'a').map(each => each.total),
    [1, 12, 123]
  )
  t.same(d.state(Slow, 'b'), { total: 7 })
})

void t.test('every mistake of a plan is reported at once', t => {
  t.throws(
    () =>
      job('1bad', j => {
        const source = j.source(
          'in put',
          generator({ count: 1 }, () => ({ user: 'x', at: 0 })),
          { outOfOrder: 'soon' as '1s' }
        )
        source.keyBy(v => v.user).actor(Visitor)
        source.keyBy(v => v.user).actor(Visitor)
      }),
    {
      code: 'PLAN_INVALID',
      message: /outOfOrder is "soon"[^]*job "1bad"[^]*source "in put"[^]*stage "Visitor" has the name of/
    }
  )
  t.end()
})
