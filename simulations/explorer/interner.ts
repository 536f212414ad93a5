import { createHash } from 'node:crypto'

/** Small numbers for large values that nobody changes: a state of the search is a few of them. */
export class Interner<T> {
  readonly values: T[] = []
  private readonly ids = new Map<string, number>()

  id(value: T): number {
    const text = short(JSON.stringify(value))
    const known = this.ids.get(text)
    if (known !== undefined) return known
    this.ids.set(text, this.values.length)
    return this.values.push(value) - 1
  }

  get(id: number): T {
    return this.values[id] as T
  }
}

/** The text itself, or what stands for it: texts of a worker are kilobytes each. */
function short(text: string): string {
  return text.length < 100 ? text : createHash('sha1').update(text).digest('base64')
}

/** A set of rows of small numbers, numbered in order of arrival, each with the row it came from. About 60 bytes a row. */
export class StateTable {
  readonly width: number
  size = 0
  private rows: Int32Array
  private parents: Int32Array
  private buckets: Int32Array

  constructor(width: number) {
    this.width = width
    this.rows = new Int32Array(width * 1024)
    this.parents = new Int32Array(1024)
    this.buckets = new Int32Array(4096).fill(-1)
  }

  row(index: number): number[] {
    return [...this.rows.subarray(index * this.width, (index + 1) * this.width)]
  }

  parent(index: number): number {
    return this.parents[index] as number
  }

  /** True when the row is new. */
  add(row: readonly number[], parent: number): boolean {
    let at = this.bucketOf(row)
    for (; this.buckets[at] !== -1; at = (at + 1) & (this.buckets.length - 1))
      if (this.equals(this.buckets[at] as number, row)) return false
    if ((this.size + 1) * this.width > this.rows.length) this.grow()
    this.rows.set(row, this.size * this.width)
    this.parents[this.size] = parent
    this.buckets[at] = this.size++
    if (this.size * 2 > this.buckets.length) this.rehash()
    return true
  }

  private equals(index: number, row: readonly number[]): boolean {
    const from = index * this.width
    for (let i = 0; i < this.width; i++) if (this.rows[from + i] !== row[i]) return false
    return true
  }

  private bucketOf(row: readonly number[]): number {
    let hash = 0x811c9dc5
    for (const part of row) {
      hash = Math.imul(hash ^ part, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash & (this.buckets.length - 1)
  }

  private grow(): void {
    const rows = new Int32Array(this.rows.length * 2)
    rows.set(this.rows)
    this.rows = rows
    const parents = new Int32Array(this.parents.length * 2)
    parents.set(this.parents)
    this.parents = parents
  }

  private rehash(): void {
    this.buckets = new Int32Array(this.buckets.length * 2).fill(-1)
    for (let index = 0; index < this.size; index++) {
      let at = this.bucketOf(this.row(index))
      while (this.buckets[at] !== -1) at = (at + 1) & (this.buckets.length - 1)
      this.buckets[at] = index
    }
  }
}
