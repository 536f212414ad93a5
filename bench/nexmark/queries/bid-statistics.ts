/** What queries 15 and 16 count: bids, bidders and auctions, overall and by rank of the price. */
import { Actor, durableMap, type DurableMap } from 'cairn'
import type { Bid } from '../events.ts'

export interface BidCounts {
  readonly total_bids: number
  readonly rank1_bids: number
  readonly rank2_bids: number
  readonly rank3_bids: number
  readonly total_bidders: number
  readonly rank1_bidders: number
  readonly rank2_bidders: number
  readonly rank3_bidders: number
  readonly total_auctions: number
  readonly rank1_auctions: number
  readonly rank2_auctions: number
  readonly rank3_auctions: number
}

/** Of a price. */
export const rankOf = (price: number): 1 | 2 | 3 => (price < 10_000 ? 1 : price < 1_000_000 ? 2 : 3)

/** Four numbers: overall, and by rank. */
type ByRank = [number, number, number, number]

/**
 * Who was seen is more than one key should hold: maps whose entries are read and written one by one. An entry has a bit for "at all" and
 * one for each rank.
 */
export abstract class BidStatistics extends Actor {
  bids: ByRank = [0, 0, 0, 0]
  bidders: ByRank = [0, 0, 0, 0]
  auctions: ByRank = [0, 0, 0, 0]
  seenBidders = durableMap<number, number>()
  seenAuctions = durableMap<number, number>()

  protected add({ price, bidder, auction }: Pick<Bid, 'price' | 'bidder' | 'auction'>): BidCounts {
    const rank = rankOf(price)
    const bits = 1 | (1 << rank)
    countNew(this.bids, bits)
    countNew(this.bidders, unseen(this.seenBidders, bidder, bits))
    countNew(this.auctions, unseen(this.seenAuctions, auction, bits))
    return {
      total_bids: this.bids[0],
      rank1_bids: this.bids[1],
      rank2_bids: this.bids[2],
      rank3_bids: this.bids[3],
      total_bidders: this.bidders[0],
      rank1_bidders: this.bidders[1],
      rank2_bidders: this.bidders[2],
      rank3_bidders: this.bidders[3],
      total_auctions: this.auctions[0],
      rank1_auctions: this.auctions[1],
      rank2_auctions: this.auctions[2],
      rank3_auctions: this.auctions[3]
    }
  }
}

/** Those of the bits that are new for the id. */
function unseen(seen: DurableMap<number, number>, id: number, bits: number): number {
  const before = seen.get(id) ?? 0
  if ((before | bits) !== before) seen.set(id, before | bits)
  return bits & ~before
}

function countNew(counts: ByRank, bits: number): void {
  for (let i = 0; i < counts.length; i++) if ((bits & (1 << i)) !== 0) (counts[i] as number)++
}
