/**
 * A channel: the ordered way from one task to another, inside one process. Producers append records to an open batch; control
 * elements (watermark, barrier, end) close it, so that nothing ever overtakes anything.
 *
 * Invariants
 * 1. Elements leave in the order in which they entered; of watermarks with nothing between them only the newest.
 * 2. After `end` nothing enters.
 */
import { assert } from '../kernel/errors.ts'
import type { Key } from '../kernel/keys.ts'

/** Records as columns; an event's id is `origin + offset + path`, joined only when somebody asks. Traces: see `trace-context.ts`. */
export interface RecordColumns {
  readonly kind: 'records'
  readonly keys: Key[]
  readonly values: unknown[]
  readonly times: number[]
  readonly origins: string[]
  readonly offsets: number[]
  readonly paths: string[]
  readonly traces: string[]
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
  paths: [],
  traces: []
})

/** A batch put aside: the shell has its bytes, and the channel its place. */
export class SpilledBatch {
  readonly kind = 'spilled'
  readonly count: number
  /** Once it was read back. */
  columns: RecordColumns | undefined
  asked = false

  constructor(count: number) {
    this.count = count
  }
}

/**
 * What waits in the channels of one loop, as far as this process knows. They never withhold credit (two tasks that wait for each other's room
 * would wait for ever): instead, what leads into the loop is not read while too much waits, and what messages set off in the loop itself
 * is put aside on the local disk, newest first.
 */
export class LoopBacklog {
  /** Records that wait in this process. */
  queued = 0
  /** Those of them that are put aside. */
  spilled = 0
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
  /** Too much is in memory. */
  get heavy(): boolean {
    return this.queued - this.spilled > this.limit
  }
}

/** What may wait between two tasks. */
export interface ChannelLimits {
  /** Records queued before the producer is held back; a slice of its work may overdraw it. */
  readonly queueRecords: number
  /** Bytes under way between two workers: more would delay the barriers behind them. A slice of work may overdraw it. */
  readonly windowBytes: number
}
export const usualChannelLimits: ChannelLimits = { queueRecords: 8 * 1024, windowBytes: 256 * 1024 }

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
/** Batches read back before their turn comes. */
const readAhead = 2

/** The producer's end of a channel. */
export interface Outlet {
  push(key: Key, value: unknown, time: number, origin: string, offset: number, path: string, trace: string): void
  control(element: ControlElement): void
  /** The producer must wait: what is queued would delay the next barrier too long. Never within a loop. */
  readonly full: boolean
}

export class Channel implements Outlet {
  readonly place: ChannelPlace | undefined
  private readonly queue: (ChannelElement | SpilledBatch)[] = []
  private head = 0
  private open: RecordColumns | undefined
  private queued = 0
  private closed = false
  private readonly limits: ChannelLimits

  constructor(place?: ChannelPlace, limits: ChannelLimits = usualChannelLimits) {
    this.place = place
    this.limits = limits
  }

  push(key: Key, value: unknown, time: number, origin: string, offset: number, path: string, trace: string): void {
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
    open.traces.push(trace)
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
    const last = this.queue.length - 1
    if (element.kind === 'watermark' && last >= this.head && this.queue[last]?.kind === 'watermark')
      this.queue[last] = element
    else this.queue.push(element)
    if (element.kind === 'end') this.closed = true
  }

  /** What is pushed from now on is not part of the batch that is being read: a loop would make it grow for ever. */
  cut(): void {
    this.open = undefined
  }

  /** Undefined: nothing is there, or it has to be read back first. */
  peek(): ChannelElement | undefined {
    const element = this.queue[this.head]
    return element?.kind === 'spilled' ? element.columns : element
  }

  /** Takes the newest whole batch that is not about to be read out of memory. */
  spill(): { readonly batch: SpilledBatch; readonly columns: RecordColumns } | undefined {
    for (let at = this.queue.length - 1; at > this.head; at--) {
      const columns = this.queue[at]
      if (columns?.kind !== 'records' || columns === this.open) continue
      const batch = new SpilledBatch(columns.keys.length)
      this.queue[at] = batch
      if (this.place !== undefined) this.place.loop.spilled += batch.count
      return { batch, columns }
    }
    return undefined
  }

  /** The batches that will be read next and are put aside: to be read back now. */
  wanted(): SpilledBatch[] {
    const wanted: SpilledBatch[] = []
    for (const element of this.queue.slice(this.head, this.head + readAhead))
      if (element.kind === 'spilled' && !element.asked) {
        element.asked = true
        wanted.push(element)
      }
    return wanted
  }

  unspill(batch: SpilledBatch, columns: RecordColumns): void {
    batch.columns = columns
    if (this.place !== undefined) this.place.loop.spilled -= batch.count
  }

  shift(): void {
    const element = this.queue[this.head]
    assert(element !== undefined, 'shift of an empty channel')
    if (element === this.open) this.open = undefined
    const records = element.kind === 'spilled' ? element.columns : element
    assert(records !== undefined, 'shift of a batch that is not in memory')
    if (records.kind === 'records') {
      this.queued -= records.keys.length
      if (this.place !== undefined) this.place.loop.queued -= records.keys.length
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
    return this.place === undefined && this.queued >= this.limits.queueRecords
  }
}
