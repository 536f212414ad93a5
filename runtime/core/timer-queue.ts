/**
 * The timers of one task on one clock, in memory, in firing order: (time, key, name).
 *
 * Invariants
 * 1. A key has at most one timer of a name; arming again replaces it.
 * 2. Replaced and cancelled timers stay in the heap as garbage, never more than there are live ones (plus a constant).
 */

/** What a timer belongs to; `orderKey` breaks ties the same way in every run. */
export interface TimerOwner {
  readonly orderKey: string
}
export interface Timer<T> {
  readonly keyId: T
  readonly name: string
  readonly at: number
}

const slack = 1024

export class TimerQueue<T extends TimerOwner> {
  private heap: Timer<T>[] = []
  private readonly live = new Map<T, Map<string, Timer<T>>>()
  private count = 0

  get size(): number {
    return this.count
  }

  arm(keyId: T, name: string, at: number): void {
    let timers = this.live.get(keyId)
    if (timers === undefined) this.live.set(keyId, (timers = new Map<string, Timer<T>>()))
    const old = timers.get(name)
    if (old?.at === at) return
    if (old === undefined) this.count++
    const timer = { keyId, name, at }
    timers.set(name, timer)
    this.push(timer)
    this.compactWhenDue()
  }

  cancel(keyId: T, name: string): void {
    const timers = this.live.get(keyId)
    if (timers?.delete(name) !== true) return
    this.count--
    if (timers.size === 0) this.live.delete(keyId)
    this.compactWhenDue()
  }

  forget(keyId: T): void {
    this.count -= this.live.get(keyId)?.size ?? 0
    this.live.delete(keyId)
    this.compactWhenDue()
  }

  hasTimers(keyId: T): boolean {
    return this.live.has(keyId)
  }

  timersOf(keyId: T): readonly Timer<T>[] {
    return [...(this.live.get(keyId)?.values() ?? [])]
  }

  /** Takes the first timer with `at` ≤ `upTo`. */
  popDue(upTo: number): Timer<T> | undefined {
    const first = this.first()
    if (first === undefined || first.at > upTo) return undefined
    this.pop()
    this.cancel(first.keyId, first.name)
    return first
  }

  /** The first timer, left where it is. */
  peek(): Timer<T> | undefined {
    return this.first()
  }

  nextAt(): number | undefined {
    return this.first()?.at
  }

  private first(): Timer<T> | undefined {
    for (let top = this.heap[0]; top !== undefined; top = this.heap[0]) {
      if (this.live.get(top.keyId)?.get(top.name) === top) return top
      this.pop()
    }
    return undefined
  }

  private compactWhenDue(): void {
    if (this.heap.length <= 2 * this.count + slack) return
    const kept = this.heap.filter(timer => this.live.get(timer.keyId)?.get(timer.name) === timer)
    this.heap = kept.sort((a, b) => (before(a, b) ? -1 : 1))
  }

  private push(timer: Timer<T>): void {
    const { heap } = this
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(timer, heap[parent] as Timer<T>)) break
      heap[at] = heap[parent] as Timer<T>
      at = parent
    }
    heap[at] = timer
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Timer<T>, heap[child] as Timer<T>)) child++
      if (!before(heap[child] as Timer<T>, last)) break
      heap[at] = heap[child] as Timer<T>
      at = child
    }
    heap[at] = last
  }
}

function before<T extends TimerOwner>(a: Timer<T>, b: Timer<T>): boolean {
  if (a.at !== b.at) return a.at < b.at
  if (a.keyId.orderKey !== b.keyId.orderKey) return a.keyId.orderKey < b.keyId.orderKey
  return a.name < b.name
}
