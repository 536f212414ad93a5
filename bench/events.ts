/** Events made once, as bytes in memory, so that nothing but the engine is measured. Seeded: a run repeats. */
import { Prng } from '../runtime/kernel/prng.ts'
import type { Fetched, LogReader, RecordBatch } from '../runtime/ports/log.ts'

export interface Payment {
  readonly account: string
  readonly amount: number
}

export type Skew = 'uniform' | 'zipf'

export class EventBytes implements Events {
  readonly count: number
  private readonly bytes: Buffer
  private readonly offsets: Uint32Array

  /** @param choose key of event *i*; default: drawn as `skew` says */
  constructor(count: number, keys: number, skew: Skew, seed = 'bench', choose?: (i: number) => number) {
    this.count = count
    this.offsets = new Uint32Array(count + 1)
    this.bytes = Buffer.allocUnsafe(count * 48)
    const random = new Prng(seed)
    const pick = skew === 'uniform' ? () => Math.floor(random.next() * keys) : zipf(keys, random)
    let at = 0
    for (let i = 0; i < count; i++) {
      this.offsets[i] = at
      at += this.bytes.write(
        `{"account":"acc-${choose === undefined ? pick() : choose(i)}","amount":${i % 1000}}`,
        at,
        'latin1'
      )
    }
    this.offsets[count] = at
  }

  value(i: number): Uint8Array {
    return this.bytes.subarray(this.offsets[i], this.offsets[i + 1])
  }
}

/** Exponent 1, by inverting the harmonic sum as its integral: close enough for a skew. */
function zipf(keys: number, random: Prng): () => number {
  const total = Math.log(keys + 1)
  return () => Math.min(keys - 1, Math.floor(Math.exp(random.next() * total)) - 1)
}

const batchRecords = 4096

/** Events made beforehand. */
export interface Events {
  readonly count: number
  value(i: number): Uint8Array
}

/** One bounded partition; `limit` may grow while it is read: then it waits instead of ending. */
export class EventReader implements LogReader {
  private readonly events: Events
  /** Records given out so far may not exceed it. */
  limit: number
  private readonly bounded: boolean
  private given = 0
  private wake: (() => void) | undefined

  constructor(events: Events, limit = events.count) {
    this.events = events
    this.limit = limit
    this.bounded = limit === events.count
  }

  release(upTo: number): void {
    this.limit = upTo
    this.wake?.()
  }
  /** Gives out no more; answers how many it has. */
  hold(): number {
    return (this.limit = this.given)
  }
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve([{ name: '0' }])
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  async fetch(_partition: number, position: number): Promise<Fetched> {
    while (position >= this.limit) {
      if (this.bounded || position >= this.events.count) return { kind: 'finished' }
      await new Promise<void>(resolve => (this.wake = resolve))
    }
    const { events } = this
    const next = Math.min(this.limit, position + batchRecords)
    this.given = next
    const batch: RecordBatch = {
      count: next - position,
      sizeBytes: (next - position) * 40,
      offset: i => position + i,
      // A hundred thousand events a second of event time.
      timestamp: i => Math.floor((position + i) / 100),
      key: () => undefined,
      value: i => events.value(position + i)
    }
    return { kind: 'records', batch, next, end: this.limit }
  }
  close(): Promise<void> {
    this.wake?.()
    return Promise.resolve()
  }
}
