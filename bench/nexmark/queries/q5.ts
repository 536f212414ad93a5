/** Query 5, hot items: the auctions with the most bids in the last 10 s, every 2 s. */
import { Actor, count, job, sliding, type Context } from 'cairn'
import { events, isBid, results } from '../events.ts'
import { inputs } from '../inputs.ts'

export interface Row {
  readonly auction: number
  readonly num: number
}

/** Of one window, named by its end. */
export class Hottest extends Actor {
  num = 0
  auctions: number[] = []

  receive({ key, end, num }: { key: number; end: number; num: number }, ctx: Context<Row, number>) {
    if (this.num === 0) ctx.timer('all counted', end)
    if (num > this.num) {
      this.num = num
      this.auctions = []
    }
    if (num === this.num) this.auctions.push(key)
  }

  override onTimer(_name: string, ctx: Context<Row, number>) {
    for (const auction of this.auctions) ctx.emit({ auction, num: this.num })
    ctx.forget()
  }
}

export default job('nexmark-q5', j => ({
  hot: events(j, inputs[5])
    .filter(isBid)
    .keyBy(bid => bid.auction)
    .window(sliding('10s', '2s'))
    .aggregate({ num: count() })
    .keyBy(window => window.end)
    .actor(Hottest)
    .to('hot', results<Row>(5))
}))
