/** Where results end in a measurement: counted, hashed, dropped. What that costs is measured, to be left out. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { writeJson } from '../../actors/json-writer.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { RowsHash } from './hash.ts'
import { totalOf } from './verify.ts'
import type { Query, Row } from './catalogue.ts'

export interface Usage {
  readonly wallMs: number
  readonly cpuMs: number
}

/** Of this process since it began. */
export function usage(): Usage {
  const { user, system } = process.cpuUsage()
  return { wallMs: performance.now(), cpuMs: (user + system) / 1000 }
}

const newline = Buffer.from('\n')
const linesAtOnce = 8192

export class Discard {
  rows = 0
  bytes = 0
  /** Of what it did itself. */
  wallMs = 0
  cpuMs = 0
  private readonly query: Query
  private readonly file: number | undefined
  private readonly rowsHash = new RowsHash()
  private total = 0

  /** @param path of a file that gets all rows, a line each */
  constructor(query: Query, path?: string) {
    this.query = query
    this.file = path === undefined ? undefined : openSync(path, 'w')
  }

  /** The same for the same rows in any order; of a query on the wall clock: of what its counts sum up to. */
  get hash(): string {
    if (this.query.result === 'total') return `total ${this.total}`
    return this.rowsHash.text
  }

  take(values: Iterable<Uint8Array>): void {
    const before = usage()
    let lines: Uint8Array[] = []
    for (const value of values) {
      this.rows++
      this.bytes += value.length
      if (this.file !== undefined) {
        lines.push(value, newline)
        if (lines.length >= linesAtOnce) {
          writeSync(this.file, Buffer.concat(lines))
          lines = []
        }
      }
      if (this.query.result === 'total') {
        this.total += totalOf([JSON.parse(Buffer.from(value).toString()) as Row])
        continue
      }
      this.rowsHash.add(value)
    }
    if (this.file !== undefined) writeSync(this.file, Buffer.concat(lines))
    const after = usage()
    this.wallMs += after.wallMs - before.wallMs
    this.cpuMs += after.cpuMs - before.cpuMs
  }

  /** No more rows come. */
  close(): void {
    if (this.file !== undefined) closeSync(this.file)
  }

  *valuesOf(records: readonly OutputRecord[]): Iterable<Uint8Array> {
    for (const { value } of records) if (value !== undefined) yield value
  }
}

const roomBytes = 1024 * 1024
/** Of one row, at most. */
const rowBytes = 16 * 1024

/** What a loop writes its rows to: JSON in a buffer that is handed on when it is full. */
export class RowBuffer {
  private readonly bytes = Buffer.allocUnsafe(roomBytes + rowBytes)
  private ends: number[] = []
  private length = 0
  private readonly discard: Discard

  constructor(discard: Discard) {
    this.discard = discard
  }

  write(row: Row): void {
    const end = writeJson(row, this.bytes, this.length)
    this.length = end < 0 ? this.length + this.bytes.write(JSON.stringify(row), this.length) : end
    this.ends.push(this.length)
    if (this.length >= roomBytes) this.flush()
  }

  flush(): void {
    this.discard.take(this.values())
    this.ends = []
    this.length = 0
  }

  private *values(): Iterable<Uint8Array> {
    let from = 0
    for (const end of this.ends) {
      yield this.bytes.subarray(from, end)
      from = end
    }
  }
}
