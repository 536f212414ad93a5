/** Query 1, currency conversion: bids in euros. */
import { job } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

export type Row = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'extra'>

/** 0.908 × price, exactly: whole thousandths. */
export const inEuros = (price: number): number => (price * 908) / 1000

export default job('nexmark-q1', j => ({
  bids: events(j, inputs[1])
    .filter(isBid)
    .map(({ auction, bidder, price, dateTime, extra }): Row => ({
      auction,
      bidder,
      price: inEuros(price),
      dateTime,
      extra
    }))
    .to('bids', results<Row>(1))
}))
