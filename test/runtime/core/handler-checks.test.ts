/** What the driver looks for besides running the job. */
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import { drive } from '../../../simulations/driver/index.ts'

interface Event {
  readonly key: string
  items: string[]
}
const build = (actor: new () => Actor & { receive(event: Event, ctx: Context<string>): void }) =>
  job('checked', j => {
    const events = j.source(
      'events',
      generator<Event>({ count: 1 }, () => ({ key: '', items: [] }))
    )
    return {
      events,
      out: events
        .keyBy(event => event.key)
        .actor(actor)
        .to('out', files('unused', json<string>()))
    }
  })

void t.test('a handler that changes its event is told so', async t => {
  class Sorter extends Actor {
    count = 0
    receive(event: Event, _ctx: Context<string>): void {
      event.items.sort()
    }
  }
  const driver = await drive(build(Sorter))
  driver.events.push({ key: 'a', items: ['b', 'a'] })
  await t.rejects(driver.settle(), { code: 'HANDLER_FAILED', message: /read only/ })
})

void t.test('state that changes between handlers is noticed', async t => {
  const shared: string[] = []
  class Leaky extends Actor {
    items: string[] = []
    receive(_event: Event, _ctx: Context<string>): void {
      this.items = shared
    }
  }
  const driver = await drive(build(Leaky))
  driver.events.push({ key: 'a', items: [] })
  await driver.settle()
  shared.push('from outside')
  driver.events.push({ key: 'a', items: [] })
  await t.rejects(driver.settle(), {
    code: 'STATE_CHANGED_OUTSIDE',
    message: 'stage "Leaky", key a: fields of Leaky changed since its last handler ended'
  })
})
