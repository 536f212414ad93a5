/** Query 2, selection: bids on some of the auctions. */
import { job } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'

export type Row = Pick<Bid, 'auction' | 'price'>

export default job('nexmark-q2', j => ({
  bids: events(j, inputs[2])
    .filter(isBid)
    .filter(bid => bid.auction % 123 === 0)
    .map(({ auction, price }): Row => ({ auction, price }))
    .to('bids', results<Row>(2))
}))
