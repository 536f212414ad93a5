/** Newline-delimited files as a bounded log: several files are partitions, a position is the byte at which a line begins. */
import { constants } from 'node:fs'
import { access, open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { CodedError } from '../kernel/errors.ts'
import type { Fetched, LogReader, RecordBatch } from '../ports/log.ts'

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
  private readonly paths: readonly string[]
  private readonly open = new Map<number, { readonly handle: FileHandle; readonly size: number }>()

  /** @param paths one partition each; a file is read to the size it has when first opened */
  constructor(paths: readonly string[]) {
    this.paths = paths
  }

  async partitions(): Promise<readonly { readonly name: string }[]> {
    for (const path of this.paths)
      try {
        await access(path, constants.R_OK)
        if (!(await stat(path)).isFile()) throw Object.assign(new Error(), { code: 'not a file' })
      } catch (cause) {
        throw new CodedError(
          'INPUT_MISSING',
          `input "${path}" cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
          { cause }
        )
      }
    return this.paths.map(name => ({ name }))
  }

  start(): Promise<number> {
    return Promise.resolve(0)
  }

  async fetch(partition: number, position: number, maxBytes: number): Promise<Fetched> {
    const { handle, size } = await this.file(partition)
    if (position > size) return { kind: 'out-of-range', earliest: 0, end: size }
    for (let wanted = maxBytes; ; wanted *= 2) {
      if (position === size) return { kind: 'finished' }
      const chunk = new Uint8Array(Math.min(wanted, size - position))
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, position)
      if (bytesRead < chunk.length) return { kind: 'out-of-range', earliest: 0, end: position + bytesRead }
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
          `input "${this.paths[partition]}", byte ${position}: a line of more than ${lineLimitBytes} bytes`
        )
    }
  }

  async close(): Promise<void> {
    for (const { handle } of this.open.values()) await handle.close()
    this.open.clear()
  }

  private async file(partition: number): Promise<{ readonly handle: FileHandle; readonly size: number }> {
    const known = this.open.get(partition)
    if (known !== undefined) return known
    const handle = await open(this.paths[partition] as string, 'r')
    const file = { handle, size: (await handle.stat()).size }
    this.open.set(partition, file)
    return file
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
