/**
 * What each query means, over the list of all events at once and as plainly as can be: no state, no order of arrival but where a query asks
 * for it, and nothing shared with the queries. Of queries whose results are updates: what is left in the end.
 */
import type { Row } from './catalogue.ts'
import type { Auction, Bid, NexmarkEvent, Person } from './events.ts'

class Events {
  readonly people: Person[]
  readonly auctions: Auction[]
  readonly bids: Bid[]

  constructor(events: readonly NexmarkEvent[]) {
    this.people = events.filter(event => event.kind === 'person')
    this.auctions = events.filter(event => event.kind === 'auction')
    this.bids = events.filter(event => event.kind === 'bid')
  }
}

/** Lists by what `f` says of their members, in order of arrival. */
function groups<T>(list: readonly T[], f: (member: T) => string | number): Map<string | number, T[]> {
  const found = new Map<string | number, T[]>()
  for (const member of list) {
    const group = found.get(f(member))
    if (group === undefined) found.set(f(member), [member])
    else group.push(member)
  }
  return found
}

const dateTime = (time: number): string => new Date(time).toISOString()
const date = (time: number): string => dateTime(time).substring(0, 10)
const greatest = (numbers: readonly number[]): number => numbers.reduce((a, b) => (a > b ? a : b))
const least = (numbers: readonly number[]): number => numbers.reduce((a, b) => (a < b ? a : b))
const total = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const wholeMean = (numbers: readonly number[]): number => Number(BigInt(total(numbers)) / BigInt(numbers.length))

/** Bids by auction, those made while it ran. */
function validBids({ auctions, bids }: Events): { auction: Auction; bids: Bid[] }[] {
  const byAuction = groups(bids, bid => bid.auction)
  return auctions.flatMap(auction => {
    const valid = (byAuction.get(auction.id) ?? []).filter(
      bid => auction.dateTime <= bid.dateTime && bid.dateTime <= auction.expires
    )
    return valid.length === 0 ? [] : [{ auction, bids: valid }]
  })
}

function windowEnds(time: number, size: number, every: number): number[] {
  const ends: number[] = []
  for (let end = Math.ceil((time + 1) / every) * every; end - size <= time; end += every) ends.push(end)
  return ends
}

function bidCounts(bids: readonly Bid[]): Row {
  const ranks = [
    bids.filter(({ price }) => price < 10_000),
    bids.filter(({ price }) => price >= 10_000 && price < 1_000_000),
    bids.filter(({ price }) => price >= 1_000_000)
  ]
  const counts: Record<string, unknown> = {}
  for (const [name, count] of [
    ['bids', (list: readonly Bid[]) => list.length],
    ['bidders', (list: readonly Bid[]) => new Set(list.map(({ bidder }) => bidder)).size],
    ['auctions', (list: readonly Bid[]) => new Set(list.map(({ auction }) => auction)).size]
  ] as const) {
    counts[`total_${name}`] = count(bids)
    ranks.forEach((rank, i) => (counts[`rank${i + 1}_${name}`] = count(rank)))
  }
  return counts
}

const plainBid = ({ kind: _, ...bid }: Bid): Row => ({ ...bid })

const meanings: Readonly<Record<number, (events: Events) => Row[]>> = {
  0: ({ bids }) =>
    bids.map(({ auction, bidder, price, dateTime, extra }) => ({ auction, bidder, price, dateTime, extra })),

  1: ({ bids }) =>
    bids.map(({ auction, bidder, price, dateTime, extra }) => {
      return { auction, bidder, price: Number(`${BigInt(price) * 908n}e-3`), dateTime, extra }
    }),

  2: ({ bids }) => bids.filter(({ auction }) => auction % 123 === 0).map(({ auction, price }) => ({ auction, price })),

  3({ people, auctions }) {
    const bySeller = groups(
      auctions.filter(({ category }) => category === 10),
      ({ seller }) => seller
    )
    return people
      .filter(({ state }) => state === 'OR' || state === 'ID' || state === 'CA')
      .flatMap(({ id: seller, name, city, state }) =>
        (bySeller.get(seller) ?? []).map(({ id }) => ({ name, city, state, id }))
      )
  },

  4: events =>
    [...groups(validBids(events), ({ auction }) => auction.category)].map(([category, items]) => ({
      category,
      average: wholeMean(items.map(({ bids }) => greatest(bids.map(({ price }) => price))))
    })),

  5({ bids }) {
    const inWindows = bids.flatMap(bid => windowEnds(bid.dateTime, 10_000, 2_000).map(end => ({ end, bid })))
    return [...groups(inWindows, ({ end }) => end).values()].flatMap(window => {
      const counts = [...groups(window, ({ bid }) => bid.auction)].map(([auction, list]) => ({
        auction,
        num: list.length
      }))
      const most = greatest(counts.map(({ num }) => num))
      return counts.filter(({ num }) => num === most)
    })
  },

  7({ bids }) {
    const windows = groups(bids, ({ dateTime }) => Math.floor(dateTime / 10_000))
    return [...windows].flatMap(([window, within]) => {
      const price = greatest(within.map(bid => bid.price))
      const [start, end] = [Number(window) * 10_000, (Number(window) + 1) * 10_000]
      return bids
        .filter(bid => bid.price === price && bid.dateTime >= start && bid.dateTime <= end)
        .map(({ auction, price, bidder, dateTime, extra }) => ({ auction, price, bidder, dateTime, extra }))
    })
  },

  8({ people, auctions }) {
    const sellers = new Set(auctions.map(({ seller, dateTime }) => `${seller} ${Math.floor(dateTime / 10_000)}`))
    return people
      .filter(({ id, dateTime }) => sellers.has(`${id} ${Math.floor(dateTime / 10_000)}`))
      .map(({ id, name, dateTime }) => ({ id, name, starttime: Math.floor(dateTime / 10_000) * 10_000 }))
  },

  9: events =>
    validBids(events).map(({ auction: { kind: _, ...item }, bids }) => {
      const [best] = bids.sort((a, b) => b.price - a.price || a.dateTime - b.dateTime) as [Bid]
      const { auction, bidder, price, dateTime: bid_dateTime, extra: bid_extra } = best
      return { ...item, auction, bidder, price, bid_dateTime, bid_extra }
    }),

  11: ({ bids }) =>
    [...groups(bids, ({ bidder }) => bidder)].flatMap(([bidder, own]) => {
      const times = own.map(({ dateTime }) => dateTime).sort((a, b) => a - b)
      const starts = times.filter((time, i) => i === 0 || time - (times[i - 1] as number) > 10_000)
      return starts.map((starttime, i) => {
        const session = times.filter(time => time >= starttime && time < (starts[i + 1] ?? Infinity))
        return { bidder, bid_count: session.length, starttime, endtime: (session.at(-1) as number) + 10_000 }
      })
    }),

  12: ({ bids }) => [{ bid_count: bids.length }],

  14: ({ bids }) =>
    bids
      .map(bid => ({ ...bid, price: Number(`${BigInt(bid.price) * 908n}e-3`) }))
      .filter(({ price }) => price > 1e6 && price < 5e7)
      .map(({ auction, bidder, price, dateTime: time, extra }) => {
        const hour = Number(dateTime(time).substring(11, 13))
        const day = hour >= 8 && hour <= 18
        const night = hour <= 6 || hour >= 20
        const bidTimeType = day ? 'dayTime' : night ? 'nightTime' : 'otherTime'
        return { auction, bidder, price, bidTimeType, dateTime: time, extra, c_counts: extra.split('c').length - 1 }
      }),

  15: ({ bids }) => [...groups(bids, bid => date(bid.dateTime))].map(([day, list]) => ({ day, ...bidCounts(list) })),

  16: ({ bids }) =>
    [...groups(bids, bid => `${date(bid.dateTime)} ${bid.channel}`).values()].map(list => {
      const [{ channel, dateTime: time }] = list as [Bid]
      const minute = dateTime(greatest(list.map(bid => bid.dateTime))).substring(11, 16)
      return { channel, day: date(time), minute, ...bidCounts(list) }
    }),

  17: ({ bids }) =>
    [...groups(bids, bid => `${date(bid.dateTime)} ${bid.auction}`).values()].map(list => {
      const [{ auction, dateTime: time }] = list as [Bid]
      const prices = list.map(({ price }) => price)
      const { total_bids, rank1_bids, rank2_bids, rank3_bids } = bidCounts(list)
      return {
        auction,
        day: date(time),
        total_bids,
        rank1_bids,
        rank2_bids,
        rank3_bids,
        min_price: least(prices),
        max_price: greatest(prices),
        avg_price: wholeMean(prices),
        sum_price: total(prices)
      }
    }),

  18: ({ bids }) =>
    [...groups(bids, ({ bidder, auction }) => `${bidder} ${auction}`).values()].map(list => {
      const newest = greatest(list.map(bid => bid.dateTime))
      return plainBid(list.filter(bid => bid.dateTime === newest).at(-1) as Bid)
    }),

  19: ({ bids }) =>
    [...groups(bids, ({ auction }) => auction).values()].flatMap(list =>
      list
        .sort((a, b) => b.price - a.price)
        .slice(0, 10)
        .map((bid, i) => ({ ...plainBid(bid), rank_number: i + 1 }))
    ),

  20({ auctions, bids }) {
    const byAuction = groups(bids, ({ auction }) => auction)
    return auctions
      .filter(({ category }) => category === 10)
      .flatMap(({ kind: _, id, dateTime: auction_dateTime, extra: auction_extra, ...item }) =>
        (byAuction.get(id) ?? []).map(bid => ({ ...plainBid(bid), ...item, auction_dateTime, auction_extra }))
      )
  },

  22: ({ bids }) =>
    bids.map(({ auction, bidder, price, channel, url }) => {
      const [, dir1, dir2, dir3] = /^[^/]*\/\/[^/]*\/([^/]*)\/([^/]*)\/([^/]*)\//.exec(url) ?? []
      return { auction, bidder, price, channel, dir1, dir2, dir3 }
    })
}

/** Result of a query over all events. */
export function naiveResult(query: number, events: readonly NexmarkEvent[]): Row[] {
  const meaning = meanings[query]
  if (meaning === undefined) throw new RangeError(`nobody has written down what query ${query} means`)
  return meaning(new Events(events))
}
