/** Query 18, last bid: of each bidder on each auction. */
import { Actor, job, type Context } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

export type Row = Omit<Bid, 'kind'>

export class LastBid extends Actor {
  bid: Row | null = null

  receive(bid: Bid, ctx: Context<Row, readonly [number, number]>) {
    if (this.bid !== null && bid.dateTime < this.bid.dateTime) return
    const { auction, bidder, price, channel, url, dateTime, extra } = bid
    this.bid = { auction, bidder, price, channel, url, dateTime, extra }
    ctx.emit(this.bid)
  }
}

export default job('nexmark-q18', j => ({
  last: events(j, inputs[18])
    .filter(isBid)
    .keyBy(bid => [bid.bidder, bid.auction])
    .actor(LastBid)
    .to('last', results<Row>(18))
}))
