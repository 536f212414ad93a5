/** Query 7, highest bid: the highest bids of every 10 s. */
import { Actor, job, seconds, type Context } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

export type Row = Pick<Bid, 'auction' | 'price' | 'bidder' | 'dateTime' | 'extra'>

const size = seconds(10)

/** Of one window, named by its end. A bid at the very end sets no price, but is listed if it reaches it. */
export class Highest extends Actor {
  price = 0
  bids: Row[] = []
  atEnd: Row[] = []

  receive({ auction, price, bidder, dateTime, extra }: Row, ctx: Context<Row, number>) {
    // Fires when no bid at the end is missing any more.
    if (this.price === 0 && this.atEnd.length === 0) ctx.timer('over', ctx.key + 1)
    if (price < this.price) return
    const row = { auction, price, bidder, dateTime, extra }
    if (dateTime === ctx.key) this.atEnd.push(row)
    else if (price === this.price) this.bids.push(row)
    else {
      this.price = price
      this.bids = [row]
    }
  }

  override onTimer(_name: string, ctx: Context<Row, number>) {
    for (const bid of this.bids) ctx.emit(bid)
    for (const bid of this.atEnd) if (bid.price === this.price) ctx.emit(bid)
    ctx.forget()
  }
}

export default job('nexmark-q7', j => {
  const bids = events(j, inputs[7]).filter(isBid)
  const atEnd = bids.filter(bid => bid.dateTime % size === 0).keyBy(bid => bid.dateTime)
  const within = bids.keyBy(bid => bid.dateTime - (bid.dateTime % size) + size)
  return { highest: within.union(atEnd).actor(Highest).to('bids', results<Row>(7)) }
})
