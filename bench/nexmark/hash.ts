/** Hashes of results: the same for the same rows in any order. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { crc32 } from 'node:zlib'
import type { Query, Row } from './catalogue.ts'

/** Of rows, each as bytes, regardless of order; each counts as often as it comes. */
export class RowsHash {
  private first = 0
  private second = 0

  add(row: Uint8Array): void {
    const checksum = crc32(row)
    this.first = (this.first + checksum) >>> 0
    this.second = (this.second + Math.imul(checksum ^ (checksum >>> 15), 0x2c1b3c6d ^ row.length)) >>> 0
  }

  get text(): string {
    return [this.first, this.second].map(part => part.toString(16).padStart(8, '0')).join('')
  }
}

/** Rows of a file, a line each; one that is taken back has "-" before it. */
export async function* linesOf(path: string): AsyncIterable<{ readonly text: string; readonly deleted: boolean }> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
    yield line.startsWith('-') ? { text: line.slice(1), deleted: true } : { text: line, deleted: false }
}

/** What is left in the end of updates: the last row of each key. */
export class LastRows {
  private readonly key: readonly string[]
  private readonly last = new Map<string, string>()

  constructor({ key }: Query) {
    this.key = key
  }

  /** @param deleted the row is taken back */
  take(text: string, deleted = false): void {
    const row = JSON.parse(text) as Row
    const name = this.key.map(each => String(row[each])).join(' ')
    if (deleted) this.last.delete(name)
    else this.last.set(name, text)
  }

  get rows(): string[] {
    return [...this.last.values()]
  }

  get hash(): string {
    const hash = new RowsHash()
    for (const row of this.last.values()) hash.add(Buffer.from(row))
    return hash.text
  }
}

async function lastIn(query: Query, path: string): Promise<LastRows> {
  const last = new LastRows(query)
  for await (const { text, deleted } of linesOf(path)) last.take(text, deleted)
  return last
}

/** Of updates in a file. */
export const lastRows = async (query: Query, path: string): Promise<string[]> => (await lastIn(query, path)).rows
export const hashOfLast = async (query: Query, path: string): Promise<string> => (await lastIn(query, path)).hash
