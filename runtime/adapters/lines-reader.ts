/** Newline-delimited files as a bounded log: several files are partitions, a position is the byte at which a line begins. */
import { CodedError } from '../kernel/errors.ts'
import type { Fetched, LogReader, RecordBatch } from '../ports/log.ts'
import { InputFiles } from './input-files.ts'

/** A longer line is taken for a file that is not newline-delimited; holding it would break the memory limit. */
const lineLimitBytes = 16 * 1024 * 1024
const newline = 0x0a
const carriageReturn = 0x0d

class LineBatch implements RecordBatch {
  private readonly chunk: Uint8Array
  private readonly base: number
  private readonly starts: readonly number[]
  private readonly ends: readonly number[]

  constructor(chunk: Uint8Array, base: number, starts: readonly number[], ends: readonly number[]) {
    this.chunk = chunk
    this.base = base
    this.starts = starts
    this.ends = ends
  }
  get count(): number {
    return this.starts.length
  }
  get sizeBytes(): number {
    return this.chunk.length
  }
  offset(i: number): number {
    return this.base + (this.starts[i] as number)
  }
  timestamp(): number {
    return NaN
  }
  key(): undefined {
    return undefined
  }
  value(i: number): Uint8Array {
    return this.chunk.subarray(this.starts[i], this.ends[i])
  }
}

export class LinesReader implements LogReader {
  private readonly files: InputFiles

  /** @param paths one partition each */
  constructor(paths: readonly string[]) {
    this.files = new InputFiles(paths)
  }

  partitions(): Promise<readonly { readonly name: string }[]> {
    return this.files.partitions()
  }

  start(): Promise<number> {
    return Promise.resolve(0)
  }

  async fetch(partition: number, position: number, maxBytes: number): Promise<Fetched> {
    const size = await this.files.size(partition)
    if (position > size) return { kind: 'out-of-range', earliest: 0, end: size }
    for (let wanted = maxBytes; ; wanted *= 2) {
      if (position === size) return { kind: 'finished' }
      const chunk = await this.files.read(partition, position, wanted)
      if (chunk.length < Math.min(wanted, size - position))
        return { kind: 'out-of-range', earliest: 0, end: position + chunk.length }
      const atEnd = position + chunk.length === size
      const starts: number[] = []
      const ends: number[] = []
      const used = split(chunk, atEnd, starts, ends)
      if (used > 0) {
        if (starts.length > 0)
          return {
            kind: 'records',
            batch: new LineBatch(chunk, position, starts, ends),
            next: position + used,
            end: size
          }
        return { kind: 'caught-up', next: position + used }
      }
      if (wanted >= lineLimitBytes)
        throw new CodedError(
          'DECODE_FAILED',
          `input "${this.files.paths[partition]}", byte ${position}: a line of more than ${lineLimitBytes} bytes`
        )
    }
  }

  close(): Promise<void> {
    return this.files.close()
  }
}

/** Finds whole lines; empty ones are skipped. Returns the bytes consumed. */
function split(chunk: Uint8Array, atEnd: boolean, starts: number[], ends: number[]): number {
  let from = 0
  for (;;) {
    let to = chunk.indexOf(newline, from)
    if (to < 0) {
      if (!atEnd || from === chunk.length) return from
      to = chunk.length
    }
    const end = to > from && chunk[to - 1] === carriageReturn ? to - 1 : to
    if (end > from) {
      starts.push(from)
      ends.push(end)
    }
    from = to + 1
    if (from > chunk.length) return chunk.length
  }
}
