/** Query 4, average price for a category: the mean of what its auctions went for, so far. */
import { Actor, job, type Context, type Decoded } from 'cairn'
import { events, results, type OfKind } from '../events.ts'
import { inputs } from '../inputs.ts'

type Input = Decoded<(typeof inputs)[4]>
type Event = OfKind<Input, 'auction' | 'bid'>

export interface Row {
  readonly category: number
  /** Whole, as SQL averages whole numbers. */
  readonly average: number
}

const matters = (event: Input): event is Event => event.kind !== 'person'

/** The highest bid while the auction runs. */
export class Item extends Actor {
  category = 0
  start = 0
  end = 0
  highest = 0
  /** Bids that came before their auction. */
  early: { price: number; dateTime: number }[] = []

  receive(event: Event, ctx: Context<never, number>) {
    if (event.kind === 'auction') {
      this.category = event.category
      this.start = event.dateTime
      this.end = event.expires
      for (const bid of this.early) this.bid(bid, ctx)
      this.early = []
    } else if (this.category === 0) this.early.push({ price: event.price, dateTime: event.dateTime })
    else this.bid(event, ctx)
  }

  private bid({ price, dateTime }: { price: number; dateTime: number }, ctx: Context<never, number>) {
    if (price <= this.highest || dateTime < this.start || dateTime > this.end) return
    ctx.send(Category, this.category, { before: this.highest, now: price })
    this.highest = price
  }
}

export class Category extends Actor {
  sum = 0
  items = 0

  receive({ before, now }: { before: number; now: number }, ctx: Context<Row, number>) {
    this.sum += now - before
    if (before === 0) this.items++
    ctx.emit({ category: ctx.key, average: Math.floor(this.sum / this.items) })
  }
}

export default job('nexmark-q4', j => {
  events(j, inputs[4])
    .filter(matters)
    .keyBy(event => (event.kind === 'auction' ? event.id : event.auction))
    .actor(Item, { sends: [Category] })
  return { averages: j.actor(Category).to('averages', results<Row>(4)) }
})
