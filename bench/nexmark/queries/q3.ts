/** Query 3, local item suggestion: who sells something of category 10 in Oregon, Idaho or California. */
import { Actor, job, type Context } from 'cairn'
import { events, results, type Auction, type NexmarkEvent, type Person } from '../events.ts'

export interface Row {
  readonly name: string
  readonly city: string
  readonly state: string
  readonly id: number
}

const local = new Set(['OR', 'ID', 'CA'])

const matters = (event: NexmarkEvent): event is Person | Auction =>
  event.kind === 'person' ? local.has(event.state) : event.kind === 'auction' && event.category === 10

export class Seller extends Actor {
  name = ''
  city = ''
  state = ''
  /** Auctions that came before their seller. */
  waiting: number[] = []

  receive(event: Person | Auction, ctx: Context<Row, number>) {
    if (event.kind === 'person') {
      this.name = event.name
      this.city = event.city
      this.state = event.state
      for (const id of this.waiting) ctx.emit(this.row(id))
      this.waiting = []
    } else if (this.state === '') this.waiting.push(event.id)
    else ctx.emit(this.row(event.id))
  }

  private row(id: number): Row {
    return { name: this.name, city: this.city, state: this.state, id }
  }
}

export default job('nexmark-q3', j => ({
  items: events(j)
    .filter(matters)
    .keyBy(event => (event.kind === 'person' ? event.id : event.seller))
    .actor(Seller)
    .to('items', results<Row>(3))
}))
