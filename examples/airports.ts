/**
 * The demo: 20,000 real flights of 2001, in the order in which they arrived, so that more than half of them are out of order
 * by their departure. Every airport and every route is an actor; `npm start` fills the topic "flights" and runs this file.
 */
import { Actor, count, hours, files, job, json, max, mean, output, session, sliding, topic, type Context } from 'cairn'
import { z } from 'zod'

/** A line of the data set, checked. Its date is a departure in UTC, its delay minutes at arrival. */
const Flight = z.object({
  date: z.string().regex(/^\d{4}\/\d\d\/\d\d \d\d:\d\d$/),
  delay: z.int(),
  origin: z.string().length(3),
  destination: z.string().length(3)
})
export type Flight = z.infer<typeof Flight>
export type Quiet = { airport: string; since: string; flights: number; meanDelay: number; deviation: number }
export type Worst = { route: string; delay: number; flights: number; date: string }

export class Airport extends Actor {
  static outputs = { stranded: output<Flight>() }
  flights = 0
  meanDelay = 0
  squares = 0
  lastDeparture = -Infinity

  receive(flight: Flight, ctx: Context<Quiet>) {
    this.flights++
    const off = flight.delay - this.meanDelay
    this.meanDelay += off / this.flights
    this.squares += off * (flight.delay - this.meanDelay)
    this.lastDeparture = Math.max(this.lastDeparture, ctx.time)
    if (flight.delay >= 300) ctx.emitTo(Airport.outputs.stranded, flight)
    ctx.send(Route, [flight.origin, flight.destination], { delay: flight.delay, date: flight.date })
    // Set again by every departure: it rings only when there was none for twelve hours.
    ctx.timer('quiet', this.lastDeparture + hours(12))
  }

  override onTimer(_name: string, ctx: Context<Quiet>) {
    const deviation = Math.sqrt(this.squares / this.flights)
    const since = new Date(this.lastDeparture).toISOString()
    ctx.emit({ airport: ctx.key, since, flights: this.flights, meanDelay: this.meanDelay, deviation })
  }
}

/** Fed by airports only. Says when a route has a new worst delay. */
export class Route extends Actor {
  flights = 0
  worst = 60

  receive(flown: { delay: number; date: string }, ctx: Context<Worst, readonly [string, string]>) {
    this.flights++
    if (flown.delay <= this.worst) return
    this.worst = flown.delay
    ctx.emit({ route: ctx.key.join(' → '), delay: flown.delay, flights: this.flights, date: flown.date })
  }
}

const time = (flight: Flight) => Date.parse(`${flight.date.replaceAll('/', '-').replace(' ', 'T')}Z`)
const folder = '.cairn/airports/out'

export default job('airports', j => {
  const flights = j.source('flights', topic('flights', { value: json(Flight), bounded: true }), {
    time,
    outOfOrder: '1h',
    pace: '2d',
    onError: 'dead-letter'
  })
  const byOrigin = flights.keyBy(flight => flight.origin)
  const airports = byOrigin.actor(Airport, { sends: [Route] })
  const rush = byOrigin
    .window(sliding('6h', '1h'), { lateness: '1h', name: 'six-hours' })
    .aggregate({ flights: count(), meanDelay: mean((flight: Flight) => flight.delay) })
  const delays = flights
    .filter(flight => flight.delay >= 15)
    .keyBy(flight => flight.origin)
    .window(session('2h'), { name: 'delay-spells' })
    .aggregate({ flights: count(), worst: max((flight: Flight) => flight.delay) })
  return {
    flights,
    quiet: airports.to('quiet', topic('quiet', { value: json<Quiet>(), key: quiet => quiet.airport })),
    stranded: airports.output('stranded').to('stranded', files(`${folder}/stranded`, json(Flight))),
    routes: j.actor(Route).to('routes', files(`${folder}/routes`, json<Worst>())),
    rush: rush.filter(window => window.flights >= 8).to('rush', files(`${folder}/rush`, json())),
    delays: delays.filter(each => each.flights >= 3).to('delays', files(`${folder}/delays`, json())),
    late: rush.late.union(delays.late).to('late', files(`${folder}/late`, json(Flight)))
  }
})
