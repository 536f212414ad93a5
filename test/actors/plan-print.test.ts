import t from 'tap'
import { Actor, count, files, generator, job, json, output, tumbling, type Context } from '../../actors/index.ts'
import { describePlan, diffPlans, planMermaid, planText } from '../../actors/plan-print.ts'
import type { JobOptions } from '../../actors/plan.ts'

interface Event {
  user: string
}
class Total extends Actor {
  sum = 0
  receive(_message: { n: number }, _ctx: Context): void {}
}
class Visitor extends Actor {
  static outputs = { odd: output<Event>() }
  static ttl = { after: '1d' } as const
  visits = 0
  receive(_event: Event, _ctx: Context<Event>): void {}
}
class Wider extends Visitor {
  static actorName = 'Visitor'
  last = 0
}

const built = (actor: typeof Visitor = Visitor, options: JobOptions = {}, sink = 'out') =>
  describePlan(
    job(
      'shop',
      j => {
        const events = j.source(
          'events',
          generator<Event>({ count: 10 }, n => ({ user: `u${n}` })),
          { outOfOrder: '90s' }
        )
        const visitors = events
          .filter(event => event.user !== '')
          .keyBy(event => event.user)
          .actor(actor, { name: 'Visitor', sends: [Total] })
        const minutes = visitors
          .keyBy(event => event.user)
          .window(tumbling('1m'), { name: 'minutes' })
          .aggregate({ n: count() })
        return {
          events,
          total: j.actor(Total),
          odd: visitors.output('odd').to('odd', files('odd', json<Event>())),
          out: minutes.to(sink, files('out', json()))
        }
      },
      options
    ).plan
  )

void t.test('a plan names every source, stage, sink and way between them, and the same plan gives the same text', t => {
  const plan = built()
  t.same(plan, built())
  const text = planText(plan)
  for (const line of [
    /^job shop · parallelism 1 · checkpoint every 1s · 1920 key groups · 8 slots$/m,
    /^source events · generator of 10 in 1 partition · out of order 90s · idle after 30s · onError fail$/m,
    /^ {2}main → filter → keyBy → stage Visitor$/m,
    /^stage Visitor · actor Visitor version 1 · fields visits · onError fail · forgotten 1d since last-event \(event time\)$/m,
    /^ {2}odd → sink odd \(exactly-once\) folder odd$/m,
    /^ {2}sends → stage Total$/m,
    /^stage minutes · tumbling.*$/m,
    /^dead letters → topic shop-dead-letters$/m
  ])
    t.match(text, line)
  t.equal(planText(JSON.parse(JSON.stringify(plan)) as typeof plan), text, 'JSON holds all of it')
  const mermaid = planMermaid(plan)
  t.match(mermaid, /^flowchart LR\n/)
  for (const edge of plan.edges) t.ok(edge.to !== '')
  t.equal(mermaid.split('\n').filter(line => /-->|-\.->/.test(line)).length, plan.edges.length)
  t.end()
})

class Left extends Actor {
  receive(_event: Event, _ctx: Context): void {}
}
class Right extends Actor {
  receive(_event: Event, _ctx: Context): void {}
}

void t.test('what closes a loop is marked', t => {
  const plan = describePlan(
    job('loop', j => {
      const events = j.source(
        'events',
        generator<Event>({ count: 10 }, n => ({ user: `u${n}` }))
      )
      events.keyBy(event => event.user).actor(Left, { sends: [Left, Right] })
      j.actor(Right, { sends: [Left, Total] })
      j.actor(Total)
      return { events }
    }).plan
  )
  t.same(
    plan.edges.map(({ from, to, back }) => `${from} ${to}${back === true ? ' back' : ''}`),
    ['events Left', 'Left Left back', 'Left Right', 'Right Left back', 'Right Total']
  )
  t.match(planText(plan), /^ {2}sends → stage Left \(back: closes a loop\)$/m)
  t.match(planMermaid(plan), /n2 -\.->\|"send, back"\| n1/)
  t.end()
})

void t.test('every difference is one sentence, and equal plans have none', t => {
  t.same(diffPlans(built(), built()), [])
  t.same(diffPlans(built(), built(Wider)), ['stage Visitor: field last added'])
  t.same(diffPlans(built(Wider), built()), ['stage Visitor: field last removed'])
  t.same(diffPlans(built(), built(Visitor, { parallelism: 3, interval: '100ms' })), [
    'parallelism: 1 → 3',
    'interval: 1s → 100ms'
  ])
  const adaptive = built(Visitor, { interval: { latency: '300ms' } })
  t.same(diffPlans(built(), adaptive), ['interval: 1s → for a latency of 300ms (share 0.1)'])
  t.match(planText(adaptive), ' · checkpoint for a latency of 300ms (share 0.1) · ')
  t.match(planText(built()), ' · checkpoint every 1s · ')
  t.same(diffPlans(built(), built(Visitor, {}, 'results')), [
    'sink out removed',
    'sink results added',
    'flow removed: minutes.main → out',
    'flow added: minutes.main → results'
  ])
  t.end()
})
