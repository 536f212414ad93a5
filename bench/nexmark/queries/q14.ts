/** Query 14, calculation: bids of a middling price, in euros, with the time of day and how often `c` is in `extra`. */
import { job } from 'cairn'
import { events, isBid, results, type Bid } from '../events.ts'
import { inputs } from '../inputs.ts'
import { inEuros } from './q1.ts'

export interface Row extends Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'extra'> {
  readonly bidTimeType: 'dayTime' | 'nightTime' | 'otherTime'
  readonly c_counts: number
}

function timeType(time: number): Row['bidTimeType'] {
  const hour = Math.floor(time / 3_600_000) % 24
  if (hour >= 8 && hour <= 18) return 'dayTime'
  return hour <= 6 || hour >= 20 ? 'nightTime' : 'otherTime'
}

function countOf(character: string, text: string): number {
  let count = 0
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) count++
  return count
}

export default job('nexmark-q14', j => ({
  bids: events(j, inputs[14])
    .filter(isBid)
    .filter(bid => inEuros(bid.price) > 1_000_000 && inEuros(bid.price) < 50_000_000)
    .map(({ auction, bidder, price, dateTime, extra }): Row => ({
      auction,
      bidder,
      price: inEuros(price),
      bidTimeType: timeType(dateTime),
      dateTime,
      extra,
      c_counts: countOf('c', extra)
    }))
    .to('bids', results<Row>(14))
}))
