/**
 * Comma-separated files as a bounded log: several files are partitions, a position is the byte at which a row begins. Rows are found
 * by their bytes, parsed when the value is asked for, so that one malformed row is one refused record and the others go on.
 */
import { CodedError } from '../kernel/errors.ts'
import type { Fetched, LogReader, RecordBatch } from '../ports/log.ts'
import { InputFiles } from './input-files.ts'

/** A longer row is taken for a quote that was never closed; holding more would break the memory limit. */
const rowLimitBytes = 1024 * 1024
const newline = 0x0a
const carriageReturn = 0x0d
const quote = 0x22

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export interface CsvOptions {
  /** One ASCII character. */
  readonly separator: string
  readonly make: (row: Readonly<Record<string, string>>) => unknown
}

interface Header {
  readonly columns: readonly string[]
  /** Where the first row begins. */
  readonly end: number
}

export class CsvReader implements LogReader {
  private readonly files: InputFiles
  private readonly options: CsvOptions
  private readonly headers = new Map<number, Header>()

  /** @param paths one partition each */
  constructor(paths: readonly string[], options: CsvOptions) {
    this.files = new InputFiles(paths)
    this.options = options
  }

  partitions(): Promise<readonly { readonly name: string }[]> {
    return this.files.partitions()
  }

  async start(partition: number): Promise<number> {
    return (await this.header(partition)).end
  }

  async fetch(partition: number, position: number, maxBytes: number): Promise<Fetched> {
    const header = await this.header(partition)
    const size = await this.files.size(partition)
    if (position > size || position < header.end) return { kind: 'out-of-range', earliest: header.end, end: size }
    if (position === size) return { kind: 'finished' }
    for (let wanted = maxBytes; ; wanted = Math.max(wanted * 2, rowLimitBytes)) {
      const chunk = await this.files.read(partition, position, wanted)
      if (chunk.length < Math.min(wanted, size - position))
        return { kind: 'out-of-range', earliest: header.end, end: position + chunk.length }
      const rows = findRows(chunk, position + chunk.length === size, this.options.separator)
      if (rows.starts.length > 0) {
        const batch = new RowBatch(chunk, position, rows, header.columns, this.options)
        return { kind: 'records', batch, next: position + rows.used, end: size }
      }
      if (rows.used > 0) return { kind: 'caught-up', next: position + rows.used }
      if (chunk.length >= rowLimitBytes)
        throw new CodedError(
          'DECODE_FAILED',
          `input "${this.files.paths[partition]}", byte ${position}: a row of more than ${rowLimitBytes} bytes`
        )
    }
  }

  close(): Promise<void> {
    return this.files.close()
  }

  private async header(partition: number): Promise<Header> {
    const known = this.headers.get(partition)
    if (known !== undefined) return known
    const chunk = await this.files.read(partition, 0, rowLimitBytes)
    const atEnd = chunk.length === (await this.files.size(partition))
    const mark = chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? 3 : 0
    const header = this.parseHeader(chunk.subarray(mark), atEnd, mark, `input "${this.files.paths[partition]}"`)
    this.headers.set(partition, header)
    return header
  }

  private parseHeader(bytes: Uint8Array, atEnd: boolean, mark: number, what: string): Header {
    const { starts, ends, nexts, used } = findRows(bytes, atEnd, this.options.separator, 1)
    try {
      if (starts.length === 0 && used < bytes.length) throw new TypeError(`a row of more than ${rowLimitBytes} bytes`)
      if (starts.length === 0) return { columns: [], end: mark + used }
      const columns = fieldsOf(decoder.decode(bytes.subarray(starts[0], ends[0])), this.options.separator)
      const twice = columns.find((name, i) => columns.indexOf(name) !== i)
      if (twice !== undefined) throw new TypeError(`two columns are named "${twice}"`)
      return { columns, end: mark + (nexts[0] as number) }
    } catch (cause) {
      throw new CodedError('DECODE_FAILED', `${what}, first row: ${(cause as Error).message}`, { cause })
    }
  }
}

interface Rows {
  readonly starts: number[]
  readonly ends: number[]
  /** Behind the newline. */
  readonly nexts: number[]
  /** Bytes consumed. */
  used: number
}

class RowBatch implements RecordBatch {
  private readonly chunk: Uint8Array
  private readonly base: number
  private readonly rows: Rows
  private readonly columns: readonly string[]
  private readonly options: CsvOptions

  constructor(chunk: Uint8Array, base: number, rows: Rows, columns: readonly string[], options: CsvOptions) {
    this.chunk = chunk
    this.base = base
    this.rows = rows
    this.columns = columns
    this.options = options
  }
  get count(): number {
    return this.rows.starts.length
  }
  get sizeBytes(): number {
    return this.chunk.length
  }
  offset(i: number): number {
    return this.base + (this.rows.starts[i] as number)
  }
  timestamp(): number {
    return NaN
  }
  key(): undefined {
    return undefined
  }
  value(i: number): Uint8Array {
    return this.chunk.subarray(this.rows.starts[i], this.rows.ends[i])
  }
  valueObject(i: number): unknown {
    const fields = fieldsOf(decoder.decode(this.value(i)), this.options.separator)
    if (fields.length !== this.columns.length)
      throw new TypeError(`a row of ${fields.length} fields under ${this.columns.length} columns`)
    const row: Record<string, string> = {}
    for (let field = 0; field < fields.length; field++) {
      const column = this.columns[field] as string
      const value = fields[field] as string
      if (column === '__proto__')
        Object.defineProperty(row, column, { value, writable: true, enumerable: true, configurable: true })
      else row[column] = value
    }
    return this.options.make(row)
  }
}

/** Finds whole rows; blank lines are skipped. A row that goes on behind the chunk is left for the next one. */
function findRows(chunk: Uint8Array, atEnd: boolean, separator: string, limit = Infinity): Rows {
  const rows: Rows = { starts: [], ends: [], nexts: [], used: 0 }
  let nextQuote = -1
  while (rows.used < chunk.length && rows.starts.length < limit) {
    const from = rows.used
    if (nextQuote < from) {
      nextQuote = chunk.indexOf(quote, from)
      if (nextQuote < 0) nextQuote = Infinity
    }
    let to = chunk.indexOf(newline, from)
    if (to >= 0 ? nextQuote < to : nextQuote < chunk.length) {
      const closed = quotedRowEnd(chunk, from, atEnd, separator.charCodeAt(0))
      if (closed !== undefined) to = closed
      else if (!atEnd && chunk.length - from < rowLimitBytes) return rows
    }
    if (to < 0) {
      if (!atEnd) return rows
      to = chunk.length
    }
    rows.used = Math.min(chunk.length, to + 1)
    const end = to > from && chunk[to - 1] === carriageReturn ? to - 1 : to
    if (end === from) continue
    rows.starts.push(from)
    rows.ends.push(end)
    rows.nexts.push(rows.used)
  }
  return rows
}

/**
 * The newline that ends a row with quotes. A malformed row ends at its first newline, so that it takes no other row with it.
 * Undefined when the row goes on behind the chunk, or a quote stays open for more than a row may have.
 */
function quotedRowEnd(chunk: Uint8Array, from: number, atEnd: boolean, separator: number): number | undefined {
  const end = Math.min(chunk.length, from + rowLimitBytes)
  let at = from
  for (;;) {
    if (chunk[at] === quote) {
      do at = chunk.indexOf(quote, at + 1) + 1
      while (at > 0 && at < end && chunk[at] === quote)
      if (at === 0 || at > end || (at === end && !atEnd)) return undefined
      if (chunk[at] === carriageReturn) {
        if (at + 1 === end) return atEnd && end === chunk.length ? end : undefined
        if (chunk[at + 1] === newline) at++
      }
      if (at < end && chunk[at] !== separator && chunk[at] !== newline) return chunk.indexOf(newline, from)
    } else while (at < end && chunk[at] !== separator && chunk[at] !== newline) at++
    if (at >= end) return atEnd && end === chunk.length ? end : undefined
    if (chunk[at] === newline) return at
    at++
  }
}

/** Throws a TypeError on what RFC 4180 does not allow. */
export function fieldsOf(row: string, separator: string): string[] {
  if (!row.includes('"')) return row.split(separator)
  const fields: string[] = []
  let at = 0
  for (;;) {
    if (row[at] === '"') {
      const [field, after] = quotedField(row, at)
      if (after < row.length && row[after] !== separator)
        throw new TypeError(`character ${after}: text behind a closing quote`)
      fields.push(field)
      at = after
    } else {
      const to = row.indexOf(separator, at)
      const field = row.slice(at, to < 0 ? row.length : to)
      if (field.includes('"')) throw new TypeError(`character ${at}: a quote inside a field that is not quoted`)
      fields.push(field)
      at += field.length
    }
    if (at >= row.length) return fields
    at++
  }
}

function quotedField(row: string, from: number): [string, number] {
  let field = ''
  let at = from + 1
  for (;;) {
    const to = row.indexOf('"', at)
    if (to < 0) throw new TypeError(`character ${from}: a quote that is never closed`)
    field += row.slice(at, to)
    if (row[to + 1] !== '"') return [field, to + 1]
    field += '"'
    at = to + 2
  }
}
