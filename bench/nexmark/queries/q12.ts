/** Query 12, processing time windows: how many bids of a bidder came within 10 s of the wall clock. */
import { count, job, tumbling } from 'cairn'
import { events, isBid, results } from '../events.ts'
import { inputs } from '../inputs.ts'

export interface Row {
  readonly bidder: number
  readonly bid_count: number
  readonly starttime: number
  readonly endtime: number
}

export default job('nexmark-q12', j => ({
  counts: events(j, inputs[12])
    .filter(isBid)
    .keyBy(bid => bid.bidder)
    .window(tumbling('10s', { time: 'processing' }))
    .aggregate({ bids: count() })
    .map(({ key, bids, start, end }): Row => ({ bidder: key, bid_count: bids, starttime: start, endtime: end }))
    .to('counts', results<Row>(12))
}))
