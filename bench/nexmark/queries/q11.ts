/** Query 11, user sessions: how many bids a bidder makes without a pause of 10 s. */
import { count, job, session } from 'cairn'
import { events, isBid, results } from '../events.ts'
import { inputs } from '../inputs.ts'

export interface Row {
  readonly bidder: number
  readonly bid_count: number
  readonly starttime: number
  readonly endtime: number
}

export default job('nexmark-q11', j => ({
  sessions: events(j, inputs[11])
    .filter(isBid)
    .keyBy(bid => bid.bidder)
    .window(session('10s'))
    .aggregate({ bids: count() })
    .map(({ key, bids, start, end }): Row => ({ bidder: key, bid_count: bids, starttime: start, endtime: end }))
    .to('sessions', results<Row>(11))
}))
