/** What the windows of one key are, from the definitions: every event is put into each of its windows. */
import { addHash, type Item } from './program.ts'
import type { HeldTotals } from './normal-state.ts'
import type { WindowShape } from './shape.ts'

export interface Totals {
  n: number
  w: number
  h: number
  top: number
  low: number
}
export interface FiredWindow {
  readonly start: number
  readonly end: number
  readonly totals: Totals
}

interface OpenWindow {
  start: number
  end: number
  items: Item[]
}
/** An event, and when the last of its windows ends. */
interface Held {
  readonly item: Item
  readonly lastEnd: number
}

export class ModelWindows {
  private readonly shape: WindowShape
  private open: OpenWindow[] = []
  private held: Held[] = []

  constructor(shape: WindowShape) {
    this.shape = shape
  }

  /** Ends of windows that are new. */
  add(item: Item, time: number): number[] {
    if (this.shape.window === 'session') return [this.addToSession(item, time)]
    const { sizeMs, offsetMs } = this.shape
    const everyMs = this.shape.window === 'tumbling' ? sizeMs : this.shape.everyMs
    const made: number[] = []
    let lastEnd = -Infinity
    const steps = Math.ceil(sizeMs / everyMs)
    const newest = offsetMs + Math.floor((time - offsetMs) / everyMs) * everyMs
    for (let k = 0; k < steps; k++) {
      const start = newest - k * everyMs
      if (start + sizeMs <= time) continue
      let window = this.open.find(each => each.start === start)
      if (window === undefined) {
        this.open.push((window = { start, end: start + sizeMs, items: [] }))
        made.push(window.end)
      }
      window.items.push(item)
      lastEnd = Math.max(lastEnd, window.end)
    }
    this.held.push({ item, lastEnd })
    return made
  }

  private addToSession(item: Item, time: number): number {
    const met: OpenWindow = { start: time, end: time + this.shape.sizeMs, items: [item] }
    const apart: OpenWindow[] = []
    for (const other of this.open)
      if (other.end < met.start || other.start > met.end) apart.push(other)
      else {
        met.start = Math.min(met.start, other.start)
        met.end = Math.max(met.end, other.end)
        met.items.push(...other.items)
      }
    this.open = [...apart, met]
    return met.end
  }

  /** Closes the windows that end at or before `upTo`, in order. */
  close(upTo: number): FiredWindow[] {
    const over = this.open.filter(({ end }) => end <= upTo).sort((a, b) => a.end - b.end)
    this.open = this.open.filter(({ end }) => end > upTo)
    this.held = this.held.filter(({ lastEnd }) => lastEnd > upTo)
    return over.map(({ start, end, items }) => ({ start, end, totals: totalsOf(items) }))
  }

  /** undefined: nothing is open. */
  get holds(): HeldTotals | undefined {
    const items =
      this.shape.window === 'session' ? this.open.flatMap(each => each.items) : this.held.map(({ item }) => item)
    return items.length === 0 ? undefined : totalsOf(items)
  }
}

function totalsOf(items: readonly Item[]): Totals {
  const totals: Totals = { n: 0, w: 0, h: 0, top: -Infinity, low: Infinity }
  for (const item of items) {
    totals.n++
    totals.w += item.w
    totals.h = addHash(totals.h, item.id)
    totals.top = Math.max(totals.top, item.v)
    totals.low = Math.min(totals.low, item.v)
  }
  return totals
}
