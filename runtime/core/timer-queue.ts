/**
 * The timers of one task on one clock, in memory, in firing order: (time, key, name).
 *
 *   times: a heap ──► of each time its timers: as armed ──it comes first──► sorted ──one more is armed──► a heap
 *
 * Thousands of keys share an instant where windows end, so timers are put in order only when theirs comes first.
 *
 * Invariants
 * 1. A key has at most one timer of a name; arming again replaces it.
 * 2. Replaced and cancelled timers stay where they are as garbage, never more than there are live ones (plus a constant).
 */
import { popHeap, pushHeap } from '../kernel/heap.ts'

/** What a timer belongs to; `orderKey` breaks ties the same way in every run. */
export interface TimerOwner {
  readonly orderKey: string
}
export interface Timer<T> {
  readonly keyId: T
  readonly name: string
  readonly at: number
}
interface Armed<T> extends Timer<T> {
  dead: boolean
}

/** The timers of one time. */
interface Instant<T> {
  timers: Armed<T>[]
  order: 'armed' | 'sorted' | 'heap'
  /** Of the first that was not taken yet; 0 unless sorted. */
  next: number
}

/** Of one key, in the order in which they were first armed: by name where a list would take long to look through. */
type Own<T> = Armed<T>[] | Map<string, Armed<T>>

const slack = 1024
/** Most keys have few timers; a list of so many is looked through faster than a Map, and is smaller. */
const listLimit = 16

export class TimerQueue<T extends TimerOwner> {
  /** A heap; each is a key of `instants`. */
  private times: number[] = []
  private readonly instants = new Map<number, Instant<T>>()
  private readonly live = new Map<T, Own<T>>()
  /** Live ones. */
  private count = 0
  /** Live and dead ones. */
  private held = 0

  get size(): number {
    return this.count
  }

  arm(keyId: T, name: string, at: number): void {
    const own = this.live.get(keyId)
    const old = own === undefined ? undefined : find(own, name)
    if (old?.at === at) return
    const timer = { keyId, name, at, dead: false }
    if (old === undefined) this.count++
    else old.dead = true
    if (own === undefined) this.live.set(keyId, [timer])
    else if (!Array.isArray(own)) own.set(name, timer)
    else if (old !== undefined) own[own.indexOf(old)] = timer
    else if (own.push(timer) > listLimit) this.live.set(keyId, new Map(own.map(each => [each.name, each])))
    this.put(timer)
    this.compactWhenDue()
  }

  cancel(keyId: T, name: string): void {
    const own = this.live.get(keyId)
    const timer = own === undefined ? undefined : find(own, name)
    if (own === undefined || timer === undefined) return
    timer.dead = true
    this.count--
    if (sizeOf(own) === 1) this.live.delete(keyId)
    else if (Array.isArray(own)) own.splice(own.indexOf(timer), 1)
    else own.delete(name)
    this.compactWhenDue()
  }

  forget(keyId: T): void {
    const own = this.live.get(keyId)
    if (own === undefined) return
    for (const timer of own.values()) timer.dead = true
    this.count -= sizeOf(own)
    this.live.delete(keyId)
    this.compactWhenDue()
  }

  hasTimers(keyId: T): boolean {
    return this.live.has(keyId)
  }

  timersOf(keyId: T): readonly Timer<T>[] {
    const own = this.live.get(keyId)
    return own === undefined ? [] : [...own.values()]
  }

  /** Takes the first timer with `at` ≤ `upTo`. */
  popDue(upTo: number): Timer<T> | undefined {
    const first = this.peek()
    if (first === undefined || first.at > upTo) return undefined
    this.cancel(first.keyId, first.name)
    return first
  }

  /** The first timer, left where it is. */
  peek(): Timer<T> | undefined {
    for (let time = this.times[0]; time !== undefined; time = this.times[0]) {
      const instant = this.instants.get(time) as Instant<T>
      const first = this.firstOf(instant)
      if (first !== undefined) return first
      this.instants.delete(time)
      popHeap(this.times, earlier)
    }
    return undefined
  }

  nextAt(): number | undefined {
    return this.peek()?.at
  }

  private put(timer: Armed<T>): void {
    this.held++
    const instant = this.instants.get(timer.at)
    if (instant === undefined) {
      this.instants.set(timer.at, { timers: [timer], order: 'armed', next: 0 })
      pushHeap(this.times, timer.at, earlier)
      return
    }
    if (instant.order === 'armed') {
      instant.timers.push(timer)
      return
    }
    if (instant.order === 'sorted') {
      instant.timers = instant.timers.slice(instant.next)
      instant.next = 0
      instant.order = 'heap'
    }
    pushHeap(instant.timers, timer, before)
  }

  /** Drops the dead ones before it. */
  private firstOf(instant: Instant<T>): Armed<T> | undefined {
    if (instant.order === 'armed') {
      this.sweep(instant)
      if (instant.timers.length > 1) instant.timers.sort(compare)
      instant.order = 'sorted'
    }
    for (;;) {
      const first = instant.timers[instant.next]
      if (first?.dead !== true) return first
      this.held--
      if (instant.order === 'sorted') instant.next++
      else popHeap(instant.timers, before)
    }
  }

  private sweep(instant: Instant<T>): void {
    const kept = instant.timers.filter(({ dead }) => !dead)
    this.held -= instant.timers.length - kept.length
    instant.timers = kept
  }

  private compactWhenDue(): void {
    if (this.held <= 2 * this.count + slack) return
    for (const [time, instant] of this.instants) {
      if (instant.order === 'sorted') instant.timers = instant.timers.slice(instant.next)
      this.sweep(instant)
      instant.next = 0
      instant.order = 'armed'
      if (instant.timers.length === 0) this.instants.delete(time)
    }
    this.times = [...this.instants.keys()].sort((a, b) => a - b)
  }
}

function find<T>(own: Own<T>, name: string): Armed<T> | undefined {
  if (!Array.isArray(own)) return own.get(name)
  for (const timer of own) if (timer.name === name) return timer
  return undefined
}

function sizeOf<T>(own: Own<T>): number {
  return Array.isArray(own) ? own.length : own.size
}

function earlier(a: number, b: number): boolean {
  return a < b
}

function compare<T extends TimerOwner>(a: Timer<T>, b: Timer<T>): number {
  return before(a, b) ? -1 : 1
}

/** Of one time. */
function before<T extends TimerOwner>(a: Timer<T>, b: Timer<T>): boolean {
  if (a.keyId !== b.keyId) {
    const [x, y] = [a.keyId.orderKey, b.keyId.orderKey]
    if (x !== y) return x < y
  }
  return a.name < b.name
}
