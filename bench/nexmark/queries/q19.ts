/** Query 19, auction top 10: the ten highest bids of each auction, of equal ones those that came first. */
import { Actor, job, type Context } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

type Ranked = Omit<Bid, 'kind'>
export interface Row extends Ranked {
  /** From 1. A row takes the place of the one of the same auction and rank. */
  readonly rank_number: number
}

const ranks = 10

export class Top extends Actor {
  bids: Ranked[] = []

  receive(bid: Bid, ctx: Context<Row, number>) {
    let at = this.bids.length
    while (at > 0 && (this.bids[at - 1] as Ranked).price < bid.price) at--
    if (at === ranks) return
    const { auction, bidder, price, channel, url, dateTime, extra } = bid
    this.bids.splice(at, 0, { auction, bidder, price, channel, url, dateTime, extra })
    if (this.bids.length > ranks) this.bids.pop()
    for (; at < this.bids.length; at++) ctx.emit({ ...(this.bids[at] as Ranked), rank_number: at + 1 })
  }
}

export default job('nexmark-q19', j => ({
  ranks: events(j, inputs[19])
    .filter(isBid)
    .keyBy(bid => bid.auction)
    .actor(Top)
    .to('ranks', results<Row>(19))
}))
