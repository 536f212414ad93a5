/** The events of Nexmark: as JSON in one topic, and as the queries see them. Where they come from and where results go. */
import { json, kafka, type Codec, type JobBuilder, type Origin, type Sink } from 'cairn'

export interface Person {
  readonly kind: 'person'
  readonly id: number
  readonly name: string
  readonly emailAddress: string
  readonly creditCard: string
  readonly city: string
  readonly state: string
  /** Ms since 1970, as all times here. */
  readonly dateTime: number
  readonly extra: string
}
export interface Auction {
  readonly kind: 'auction'
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  readonly dateTime: number
  readonly expires: number
  readonly seller: number
  readonly category: number
  readonly extra: string
}
export interface Bid {
  readonly kind: 'bid'
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly dateTime: number
  readonly extra: string
}
export type NexmarkEvent = Person | Auction | Bid

export const isPerson = (event: NexmarkEvent): event is Person => event.kind === 'person'
export const isAuction = (event: NexmarkEvent): event is Auction => event.kind === 'auction'
export const isBid = (event: NexmarkEvent): event is Bid => event.kind === 'bid'

/** Times are text there: `2015-07-15 00:00:00.000`, in UTC. */
type Texts<E, Times extends keyof E> = Omit<E, 'kind' | Times> & { readonly [P in Times]: string }
interface Wire {
  readonly event_type: 0 | 1 | 2
  readonly person: Texts<Person, 'dateTime'> | null
  readonly auction: Texts<Auction, 'dateTime' | 'expires'> | null
  readonly bid: Texts<Bid, 'dateTime'> | null
}

const wire = json<Wire>()

/** One topic holds all three kinds, one of three columns filled: as the Kafka tables of nexmark-flink. */
export const nexmarkEvent: Codec<NexmarkEvent> = {
  name: 'nexmark',
  decode(bytes) {
    const { bid, auction, person } = wire.decode(bytes)
    if (bid !== null)
      return {
        kind: 'bid',
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel,
        url: bid.url,
        dateTime: timeOf(bid.dateTime),
        extra: bid.extra
      }
    if (auction !== null)
      return { kind: 'auction', ...auction, dateTime: timeOf(auction.dateTime), expires: timeOf(auction.expires) }
    if (person !== null) return { kind: 'person', ...person, dateTime: timeOf(person.dateTime) }
    throw new TypeError('an event is a person, an auction or a bid')
  },
  encode(event) {
    switch (event.kind) {
      case 'person': {
        const { kind: _, ...person } = event
        const row = { ...person, dateTime: textOf(event.dateTime) }
        return wire.encode({ event_type: 0, person: row, auction: null, bid: null })
      }
      case 'auction': {
        const { kind: _, ...auction } = event
        const row = { ...auction, dateTime: textOf(event.dateTime), expires: textOf(event.expires) }
        return wire.encode({ event_type: 1, person: null, auction: row, bid: null })
      }
      case 'bid': {
        const { kind: _, ...bid } = event
        const row = { ...bid, dateTime: textOf(event.dateTime) }
        return wire.encode({ event_type: 2, person: null, auction: null, bid: row })
      }
    }
  }
}

let newestDate = ''
let midnight = 0

/** Ms since 1970 of `yyyy-mm-dd hh:mm:ss.mmm`. NaN where it is none. */
export function timeOf(text: string): number {
  const date = text.slice(0, 10)
  if (date !== newestDate) {
    newestDate = date
    midnight = Date.parse(`${date}T00:00:00Z`)
  }
  const minutes = twoDigits(text, 11) * 60 + twoDigits(text, 14)
  return midnight + (minutes * 60 + twoDigits(text, 17)) * 1000 + digit(text, 20) * 100 + twoDigits(text, 21)
}

const zero = 48
const digit = (text: string, at: number): number => text.charCodeAt(at) - zero
const twoDigits = (text: string, at: number): number => digit(text, at) * 10 + digit(text, at + 1)

export function textOf(time: number): string {
  return new Date(time).toISOString().replace('T', ' ').slice(0, -1)
}

/** The day as `yyyy-mm-dd`. */
export function dayOf(time: number): string {
  const day = Math.floor(time / 86_400_000)
  if (day !== newestDay) {
    newestDay = day
    dayText = textOf(time).slice(0, 10)
  }
  return dayText
}
let newestDay = NaN
let dayText = ''

/** The watermark stays 4 s behind, as in the Kafka tables of nexmark-flink. */
export function events(j: JobBuilder): Origin<NexmarkEvent> {
  return j.source('events', kafka({ topic: 'nexmark', value: nexmarkEvent }), {
    time: event => event.dateTime,
    outOfOrder: '4s'
  })
}

export function results<T>(query: number): Sink<T> {
  return kafka({ topic: `nexmark-q${query}`, value: json<T>() })
}
