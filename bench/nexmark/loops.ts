/**
 * Each query as one would write it by hand, once, over bytes in memory: a loop, Maps, the same decoder and the same encoder as Cairn; no
 * checkpoint, no exactly-once output. What any engine can reach at best. Events must be in order.
 */
import type { Row } from './catalogue.ts'
import type { Codec } from 'cairn'
import {
  dayOf,
  textOf,
  type Auction,
  type Bid,
  type NexmarkEvent,
  type OfKind,
  type Part,
  type Person
} from './events.ts'
import type { NexmarkBytes } from './generator.ts'
import { inputs } from './inputs.ts'
import { BidScanner, type ScannedBid } from './scan.ts'

type Emit = (row: Row) => void
type Loop = (events: NexmarkBytes, emit: Emit) => void

function eachEvent<E>(codec: Codec<E>, events: NexmarkBytes, f: (event: E) => void): void {
  for (let i = 0; i < events.count; i++) f(codec.decode(events.value(i)))
}

/** How a loop gets its bids: decoded, or only the fields it needs. */
type EachBid<B> = (events: NexmarkBytes, f: (bid: B) => void) => void

function eachBid<E extends Pick<NexmarkEvent, 'kind'>>(codec: Codec<E>): EachBid<OfKind<E, 'bid'>> {
  return (events, f) => {
    for (let i = 0; i < events.count; i++) {
      const event = codec.decode(events.value(i))
      if (event.kind === 'bid') f(event as OfKind<E, 'bid'>)
    }
  }
}

function scanBids(events: NexmarkBytes, f: (bid: ScannedBid) => void): void {
  const scanner = new BidScanner(events.bytes)
  for (let i = 0; i < events.count; i++) if (scanner.read(events.offsets[i] as number)) f(scanner)
}

const euros = (price: number): number => (price * 908) / 1000
const slackMs = 4000

function q2(each: EachBid<Pick<ScannedBid, 'auction' | 'price'>>): Loop {
  return (events, emit) =>
    each(events, bid => {
      if (bid.auction % 123 === 0) emit({ auction: bid.auction, price: bid.price })
    })
}

/** Counts by auction in panes of 2 s; a window is five of them. */
function q5(each: EachBid<Pick<ScannedBid, 'auction' | 'dateTime'>>): Loop {
  return (events, emit) => {
    const [pane, size] = [2000, 10_000]
    const panes = new Map<number, Map<number, number>>()
    const fire = (end: number): void => {
      const counts = new Map<number, number>()
      for (let start = end - size; start < end; start += pane)
        for (const [auction, n] of panes.get(start) ?? []) counts.set(auction, (counts.get(auction) ?? 0) + n)
      panes.delete(end - size)
      let most = 0
      for (const n of counts.values()) if (n > most) most = n
      for (const [auction, num] of counts) if (num === most) emit({ auction, num })
    }
    let nextEnd = NaN
    let lastPane = -Infinity
    let counts = new Map<number, number>()
    each(events, ({ auction, dateTime }) => {
      if (dateTime >= lastPane + pane) {
        lastPane = dateTime - (dateTime % pane)
        if (Number.isNaN(nextEnd)) nextEnd = lastPane + pane
        for (; nextEnd <= dateTime - slackMs; nextEnd += pane) fire(nextEnd)
        counts = new Map()
        panes.set(lastPane, counts)
      }
      counts.set(auction, (counts.get(auction) ?? 0) + 1)
    })
    for (; nextEnd < lastPane + pane + size; nextEnd += pane) fire(nextEnd)
  }
}

function q11(each: EachBid<Pick<ScannedBid, 'bidder' | 'dateTime'>>): Loop {
  return (events, emit) => {
    const gap = 10_000
    const sessions = new Map<number, { count: number; start: number; end: number }>()
    const close = (bidder: number, { count, start, end }: { count: number; start: number; end: number }): void =>
      emit({ bidder, bid_count: count, starttime: start, endtime: end })
    let nextSweep = -Infinity
    each(events, ({ bidder, dateTime }) => {
      if (dateTime >= nextSweep) {
        nextSweep = dateTime + gap
        for (const [bidder, session] of sessions)
          if (session.end < dateTime) {
            close(bidder, session)
            sessions.delete(bidder)
          }
      }
      const session = sessions.get(bidder)
      if (session === undefined) sessions.set(bidder, { count: 1, start: dateTime, end: dateTime + gap })
      else if (dateTime > session.end) {
        close(bidder, session)
        sessions.set(bidder, { count: 1, start: dateTime, end: dateTime + gap })
      } else {
        session.count++
        session.end = dateTime + gap
      }
    })
    for (const [bidder, session] of sessions) close(bidder, session)
  }
}

function q12(each: EachBid<Pick<ScannedBid, 'bidder'>>): Loop {
  return (events, emit) => {
    const size = 10_000
    const counts = new Map<number, number>()
    let start = 0
    const fire = (): void => {
      for (const [bidder, n] of counts) emit({ bidder, bid_count: n, starttime: start, endtime: start + size })
      counts.clear()
    }
    let seen = 0
    each(events, ({ bidder }) => {
      if (seen++ % 1024 === 0) {
        const now = Date.now()
        if (now >= start + size) {
          fire()
          start = now - (now % size)
        }
      }
      counts.set(bidder, (counts.get(bidder) ?? 0) + 1)
    })
    fire()
  }
}

function q17(each: EachBid<Pick<ScannedBid, 'auction' | 'price' | 'dateTime'>>): Loop {
  return (events, emit) => {
    interface Statistics {
      ranks: [number, number, number]
      least: number
      most: number
      sum: number
    }
    const days = new Map<string, Map<number, Statistics>>()
    each(events, ({ auction, price, dateTime }) => {
      const day = dayOf(dateTime)
      let auctions = days.get(day)
      if (auctions === undefined) days.set(day, (auctions = new Map<number, Statistics>()))
      let of = auctions.get(auction)
      if (of === undefined) auctions.set(auction, (of = { ranks: [0, 0, 0], least: price, most: price, sum: 0 }))
      of.ranks[price < 10_000 ? 0 : price < 1_000_000 ? 1 : 2]++
      if (price < of.least) of.least = price
      if (price > of.most) of.most = price
      of.sum += price
      const [rank1_bids, rank2_bids, rank3_bids] = of.ranks
      const total_bids = rank1_bids + rank2_bids + rank3_bids
      emit({
        auction,
        day,
        total_bids,
        rank1_bids,
        rank2_bids,
        rank3_bids,
        min_price: of.least,
        max_price: of.most,
        avg_price: Math.floor(of.sum / total_bids),
        sum_price: of.sum
      })
    })
  }
}

/** Bits of who was seen: at all, and in each rank of price. */
class Counts {
  readonly bids = [0, 0, 0, 0]
  readonly bidders = [0, 0, 0, 0]
  readonly auctions = [0, 0, 0, 0]
  private readonly seenBidders = new Map<number, number>()
  private readonly seenAuctions = new Map<number, number>()

  add({ price, bidder, auction }: Pick<Bid, 'price' | 'bidder' | 'auction'>): Row {
    const { bids, bidders, auctions } = this
    const bits = 1 | (price < 10_000 ? 2 : price < 1_000_000 ? 4 : 8)
    raise(bids, bits)
    this.see(this.seenBidders, bidder, bits, bidders)
    this.see(this.seenAuctions, auction, bits, auctions)
    return {
      total_bids: bids[0],
      rank1_bids: bids[1],
      rank2_bids: bids[2],
      rank3_bids: bids[3],
      total_bidders: bidders[0],
      rank1_bidders: bidders[1],
      rank2_bidders: bidders[2],
      rank3_bidders: bidders[3],
      total_auctions: auctions[0],
      rank1_auctions: auctions[1],
      rank2_auctions: auctions[2],
      rank3_auctions: auctions[3]
    }
  }

  private see(seen: Map<number, number>, id: number, bits: number, counts: number[]): void {
    const before = seen.get(id) ?? 0
    if ((before | bits) === before) return
    seen.set(id, before | bits)
    raise(counts, bits & ~before)
  }
}

function raise(counts: number[], bits: number): void {
  for (let i = 0; i < 4; i++) if ((bits & (1 << i)) !== 0) (counts[i] as number)++
}

/** What is known of an auction, and the bids that came before it. */
interface Known<E, T> {
  auction: OfKind<E, 'auction'> | undefined
  early: OfKind<E, 'bid'>[]
  own: T
}

function knownIn<E, T>(all: Map<number, Known<E, T>>, id: number, own: T): Known<E, T> {
  let known = all.get(id)
  if (known === undefined) all.set(id, (known = { auction: undefined, early: [], own }))
  return known
}

/** Hands out each bid together with its auction, once both are there. */
function joined<E extends Part<Person, never> | Part<Auction, 'id'> | Part<Bid, 'auction'>, T>(
  codec: Codec<E>,
  events: NexmarkBytes,
  none: T,
  f: (bid: OfKind<E, 'bid'>, auction: OfKind<E, 'auction'>, known: Known<E, T>) => void
): void {
  const all = new Map<number, Known<E, T>>()
  eachEvent(codec, events, event => {
    if (event.kind === 'bid') {
      const bid = event as OfKind<E, 'bid'>
      const known = knownIn(all, event.auction, none)
      if (known.auction === undefined) known.early.push(bid)
      else f(bid, known.auction, known)
    } else if (event.kind === 'auction') {
      const known = knownIn(all, event.id, none)
      known.auction = event as OfKind<E, 'auction'>
      for (const bid of known.early) f(bid, known.auction, known)
      known.early = []
    }
  })
}

const loops: Readonly<Record<number, Loop>> = {
  0: (events, emit) =>
    eachBid(inputs[0])(events, ({ auction, bidder, price, dateTime, extra }) =>
      emit({ auction, bidder, price, dateTime, extra })
    ),

  1: (events, emit) =>
    eachBid(inputs[1])(events, ({ auction, bidder, price, dateTime, extra }) =>
      emit({ auction, bidder, price: euros(price), dateTime, extra })
    ),

  2: q2(eachBid(inputs[2])),

  3(events, emit) {
    const sellers = new Map<number, { name: string; city: string; state: string }>()
    const waiting = new Map<number, number[]>()
    eachEvent(inputs[3], events, event => {
      if (event.kind === 'person') {
        const { id: key, name, city, state } = event
        if (state !== 'OR' && state !== 'ID' && state !== 'CA') return
        sellers.set(key, { name, city, state })
        for (const id of waiting.get(key) ?? []) emit({ name, city, state, id })
        waiting.delete(key)
      } else if (event.kind === 'auction' && event.category === 10) {
        const { id, seller: key } = event
        const seller = sellers.get(key)
        const list = waiting.get(key)
        if (seller !== undefined) emit({ name: seller.name, city: seller.city, state: seller.state, id })
        else if (list === undefined) waiting.set(key, [id])
        else list.push(id)
      }
    })
  },

  4(events, emit) {
    const categories = new Map<number, { sum: number; items: number }>()
    joined(inputs[4], events, 0, ({ price, dateTime }, auction, known) => {
      if (price <= known.own || dateTime < auction.dateTime || dateTime > auction.expires) return
      let category = categories.get(auction.category)
      if (category === undefined) categories.set(auction.category, (category = { sum: 0, items: 0 }))
      category.sum += price - known.own
      if (known.own === 0) category.items++
      known.own = price
      emit({ category: auction.category, average: Math.floor(category.sum / category.items) })
    })
  },

  5: q5(eachBid(inputs[5])),

  7(events, emit) {
    type Offer = Part<Bid, 'auction' | 'bidder' | 'price' | 'extra'>
    const size = 10_000
    const fire = ({ price, bids }: { price: number; bids: Offer[] }): void => {
      for (const { auction, bidder, dateTime, extra } of bids) emit({ auction, price, bidder, dateTime, extra })
    }
    let window = { end: NaN, price: 0, bids: [] as Offer[] }
    // As long as bids at its very end may come.
    let previous: typeof window | undefined
    eachBid(inputs[7])(events, bid => {
      const { dateTime, price } = bid
      if (!(dateTime < window.end)) {
        previous = window
        window = { end: dateTime - (dateTime % size) + size, price: 0, bids: [] }
      }
      if (previous !== undefined)
        if (dateTime !== previous.end) {
          fire(previous)
          previous = undefined
        } else if (price === previous.price) previous.bids.push(bid)
      if (price < window.price) return
      if (price > window.price) {
        window.price = price
        window.bids = []
      }
      window.bids.push(bid)
    })
    if (previous !== undefined) fire(previous)
    fire(window)
  },

  8(events, emit) {
    const size = 10_000
    let start = NaN
    const names = new Map<number, string>()
    const sellers = new Set<number>()
    const told = new Set<number>()
    eachEvent(inputs[8], events, event => {
      if (event.kind === 'bid') return
      if (!(event.dateTime < start + size)) {
        start = event.dateTime - (event.dateTime % size)
        names.clear()
        sellers.clear()
        told.clear()
      }
      const id = event.kind === 'person' ? event.id : event.seller
      if (event.kind === 'person') names.set(id, event.name)
      else sellers.add(id)
      const name = names.get(id)
      if (name === undefined || !sellers.has(id) || told.has(id)) return
      told.add(id)
      emit({ id, name, starttime: start })
    })
  },

  9: (events, emit) =>
    joined(inputs[9], events, undefined as Pick<Bid, 'price' | 'dateTime'> | undefined, (bid, auction, known) => {
      if (bid.dateTime < auction.dateTime || bid.dateTime > auction.expires) return
      const best = known.own
      if (best !== undefined && (bid.price < best.price || (bid.price === best.price && bid.dateTime >= best.dateTime)))
        return
      known.own = bid
      emit({
        id: auction.id,
        itemName: auction.itemName,
        description: auction.description,
        initialBid: auction.initialBid,
        reserve: auction.reserve,
        dateTime: auction.dateTime,
        expires: auction.expires,
        seller: auction.seller,
        category: auction.category,
        extra: auction.extra,
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        bid_dateTime: bid.dateTime,
        bid_extra: bid.extra
      })
    }),

  11: q11(eachBid(inputs[11])),
  12: q12(eachBid(inputs[12])),

  14: (events, emit) =>
    eachBid(inputs[14])(events, ({ auction, bidder, price: cents, dateTime, extra }) => {
      const price = euros(cents)
      if (price <= 1_000_000 || price >= 50_000_000) return
      const hour = Math.floor(dateTime / 3_600_000) % 24
      const bidTimeType = hour >= 8 && hour <= 18 ? 'dayTime' : hour <= 6 || hour >= 20 ? 'nightTime' : 'otherTime'
      let c_counts = 0
      for (let i = 0; i < extra.length; i++) if (extra.charCodeAt(i) === 99) c_counts++
      emit({ auction, bidder, price, bidTimeType, dateTime, extra, c_counts })
    }),

  15(events, emit) {
    const days = new Map<string, Counts>()
    eachBid(inputs[15])(events, bid => {
      const day = dayOf(bid.dateTime)
      let counts = days.get(day)
      if (counts === undefined) days.set(day, (counts = new Counts()))
      emit({ day, ...counts.add(bid) })
    })
  },

  16(events, emit) {
    const days = new Map<string, Map<string, { newest: number; counts: Counts }>>()
    eachBid(inputs[16])(events, bid => {
      const day = dayOf(bid.dateTime)
      let channels = days.get(day)
      if (channels === undefined) days.set(day, (channels = new Map<string, { newest: number; counts: Counts }>()))
      let of = channels.get(bid.channel)
      if (of === undefined) channels.set(bid.channel, (of = { newest: 0, counts: new Counts() }))
      if (bid.dateTime > of.newest) of.newest = bid.dateTime
      emit({ channel: bid.channel, day, minute: textOf(of.newest).slice(11, 16), ...of.counts.add(bid) })
    })
  },

  17: q17(eachBid(inputs[17])),

  18(events, emit) {
    // Both numbers in one: a Map finds it faster than a text of both.
    const last = new Map<number, Bid>()
    eachBid(inputs[18])(events, bid => {
      const key = bid.bidder * 2 ** 26 + bid.auction
      const before = last.get(key)
      if (before !== undefined && bid.dateTime < before.dateTime) return
      last.set(key, bid)
      const { auction, bidder, price, channel, url, dateTime, extra } = bid
      emit({ auction, bidder, price, channel, url, dateTime, extra })
    })
  },

  19(events, emit) {
    const auctions = new Map<number, Bid[]>()
    eachBid(inputs[19])(events, bid => {
      let top = auctions.get(bid.auction)
      if (top === undefined) auctions.set(bid.auction, (top = []))
      let at = top.length
      while (at > 0 && (top[at - 1] as Bid).price < bid.price) at--
      if (at === 10) return
      top.splice(at, 0, bid)
      if (top.length > 10) top.pop()
      for (; at < top.length; at++) {
        const { auction, bidder, price, channel, url, dateTime, extra } = top[at] as Bid
        emit({ auction, bidder, price, channel, url, dateTime, extra, rank_number: at + 1 })
      }
    })
  },

  20: (events, emit) =>
    joined(inputs[20], events, undefined, (bid, item) => {
      if (item.category !== 10) return
      emit({
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel,
        url: bid.url,
        dateTime: bid.dateTime,
        extra: bid.extra,
        itemName: item.itemName,
        description: item.description,
        initialBid: item.initialBid,
        reserve: item.reserve,
        expires: item.expires,
        seller: item.seller,
        category: item.category,
        auction_dateTime: item.dateTime,
        auction_extra: item.extra
      })
    }),

  22: (events, emit) =>
    eachBid(inputs[22])(events, ({ auction, bidder, price, channel, url }) => {
      const [, , , dir1, dir2, dir3] = url.split('/')
      emit({ auction, bidder, price, channel, dir1, dir2, dir3 })
    })
}

/** Those of them that need no more than numbers and times, reading nothing else of an event. */
const scans: Readonly<Record<number, Loop>> = {
  2: q2(scanBids),
  5: q5(scanBids),
  11: q11(scanBids),
  12: q12(scanBids),
  17: q17(scanBids)
}

/** Undefined: there is none. */
export function loopOf(query: number, kind: 'loop' | 'scan'): Loop | undefined {
  return (kind === 'loop' ? loops : scans)[query]
}
