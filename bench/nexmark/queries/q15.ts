/** Query 15, bidding statistics: bids, bidders and auctions of each day. */
import { job, type Context } from 'cairn'
import { dayOf, events, isBid, results, type Bid, type Part } from '../events.ts'
import { inputs } from '../inputs.ts'
import { BidStatistics, type BidCounts } from './bid-statistics.ts'

export interface Row extends BidCounts {
  readonly day: string
}

export class Day extends BidStatistics {
  receive(bid: Part<Bid, 'auction' | 'bidder' | 'price'>, ctx: Context<Row>) {
    ctx.emit({ day: ctx.key, ...this.add(bid) })
  }
}

export default job('nexmark-q15', j => ({
  days: events(j, inputs[15])
    .filter(isBid)
    .keyBy(bid => dayOf(bid.dateTime))
    .actor(Day)
    .to('days', results<Row>(15))
}))
