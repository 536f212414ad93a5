/** Query 0, pass through: what reading and writing costs. */
import { job } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

export type Row = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'extra'>

export default job('nexmark-q0', j => ({
  bids: events(j, inputs[0])
    .filter(isBid)
    .map(({ auction, bidder, price, dateTime, extra }): Row => ({ auction, bidder, price, dateTime, extra }))
    .to('bids', results<Row>(0))
}))
