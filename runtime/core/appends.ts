/**
 * Records for at-least-once sinks, on their way out: those of a sink in the order in which they came, as many at a time as have come while earlier ones
 * are under way.
 *
 * Invariant: what was added before `newest` was asked for is confirmed once `confirmed` says so of that number, whatever was added since.
 */
import { headersSizeBytes } from '../kernel/record-header.ts'
import type { OutputRecord } from '../ports/log.ts'

export interface Append {
  readonly sink: string
  /** Counts up over all sinks. */
  readonly append: number
  readonly records: readonly OutputRecord[]
}

export class Appends {
  /** Of the newest one begun or waiting to be. */
  newest = 0
  /** Of what is not confirmed: keys, values and headers. */
  sizeBytes = 0
  /** Not confirmed, in their order, and their bytes. */
  private readonly unconfirmed = new Map<number, number>()
  private readonly waiting = new Map<string, { readonly append: number; readonly records: OutputRecord[] }>()
  /** How many are under way, by sink. */
  private readonly underWay = new Map<string, number>()
  private readonly most: ReadonlyMap<string, number>

  /** @param most at a time, by sink; default 1 */
  constructor(most: ReadonlyMap<string, number>) {
    this.most = most
  }

  /** Keeps the list. */
  add(sink: string, records: OutputRecord[]): void {
    let bytes = 0
    for (const record of records) bytes += sizeOf(record)
    this.sizeBytes += bytes
    const waiting = this.waiting.get(sink)
    if (waiting === undefined) {
      this.unconfirmed.set(++this.newest, bytes)
      this.waiting.set(sink, { append: this.newest, records })
      return
    }
    this.unconfirmed.set(waiting.append, (this.unconfirmed.get(waiting.append) ?? 0) + bytes)
    for (const record of records) waiting.records.push(record)
  }

  /** What can be begun now. */
  *begin(): Generator<Append> {
    for (const [sink, { append, records }] of this.waiting) {
      const underWay = this.underWay.get(sink) ?? 0
      if (underWay >= (this.most.get(sink) ?? 1)) continue
      this.waiting.delete(sink)
      this.underWay.set(sink, underWay + 1)
      yield { sink, append, records }
    }
  }

  ended({ sink, append }: Pick<Append, 'sink' | 'append'>): void {
    this.sizeBytes -= this.unconfirmed.get(append) ?? 0
    this.unconfirmed.delete(append)
    this.underWay.set(sink, (this.underWay.get(sink) ?? 1) - 1)
  }

  /** Everything up to that one. */
  confirmed(append: number): boolean {
    for (const first of this.unconfirmed.keys()) return first > append
    return true
  }
}

const sizeOf = ({ key, value, headers }: OutputRecord): number =>
  (key?.length ?? 0) + (value?.length ?? 0) + headersSizeBytes(headers)
