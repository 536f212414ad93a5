/** Query 16, channel statistics: bids, bidders and auctions of each channel and day, and the last minute with a bid. */
import { job, type Context } from 'cairn'
import { dayOf, events, isBid, results, textOf, type Bid, type Part } from '../events.ts'
import { inputs } from '../inputs.ts'
import { BidStatistics, type BidCounts } from './bid-statistics.ts'

export interface Row extends BidCounts {
  readonly channel: string
  readonly day: string
  readonly minute: string
}

const minuteOf = (time: number): string => textOf(time).slice(11, 16)

export class Channel extends BidStatistics {
  /** Its last bid, ms since 1970. */
  newest = -Infinity

  receive(bid: Part<Bid, 'auction' | 'bidder' | 'price' | 'channel'>, ctx: Context<Row, readonly [string, string]>) {
    const [channel, day] = ctx.key
    this.newest = Math.max(this.newest, bid.dateTime)
    ctx.emit({ channel, day, minute: minuteOf(this.newest), ...this.add(bid) })
  }
}

export default job('nexmark-q16', j => ({
  channels: events(j, inputs[16])
    .filter(isBid)
    .keyBy(bid => [bid.channel, dayOf(bid.dateTime)])
    .actor(Channel)
    .to('channels', results<Row>(16))
}))
