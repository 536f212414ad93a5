/** Query 20, expand bid with auction: bids with the auction they are for, of category 10. */
import { Actor, job, type Context, type Decoded } from 'cairn'
import { events, results, type Auction, type Bid, type OfKind } from '../events.ts'
import { inputs } from '../inputs.ts'

type Input = Decoded<(typeof inputs)[20]>
type Event = OfKind<Input, 'auction' | 'bid'>

type Item = Pick<Auction, 'itemName' | 'description' | 'initialBid' | 'reserve' | 'expires' | 'seller' | 'category'>
type Offer = Omit<Bid, 'kind'>
export interface Row extends Offer, Item {
  readonly auction_dateTime: number
  readonly auction_extra: string
}

const matters = (event: Input): event is Event => event.kind !== 'person'

export class Expanding extends Actor {
  item: Omit<Auction, 'kind' | 'id'> | null = null
  /** Bids that came before their auction. */
  early: Offer[] = []
  /** The auction is of another category. */
  other = false

  receive(event: Event, ctx: Context<Row, number>) {
    if (this.other) return
    if (event.kind === 'auction') {
      if (event.category === 10) {
        const { kind: _, id: __, ...item } = event
        this.item = item
        for (const bid of this.early) this.join(bid, ctx)
      } else this.other = true
      this.early = []
      return
    }
    const { auction, bidder, price, channel, url, dateTime, extra } = event
    const bid = { auction, bidder, price, channel, url, dateTime, extra }
    if (this.item === null) this.early.push(bid)
    else this.join(bid, ctx)
  }

  private join(bid: Offer, ctx: Context<Row, number>) {
    if (this.item === null) return
    const { dateTime, extra, ...item } = this.item
    ctx.emit({ ...bid, ...item, auction_dateTime: dateTime, auction_extra: extra })
  }
}

export default job('nexmark-q20', j => ({
  expanded: events(j, inputs[20])
    .filter(matters)
    .keyBy(event => (event.kind === 'auction' ? event.id : event.auction))
    .actor(Expanding)
    .to('expanded', results<Row>(20))
}))
