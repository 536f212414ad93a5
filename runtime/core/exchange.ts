/**
 * A channel whose ends are in different workers.
 *
 *   task ─push─► OutgoingChannel ═frames═► connection ═► IncomingChannel ─peek─► task
 *                     ▲                                        │
 *                     └───────────── credit in bytes ──────────┘
 *
 * Invariants
 * 1. Frames of a channel are numbered from 0 without a gap; a gap fails the generation.
 * 2. What was sent and not credited stays within the window; a slice of the producer's work may overdraw it. A channel of a loop knows
 *    no window.
 * 3. Nothing overtakes: a control element closes the batch before it.
 */
import { ByteWriter } from '../kernel/bytes.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import type { Key } from '../kernel/keys.ts'
import { reached } from '../kernel/marks.ts'
import {
  Channel,
  usualChannelLimits,
  type ChannelLimits,
  type ChannelPlace,
  type ControlElement,
  type Outlet
} from './channel.ts'
import { encodeCredit, encodeElement, writeRecord, type ChannelName, type Frame } from './frames.ts'

/** A frame's worth of records. */
const batchBytes = 32 * 1024
/** Credit is returned in pieces of this share of the window, so that it is not one frame per batch. */
const creditShare = 1 / 8

const nothing: readonly Uint8Array[] = []

export class OutgoingChannel implements Outlet {
  readonly name: ChannelName
  /** Worker at the other end. */
  readonly peer: string
  private readonly place: ChannelPlace | undefined
  private readonly frames: Uint8Array[] = []
  private readonly open = new ByteWriter(64)
  private count = 0
  private sequence = 0
  private used = 0
  private closed = false
  /** Put in a frame when something follows it or all is sent: of several in a row only the newest matters. */
  private watermark: number | undefined
  private readonly limits: ChannelLimits

  constructor(name: ChannelName, peer: string, place?: ChannelPlace, limits: ChannelLimits = usualChannelLimits) {
    this.name = name
    this.peer = peer
    this.place = place
    this.limits = limits
  }

  push(key: Key, value: unknown, time: number, origin: string, offset: number, path: string, trace: string): void {
    assert(!this.closed, 'a record after the end of a channel')
    if (this.watermark !== undefined) this.writeWatermark()
    writeRecord(this.open, key, value, time, origin, offset, path, trace)
    this.count++
    if (this.open.length >= batchBytes) this.closeBatch()
  }

  control(element: ControlElement): void {
    assert(!this.closed, `a ${element.kind} after the end of a channel`)
    this.closeBatch()
    if (element.kind === 'watermark') {
      this.watermark = element.time
      return
    }
    this.writeWatermark()
    this.frames.push(encodeElement(this.name, this.sequence++, element))
    if (element.kind === 'end') this.closed = true
  }

  get full(): boolean {
    return this.place === undefined && this.used >= this.limits.windowBytes
  }

  /** Bytes under way that count against the window. */
  get underWay(): number {
    return this.place === undefined ? this.used : 0
  }

  /** Frames to be sent now. */
  take(): readonly Uint8Array[] {
    this.closeBatch()
    this.writeWatermark()
    return this.frames.length === 0 ? nothing : this.frames.splice(0)
  }

  credited(sizeBytes: number): void {
    this.used -= sizeBytes
    if (this.place !== undefined) this.place.loop.sentBytes -= sizeBytes
    if (this.used < 0) throw new CodedError('FRAME_MALFORMED', `credit for ${-this.used} bytes that were never sent`)
  }

  private writeWatermark(): void {
    const { watermark } = this
    if (watermark === undefined) return
    this.watermark = undefined
    this.frames.push(encodeElement(this.name, this.sequence++, { kind: 'watermark', time: watermark }))
  }

  private closeBatch(): void {
    if (this.count === 0) return
    const frame = encodeElement(this.name, this.sequence++, {
      kind: 'records',
      count: this.count,
      records: this.open
    })
    // What the receiver counts: the body, without length and checksum.
    this.used += frame.length - 8
    if (this.place !== undefined) this.place.loop.sentBytes += frame.length - 8
    this.frames.push(frame)
    this.open.reset()
    this.count = 0
  }
}

export class IncomingChannel extends Channel {
  readonly name: ChannelName
  readonly peer: string
  private expected = 0
  private readonly sizes: number[] = []
  private handled = 0
  private readonly creditBytes: number

  constructor(name: ChannelName, peer: string, place?: ChannelPlace, limits: ChannelLimits = usualChannelLimits) {
    super(place, limits)
    this.creditBytes = limits.windowBytes * creditShare
    this.name = name
    this.peer = peer
  }

  receive({ sequence, element, sizeBytes }: Extract<Frame, { kind: 'element' }>): void {
    if (sequence !== this.expected) {
      reached('exchange: a gap in a channel')
      throw new CodedError(
        'FRAME_MALFORMED',
        `channel ${this.name.edge}/${this.name.from}/${this.name.to}: frame ${sequence} came where ${this.expected} was due`
      )
    }
    this.expected++
    if (element.kind === 'records') {
      this.batch(element)
      this.sizes.push(sizeBytes)
    } else this.control(element)
  }

  override shift(): void {
    if (this.peek()?.kind === 'records') this.handled += this.sizes.shift() as number
    super.shift()
  }

  /** A frame that returns credit, when enough was handled or nothing is left. */
  takeCredit(): Uint8Array | undefined {
    if (this.handled === 0 || (this.handled < this.creditBytes && !this.empty)) return undefined
    const credit = encodeCredit(this.name, this.handled)
    this.handled = 0
    return credit
  }
}
