/**
 * A channel: the ordered way from one task to another, inside one process. Producers append records to an open batch; control
 * elements (watermark, barrier, end) close it, so that nothing ever overtakes anything.
 *
 * Invariants
 * 1. Elements leave in the order in which they entered.
 * 2. After `end` nothing enters.
 */
import { assert } from '../kernel/errors.ts'
import type { Key } from '../kernel/keys.ts'

/** Records as columns; an event's id is `origin + offset + path`, joined only when somebody asks. */
export interface RecordColumns {
  readonly kind: 'records'
  readonly keys: Key[]
  readonly values: unknown[]
  readonly times: number[]
  readonly origins: string[]
  readonly offsets: number[]
  readonly paths: string[]
}

export type ChannelElement =
  | RecordColumns
  | { readonly kind: 'watermark'; readonly time: number }
  /** Every input behind this channel is idle (or no longer): leave it out of the least watermark. */
  | { readonly kind: 'idle'; readonly idle: boolean }
  | { readonly kind: 'barrier'; readonly epoch: number }
  | { readonly kind: 'end' }
export type ControlElement = Exclude<ChannelElement, RecordColumns>

export const emptyColumns = (): RecordColumns => ({
  kind: 'records',
  keys: [],
  values: [],
  times: [],
  origins: [],
  offsets: [],
  paths: []
})

/**
 * What waits in the channels of one loop, as far as this process knows. They never withhold credit (two tasks that wait for each other's room
 * would wait for ever): instead, what leads into the loop is not read while too much waits.
 */
export class LoopBacklog {
  /** Records that wait in this process. */
  queued = 0
  /** Bytes sent to other processes and not handled there yet. */
  sentBytes = 0
  /** Beyond this nothing new is let in: more would take memory that nothing bounds. */
  readonly limit: number

  constructor(limit = 64 * batchLimit) {
    this.limit = limit
  }
  get over(): boolean {
    return this.queued > this.limit || this.sentBytes > sentLimitBytes
  }
}

/** How a channel stands to a loop; without one it leads out of it, or into it. */
export interface ChannelPlace {
  readonly loop: LoopBacklog
  /** It does not hold the watermark. */
  readonly back: boolean
}

/** The same limit for what waits in other processes. */
const sentLimitBytes = 16 * 1024 * 1024

/** Records in one batch: larger batches amortise better but delay control elements behind them. */
const batchLimit = 1024
/** Records queued before the producer is held back. */
const queueLimit = 8 * batchLimit

/** The producer's end of a channel. */
export interface Outlet {
  push(key: Key, value: unknown, time: number, origin: string, offset: number, path: string): void
  control(element: ControlElement): void
  /** The producer must wait: what is queued would delay the next barrier too long. Never within a loop. */
  readonly full: boolean
}

export class Channel implements Outlet {
  readonly place: ChannelPlace | undefined
  private readonly queue: ChannelElement[] = []
  private head = 0
  private open: RecordColumns | undefined
  private queued = 0
  private closed = false

  constructor(place?: ChannelPlace) {
    this.place = place
  }

  push(key: Key, value: unknown, time: number, origin: string, offset: number, path: string): void {
    assert(!this.closed, 'a record after the end of a channel')
    let open = this.open
    if (open === undefined) {
      open = this.open = emptyColumns()
      this.queue.push(open)
    }
    open.keys.push(key)
    open.values.push(value)
    open.times.push(time)
    open.origins.push(origin)
    open.offsets.push(offset)
    open.paths.push(path)
    this.queued++
    if (this.place !== undefined) this.place.loop.queued++
    if (open.keys.length >= batchLimit) this.open = undefined
  }

  /** A whole batch. */
  batch(records: RecordColumns): void {
    assert(!this.closed, 'records after the end of a channel')
    this.open = undefined
    this.queue.push(records)
    this.queued += records.keys.length
    if (this.place !== undefined) this.place.loop.queued += records.keys.length
  }

  control(element: ControlElement): void {
    assert(!this.closed, `a ${element.kind} after the end of a channel`)
    this.open = undefined
    this.queue.push(element)
    if (element.kind === 'end') this.closed = true
  }

  /** What is pushed from now on is not part of the batch that is being read: a loop would make it grow for ever. */
  cut(): void {
    this.open = undefined
  }

  peek(): ChannelElement | undefined {
    return this.queue[this.head]
  }

  shift(): void {
    const element = this.queue[this.head]
    assert(element !== undefined, 'shift of an empty channel')
    if (element === this.open) this.open = undefined
    if (element.kind === 'records') {
      this.queued -= element.keys.length
      if (this.place !== undefined) this.place.loop.queued -= element.keys.length
    }
    this.head++
    if (this.head > 64 && this.head * 2 > this.queue.length) {
      this.queue.splice(0, this.head)
      this.head = 0
    }
  }

  get empty(): boolean {
    return this.head >= this.queue.length
  }

  /** Records that wait. */
  get waiting(): number {
    return this.queued
  }

  get full(): boolean {
    return this.place === undefined && this.queued >= queueLimit
  }
}
