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

/** What is left in the end of updates in a file: the last row of each key. */
export async function lastRows({ key }: Query, path: string): Promise<string[]> {
  const last = new Map<string, string>()
  for await (const { text, deleted } of linesOf(path)) {
    const row = JSON.parse(text) as Row
    const name = key.map(each => String(row[each])).join(' ')
    if (deleted) last.delete(name)
    else last.set(name, text)
  }
  return [...last.values()]
}

export async function hashOfLast(query: Query, path: string): Promise<string> {
  const hash = new RowsHash()
  for (const row of await lastRows(query, path)) hash.add(Buffer.from(row))
  return hash.text
}
