/** Query 17, auction statistics: bids and prices of each auction and day. */
import { Actor, job, type Context } from 'cairn'
import { dayOf, events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'
import { rankOf } from './bid-statistics.ts'

export interface Row {
  readonly auction: number
  readonly day: string
  readonly total_bids: number
  readonly rank1_bids: number
  readonly rank2_bids: number
  readonly rank3_bids: number
  readonly min_price: number
  readonly max_price: number
  /** Whole, as SQL averages whole numbers. */
  readonly avg_price: number
  readonly sum_price: number
}

export class AuctionDay extends Actor {
  rank1 = 0
  rank2 = 0
  rank3 = 0
  least = Infinity
  most = 0
  sum = 0

  receive({ price }: Pick<Bid, 'price'>, ctx: Context<Row, readonly [number, string]>) {
    const rank = rankOf(price)
    if (rank === 1) this.rank1++
    else if (rank === 2) this.rank2++
    else this.rank3++
    this.least = Math.min(this.least, price)
    this.most = Math.max(this.most, price)
    this.sum += price
    const [auction, day] = ctx.key
    const total = this.rank1 + this.rank2 + this.rank3
    ctx.emit({
      auction,
      day,
      total_bids: total,
      rank1_bids: this.rank1,
      rank2_bids: this.rank2,
      rank3_bids: this.rank3,
      min_price: this.least,
      max_price: this.most,
      avg_price: Math.floor(this.sum / total),
      sum_price: this.sum
    })
  }
}

export default job('nexmark-q17', j => ({
  auctions: events(j, inputs[17])
    .filter(isBid)
    .keyBy(bid => [bid.auction, dayOf(bid.dateTime)])
    .actor(AuctionDay)
    .to('auctions', results<Row>(17))
}))
