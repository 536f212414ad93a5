/**
 * What falls due at a time, earliest first; of equal times, the smaller `order` first. Not `runtime/kernel/heap`, on which the timers rest that
 * the model judges.
 */
export interface Due {
  readonly at: number
  readonly order: number
}

export class DueHeap<T extends Due> {
  private readonly heap: T[] = []

  get first(): T | undefined {
    return this.heap[0]
  }

  push(due: T): void {
    const { heap } = this
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(due, heap[parent] as T)) break
      heap[at] = heap[parent] as T
      at = parent
    }
    heap[at] = due
  }

  pop(): T | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as T, heap[child] as T)) child++
      if (!before(heap[child] as T, last)) break
      heap[at] = heap[child] as T
      at = child
    }
    heap[at] = last
    return first
  }
}

function before(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
