/** A loop: places tell their neighbours how far they are from the harbour, until nobody learns of a shorter way. Then each says what it knows. */
import { Actor, files, generator, job, json, type Context } from 'cairn'

interface Road {
  from: string
  to: string
  km: number
}
interface Route {
  place: string
  km: number
  over: string
}
type News = { road: Road } | { km: number; over: string }

export class Place extends Actor {
  km = Infinity
  over = ''
  roads = new Map<string, number>()

  // An actor that sends to itself writes out what its handler returns: TypeScript cannot infer it in a circle.
  receive(news: News, ctx: Context<Route>): void {
    // Fires once, when the input has ended and no message is under way any more.
    ctx.timer('end', Infinity)
    if (ctx.key === 'harbour') this.km = 0
    if ('road' in news) {
      const { to, km } = news.road
      this.roads.set(to, Math.min(km, this.roads.get(to) ?? Infinity))
      this.tell(to, ctx)
    } else if (news.km < this.km) {
      this.km = news.km
      this.over = news.over
      for (const to of this.roads.keys()) this.tell(to, ctx)
    }
  }

  override onTimer(_end: string, ctx: Context<Route>): void {
    if (this.km < Infinity) ctx.emit({ place: ctx.key, km: this.km, over: this.over })
  }

  private tell(to: string, ctx: Context<Route>): void {
    const km = this.km + (this.roads.get(to) ?? Infinity)
    if (km < Infinity) ctx.send(Place, to, { km, over: ctx.key })
  }
}

const name = (n: number): string => (n === 0 ? 'harbour' : `place ${n}`)

export default job('routes', j => {
  const roads = j.source(
    'roads',
    generator<Road>({ count: 3000 }, n => ({
      from: name((n * 7919) % 400),
      to: name((n * n * 13 + n * 7 + 1) % 397),
      km: 1 + ((n * 31) % 90)
    }))
  )
  const places = roads
    .map(road => ({ road }))
    .keyBy(({ road }) => road.from)
    .actor(Place, { sends: [Place] })
  return { roads, routes: places.to('routes', files('.cairn/routes/routes', json<Route>())) }
})
