/** Incremental aggregates of windows. */
import { copyValue } from './copy-value.ts'

/**
 * Folds the events of a window one by one; the accumulator is durable state, so a plain storable value.
 * - `create` gives a fresh accumulator each time.
 * - `create` is neutral: merging it with `b` gives what `b` gives.
 * - `add` may change `acc` and returns the new one. `time` is the event's time, ms. An accumulator that keeps a part of the
 *   event keeps a copy: no two accumulators may hold one object.
 * - `merge` joins two parts of a window, `a` of the earlier times. It may change `a`, never `b`.
 * - `result` changes nothing: it may be asked several times.
 */
export interface Aggregate<in T, A, out R> {
  /** Part of the stored identity: state of an aggregate of another name is refused. */
  readonly name?: string
  create(): A
  add(acc: A, value: T, time: number): A
  merge(a: A, b: A): A
  result(acc: A): R
}

export function count(): Aggregate<unknown, number, number> {
  return { name: 'count', create: () => 0, add: acc => acc + 1, merge: (a, b) => a + b, result: acc => acc }
}

export function sum<T>(f: (value: T) => number): Aggregate<T, number, number> {
  return {
    name: 'sum',
    create: () => 0,
    add: (acc, value) => acc + f(value),
    merge: (a, b) => a + b,
    result: acc => acc
  }
}

export function mean<T>(f: (value: T) => number): Aggregate<T, { sum: number; n: number }, number> {
  return {
    name: 'mean',
    create: () => ({ sum: 0, n: 0 }),
    add(acc, value) {
      acc.sum += f(value)
      acc.n++
      return acc
    },
    merge(a, b) {
      a.sum += b.sum
      a.n += b.n
      return a
    },
    result: acc => acc.sum / acc.n
  }
}

/** NaN if any value is. */
export function min<T>(f: (value: T) => number): Aggregate<T, number, number> {
  return {
    name: 'min',
    create: () => Infinity,
    add: (acc, value) => Math.min(acc, f(value)),
    merge: Math.min,
    result: acc => acc
  }
}

/** NaN if any value is. */
export function max<T>(f: (value: T) => number): Aggregate<T, number, number> {
  return {
    name: 'max',
    create: () => -Infinity,
    add: (acc, value) => Math.max(acc, f(value)),
    merge: Math.max,
    result: acc => acc
  }
}

interface Picked<V> {
  readonly time: number
  readonly value: V
}

/** A copy: two accumulators may pick the same part of an event, and each is stored by itself. */
function pick<V>(time: number, value: V): Picked<V> {
  return { time, value: copyValue(value, 'first() or last()') as V }
}

/** Of the event with the least time; of several, the one that came first. */
export function first<T, V>(f: (value: T) => V): Aggregate<T, Picked<V> | null, V> {
  return {
    name: 'first',
    create: () => null,
    add: (acc, value, time) => (acc === null || time < acc.time ? pick(time, f(value)) : acc),
    merge: (a, b) => (a === null || (b !== null && b.time < a.time) ? b : a),
    result: picked
  }
}

/** Of the event with the greatest time; of several, the one that came last. */
export function last<T, V>(f: (value: T) => V): Aggregate<T, Picked<V> | null, V> {
  return {
    name: 'last',
    create: () => null,
    add: (acc, value, time) => (acc === null || time >= acc.time ? pick(time, f(value)) : acc),
    merge: (a, b) => (a === null || (b !== null && b.time >= a.time) ? b : a),
    result: picked
  }
}

function picked<V>(acc: Picked<V> | null): V {
  if (acc === null) throw new TypeError('first() and last() have no result before an event')
  return acc.value
}

/** How many different values; exact, so the state grows with them. */
export function distinctCount<T>(
  f: (value: T) => string | number | bigint | boolean
): Aggregate<T, Set<string | number | bigint | boolean>, number> {
  return {
    name: 'distinctCount',
    create: () => new Set(),
    add: (acc, value) => acc.add(f(value)),
    merge(a, b) {
      for (const value of b) a.add(value)
      return a
    },
    result: acc => acc.size
  }
}
