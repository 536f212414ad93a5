/** Query 3, local item suggestion: who sells something of category 10 in Oregon, Idaho or California. */
import { Actor, job, type Context, type Decoded } from 'cairn'
import { events, results, type OfKind } from '../events.ts'
import { inputs } from '../inputs.ts'

type Input = Decoded<(typeof inputs)[3]>
type Event = OfKind<Input, 'person' | 'auction'>

export interface Row {
  readonly name: string
  readonly city: string
  readonly state: string
  readonly id: number
}

const local = new Set(['OR', 'ID', 'CA'])

const matters = (event: Input): event is Event =>
  event.kind === 'person' ? local.has(event.state) : event.kind === 'auction' && event.category === 10

export class Seller extends Actor {
  name = ''
  city = ''
  state = ''
  /** Auctions that came before their seller. */
  waiting: number[] = []

  receive(event: Event, ctx: Context<Row, number>) {
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
  items: events(j, inputs[3])
    .filter(matters)
    .keyBy(event => (event.kind === 'person' ? event.id : event.seller))
    .actor(Seller)
    .to('items', results<Row>(3))
}))
