/** Query 9, winning bids: each auction with its best bid so far. */
import { Actor, job, type Context, type Decoded } from 'cairn'
import { events, results, type Auction, type Bid, type OfKind } from '../events.ts'
import { inputs } from '../inputs.ts'

type Input = Decoded<(typeof inputs)[9]>
type Event = OfKind<Input, 'auction' | 'bid'>

type Item = Omit<Auction, 'kind'>
type Offer = Pick<Bid, 'bidder' | 'price' | 'dateTime' | 'extra'>
export interface Row extends Item {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly bid_dateTime: number
  readonly bid_extra: string
}

const matters = (event: Input): event is Event => event.kind !== 'person'

export class Winning extends Actor {
  item: Item | null = null
  best: Offer | null = null
  /** Bids that came before their auction. */
  early: Offer[] = []

  receive(event: Event, ctx: Context<Row, number>) {
    if (event.kind === 'auction') {
      const { kind: _, ...item } = event
      this.item = item
      for (const bid of this.early) this.bid(item, bid, ctx)
      this.early = []
      return
    }
    const { bidder, price, dateTime, extra } = event
    const bid = { bidder, price, dateTime, extra }
    if (this.item === null) this.early.push(bid)
    else this.bid(this.item, bid, ctx)
  }

  private bid(item: Item, bid: Offer, ctx: Context<Row, number>) {
    const { bidder, price, dateTime, extra } = bid
    if (dateTime < item.dateTime || dateTime > item.expires) return
    const { best } = this
    if (best !== null && (price < best.price || (price === best.price && dateTime >= best.dateTime))) return
    this.best = bid
    ctx.emit({ ...item, auction: item.id, bidder, price, bid_dateTime: dateTime, bid_extra: extra })
  }
}

export default job('nexmark-q9', j => ({
  items: events(j, inputs[9])
    .filter(matters)
    .keyBy(event => (event.kind === 'auction' ? event.id : event.auction))
    .actor(Winning)
    .to('items', results<Row>(9))
}))
