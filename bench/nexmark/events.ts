/** The events of Nexmark: as JSON in one topic, and as the queries see them. Where they come from and where results go. */
import { json, kafka, type Codec, type JobBuilder, type Nullable, type Origin, type Sink } from 'cairn'

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

type Kind = NexmarkEvent['kind']
export type OfKind<E, K extends Kind> = Extract<E, { readonly kind: K }>
interface Kinded {
  readonly kind: Kind
  readonly dateTime: number
}
export const isPerson = <E extends Kinded>(event: E): event is OfKind<E, 'person'> => event.kind === 'person'
export const isAuction = <E extends Kinded>(event: E): event is OfKind<E, 'auction'> => event.kind === 'auction'
export const isBid = <E extends Kinded>(event: E): event is OfKind<E, 'bid'> => event.kind === 'bid'

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

const fieldTypes = {
  person: {
    id: 'number',
    name: 'string',
    emailAddress: 'string',
    creditCard: 'string',
    city: 'string',
    state: 'string',
    dateTime: 'string',
    extra: 'string'
  },
  auction: {
    id: 'number',
    itemName: 'string',
    description: 'string',
    initialBid: 'number',
    reserve: 'number',
    dateTime: 'string',
    expires: 'string',
    seller: 'number',
    category: 'number',
    extra: 'string'
  },
  bid: {
    auction: 'number',
    bidder: 'number',
    price: 'number',
    channel: 'string',
    url: 'string',
    dateTime: 'string',
    extra: 'string'
  }
} as const satisfies {
  readonly [K in Kind]: Readonly<Record<Exclude<keyof OfKind<NexmarkEvent, K>, 'kind'>, 'number' | 'string'>>
}

/** An event with those of its fields; its kind and its time it always has. */
export type Part<E extends NexmarkEvent, N extends keyof E> = Pick<E, N | 'kind' | 'dateTime'>

/** What is read of each kind of event: those fields, and always the time. */
export function nexmarkFields<
  P extends keyof Person = never,
  A extends keyof Auction = never,
  B extends keyof Bid = never
>(names: {
  readonly person?: readonly P[]
  readonly auction?: readonly A[]
  readonly bid?: readonly B[]
}): Codec<Part<Person, P> | Part<Auction, A> | Part<Bid, B>> {
  const some = (kind: Kind): Nullable<{ readonly dateTime: 'string'; readonly 'expires?': 'string' }> => {
    const wanted: readonly string[] = ['dateTime', ...(names[kind] ?? [])]
    const types = Object.entries(fieldTypes[kind]).filter(([name]) => wanted.includes(name))
    return json.nullable(Object.fromEntries(types) as never)
  }
  const fields = json.fields({ person: some('person'), auction: some('auction'), bid: some('bid') })
  return {
    name: 'nexmark',
    decode(bytes) {
      const { bid, auction, person } = fields.decode(bytes)
      const kind = bid !== null ? 'bid' : auction !== null ? 'auction' : 'person'
      const text = bid ?? auction ?? person
      if (text === null) throw new TypeError('an event is a person, an auction or a bid')
      const event = text as { kind?: Kind; dateTime: unknown; expires?: unknown }
      event.kind = kind
      event.dateTime = timeOf(text.dateTime)
      if (text.expires !== undefined) event.expires = timeOf(text.expires)
      return event as never
    },
    encode() {
      throw new TypeError('what is read in parts cannot be written')
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

/** A measurement from Kafka to Kafka has one of its own. */
const topic = process.env['NEXMARK_TOPIC'] ?? 'nexmark'

/** The watermark stays 4 s behind, as in the Kafka tables of nexmark-flink. All fields, if no codec says which. */
export function events(j: JobBuilder): Origin<NexmarkEvent>
export function events<E extends Kinded>(j: JobBuilder, value: Codec<E>): Origin<E>
export function events(j: JobBuilder, value: Codec<Kinded> = nexmarkEvent): Origin<Kinded> {
  return j.source('events', kafka({ topic, value }), { time: event => event.dateTime, outOfOrder: '4s' })
}

export function results<T>(query: number): Sink<T> {
  return kafka({ topic: `nexmark-q${query}`, value: json<T>() })
}
