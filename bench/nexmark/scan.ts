/**
 * Reads of a bid only numbers and its time, out of JSON whose fields stand in the order in which the generator writes them. What can be
 * won over decoding everything, not how one should read JSON from outside.
 */
export interface ScannedBid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly dateTime: number
}

const start = '{"event_type":2,"person":null,"auction":null,"bid":{"auction":'
const kindAt = '{"event_type":'.length
const bidder = ',"bidder":'.length
const price = ',"price":'.length
const channel = ',"channel":"'.length
const url = '","url":"'.length
const dateTime = '","dateTime":"'.length
const [zero, nine, quote] = [48, 57, 34]

export class BidScanner implements ScannedBid {
  auction = 0
  bidder = 0
  price = 0
  private readonly bytes: Uint8Array
  private at = 0
  private timeAt = 0
  private newestDate = -1
  private midnight = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Answers whether the event that begins there is a bid; if so, its fields are those of this. */
  read(from: number): boolean {
    if (this.bytes[from + kindAt] !== zero + 2) return false
    this.at = from + start.length
    this.auction = this.number()
    this.at += bidder
    this.bidder = this.number()
    this.at += price
    this.price = this.number()
    this.timeAt = 0
    return true
  }

  /** Looked for when it is asked for. */
  get dateTime(): number {
    if (this.timeAt === 0) {
      const channelEnd = this.bytes.indexOf(quote, this.at + channel)
      this.timeAt = this.bytes.indexOf(quote, channelEnd + url) + dateTime
    }
    const at = this.timeAt
    const date = (this.two(at + 2) * 100 + this.two(at + 5)) * 100 + this.two(at + 8)
    if (date !== this.newestDate) {
      this.newestDate = date
      this.midnight = Date.UTC(this.two(at) * 100 + this.two(at + 2), this.two(at + 5) - 1, this.two(at + 8))
    }
    const minutes = this.two(at + 11) * 60 + this.two(at + 14)
    const millis = ((this.bytes[at + 20] as number) - zero) * 100 + this.two(at + 21)
    return this.midnight + (minutes * 60 + this.two(at + 17)) * 1000 + millis
  }

  private number(): number {
    let value = 0
    for (;;) {
      const digit = this.bytes[this.at] as number
      if (digit < zero || digit > nine) return value
      value = value * 10 + digit - zero
      this.at++
    }
  }

  private two(at: number): number {
    return ((this.bytes[at] as number) - zero) * 10 + (this.bytes[at + 1] as number) - zero
  }
}
