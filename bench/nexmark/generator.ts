/**
 * The generator of Nexmark, as nexmark-flink defines it, but seeded: the same options give the same bytes. One generator; its defaults are
 * those of the definition.
 *
 * Of every 50 events the first is a person, three are auctions, the rest bids. Event *n* happens at `baseTime + n / rate`. Auctions and bids
 * refer to people and auctions that are new, to some that do not exist yet, and more often than not to one that is hot for a while.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { Prng } from '../../runtime/kernel/prng.ts'
import { nexmarkEvent, type Auction, type Bid, type NexmarkEvent, type Person } from './events.ts'

export interface GeneratorOptions {
  readonly seed?: string
  /** Events a second of event time: says how many events fall into a window, and how long auctions last. Default 10,000. */
  readonly rate?: number
  /** Ms since 1970. Default: 2015-07-15. */
  readonly baseTime?: number
  /** Events are out of order within groups of so many; not a multiple of 953. Default 1: they are in order. */
  readonly outOfOrderGroupSize?: number
}

const firstId = 1000
const firstCategory = 10
const categories = 5
const idLead = 10
const hotEvery = 100
const channels = 10_000
const proportions = { person: 1, auction: 3, total: 50 } as const
const inFlightAuctions = 100
const activePeople = 1000
const averageSize = { person: 200, auction: 500, bid: 100 } as const

const firstNames = 'Peter Paul Luke John Saul Vicky Kate Julie Sarah Deiter Walter'.split(' ')
const lastNames = 'Shultz Abrams Spencer White Bartels Walton Smith Jones Noris'.split(' ')
const cities = 'Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne'.split(',')
const states = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']
const hotChannels = ['Google', 'Facebook', 'Baidu', 'Apple']

/** Number of the newest person when event `id` comes, from 0. */
export function lastPerson(id: number): number {
  return (
    Math.floor(id / proportions.total) * proportions.person + Math.min(id % proportions.total, proportions.person - 1)
  )
}

/** Number of the newest auction when event `id` comes, from 0; -1: there is none. */
export function lastAuction(id: number): number {
  const round = Math.floor(id / proportions.total)
  const rest = id % proportions.total
  if (rest < proportions.person) return round * proportions.auction - 1
  return round * proportions.auction + Math.min(rest - proportions.person, proportions.auction - 1)
}

/** Endless. */
export class NexmarkGenerator {
  private readonly random: Prng
  private readonly rate: number
  private readonly baseTime: number
  private readonly groupSize: number
  private readonly channelUrls: string[]
  private readonly hotUrls: string[]
  private n = 0

  constructor(options: GeneratorOptions = {}) {
    const { seed = 'nexmark', rate = 10_000, baseTime = Date.UTC(2015, 6, 15), outOfOrderGroupSize = 1 } = options
    this.random = new Prng(seed)
    this.rate = rate
    this.baseTime = baseTime
    this.groupSize = outOfOrderGroupSize
    this.hotUrls = hotChannels.map(() => this.url())
    this.channelUrls = Array.from({ length: channels }, (_, i) =>
      this.below(10) > 0 ? `${this.url()}&channel_id=${channelId(i)}` : this.url()
    )
  }

  next(): NexmarkEvent {
    const n = this.n++
    const group = Math.floor(n / this.groupSize) * this.groupSize
    const id = group + ((n * 953) % this.groupSize)
    const dateTime = this.timeOf(id)
    const rest = id % proportions.total
    if (rest < proportions.person) return this.person(id, dateTime)
    if (rest < proportions.person + proportions.auction) return this.auction(id, dateTime)
    return this.bid(id, dateTime)
  }

  private timeOf(n: number): number {
    return this.baseTime + Math.floor(Math.floor((n * 1e6) / this.rate) / 1000)
  }

  private person(id: number, dateTime: number): Person {
    const name = `${this.oneOf(firstNames)} ${this.oneOf(lastNames)}`
    const emailAddress = `${this.text(7)}@${this.text(5)}.com`
    const creditCard = [1, 2, 3, 4].map(() => String(this.below(10_000)).padStart(4, '0')).join(' ')
    const city = this.oneOf(cities)
    const state = this.oneOf(states)
    const size = 8 + name.length + emailAddress.length + creditCard.length + city.length + state.length
    const extra = this.extra(size, averageSize.person)
    return {
      kind: 'person',
      id: lastPerson(id) + firstId,
      name,
      emailAddress,
      creditCard,
      city,
      state,
      dateTime,
      extra
    }
  }

  private auction(id: number, dateTime: number): Auction {
    const seller = (this.below(4) > 0 ? hotOf(lastPerson(id)) : this.nextPerson(id)) + firstId
    const category = firstCategory + this.below(categories)
    const initialBid = this.price()
    const expires = dateTime + this.lifeMs(id, dateTime)
    const itemName = this.text(20)
    const description = this.text(100)
    const reserve = initialBid + this.price()
    const extra = this.extra(48 + itemName.length + description.length, averageSize.auction)
    const number = lastAuction(id) + firstId
    return {
      kind: 'auction',
      id: number,
      itemName,
      description,
      initialBid,
      reserve,
      dateTime,
      expires,
      seller,
      category,
      extra
    }
  }

  private bid(id: number, dateTime: number): Bid {
    const auction = (this.below(2) > 0 ? hotOf(lastAuction(id)) : this.nextAuction(id)) + firstId
    // Not a slip: nexmark-flink adds the first id twice.
    const bidder = (this.below(4) > 0 ? hotOf(lastPerson(id)) + 1 : this.nextPerson(id)) + 2 * firstId
    const price = this.price()
    const hot = this.below(2) > 0
    const which = this.below(hot ? hotChannels.length : channels)
    const channel = hot ? (hotChannels[which] as string) : `channel-${which}`
    const url = (hot ? this.hotUrls : this.channelUrls)[which] as string
    return { kind: 'bid', auction, bidder, price, channel, url, dateTime, extra: this.extra(32, averageSize.bid) }
  }

  /** Any of the people of late, or one of the next ten. */
  private nextPerson(id: number): number {
    const people = lastPerson(id) + 1
    const active = Math.min(people, activePeople)
    return people - active + this.below(active + idLead)
  }

  /** Any of the auctions of late, or one of the next ten. */
  private nextAuction(id: number): number {
    const least = Math.max(lastAuction(id) - inFlightAuctions, 0)
    return least + this.below(lastAuction(id) - least + 1 + idLead)
  }

  /** Until as many auctions as may be in flight have come after it, on average. */
  private lifeMs(id: number, dateTime: number): number {
    const ahead = Math.floor((inFlightAuctions * proportions.total) / proportions.auction)
    return 1 + this.below(Math.max(2 * (this.timeOf(id + ahead) - dateTime), 1))
  }

  /** From 100 to 1e8, its logarithm uniform. */
  private price(): number {
    return Math.round(10 ** (6 * this.random.next()) * 100)
  }

  private url(): string {
    const folder = (): string => this.text(5, '_')
    return `https://www.nexmark.com/${folder()}/${folder()}/${folder()}/item.htm?query=1`
  }

  /** 3 to `most` - 1 characters, one in 13 special; fewer where they begin or end with spaces. */
  private text(most: number, special = ' '): string {
    let text = ''
    for (let left = 3 + this.below(most - 3); left > 0; left--)
      text += this.below(13) === 0 ? special : String.fromCharCode(97 + this.below(26))
    return text.trim()
  }

  /** Fills the event up to about `average` bytes. */
  private extra(size: number, average: number): string {
    if (size > average) return ''
    const delta = Math.round(0.2 * (average - size))
    let length = average - size - delta + (delta === 0 ? 0 : this.below(2 * delta))
    let text = ''
    while (length > 0) {
      // 26 ** 6 is less than 2 ** 32: one number gives six letters.
      let letters = this.below(26 ** 6)
      for (let left = Math.min(6, length); left > 0; left--, length--) {
        text += String.fromCharCode(97 + (letters % 26))
        letters = Math.floor(letters / 26)
      }
    }
    return text
  }

  private below(n: number): number {
    return this.random.int(n)
  }
  private oneOf(list: readonly string[]): string {
    return list[this.below(list.length)] as string
  }
}

/** The same one for a hundred in a row. */
function hotOf(newest: number): number {
  return Math.floor(newest / hotEvery) * hotEvery
}

/** Java's `Math.abs(Integer.reverse(i))`, the one that stays negative included. */
function channelId(i: number): number {
  let reversed = 0
  for (let bit = 0; bit < 32; bit++) reversed |= ((i >>> bit) & 1) << (31 - bit)
  return Math.abs(reversed) | 0
}

/** Events one after the other, each as JSON. */
export class NexmarkBytes {
  readonly count: number
  readonly bytes: Buffer
  /** Where each begins; one more for the end. */
  readonly offsets: Float64Array

  /** @param bytes a line for each event */
  constructor(bytes: Buffer, count: number) {
    this.bytes = bytes
    this.count = count
    this.offsets = new Float64Array(count + 1)
    for (let i = 0, at = 0; i < count; i++) {
      at = bytes.indexOf(10, at) + 1
      if (at === 0) throw new Error(`${i} events where ${count} should be`)
      this.offsets[i + 1] = at
    }
  }

  static of(events: Iterable<NexmarkEvent>): NexmarkBytes {
    const lines = [...events].map(event => Buffer.from(`${Buffer.from(nexmarkEvent.encode(event)).toString()}\n`))
    return new NexmarkBytes(Buffer.concat(lines), lines.length)
  }

  static read(path: string, count: number): NexmarkBytes {
    return new NexmarkBytes(readFileSync(path), count)
  }

  value(i: number): Uint8Array {
    return this.bytes.subarray(this.offsets[i], (this.offsets[i + 1] as number) - 1)
  }
}

export function* generate(count: number, options?: GeneratorOptions): Generator<NexmarkEvent> {
  const generator = new NexmarkGenerator(options)
  for (let i = 0; i < count; i++) yield generator.next()
}

/** Writes so many events to a file, a line each. */
export function writeEvents(path: string, count: number, options?: GeneratorOptions): void {
  const file = openSync(path, 'w')
  let lines: Uint8Array[] = []
  const newline = Buffer.from('\n')
  for (const event of generate(count, options)) {
    lines.push(nexmarkEvent.encode(event), newline)
    if (lines.length < 8192) continue
    writeSync(file, Buffer.concat(lines))
    lines = []
  }
  writeSync(file, Buffer.concat(lines))
  closeSync(file)
}
