/**
 * What was compressed by LZ4, in its frame format
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, lz4_Block_format.md). Checksums of the frame are not looked at: the
 * batch has one over all of it.
 */
import { CodedError } from '../../kernel/errors.ts'

const magic = 0x184d2204
const hasDictionary = 1
const hasContentSize = 8
const hasBlockChecksums = 16
const uncompressedBit = 0x80000000

const corrupt = (what: string): CodedError => new CodedError('CORRUPT', `compressed records: ${what}`)

/** Throws CORRUPT, where it would become larger than `mostBytes`, too. */
export function uncompressLz4(bytes: Uint8Array, mostBytes: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < 7 || view.getUint32(0, true) !== magic) throw corrupt('no LZ4 frame')
  const flags = view.getUint8(4)
  if (flags >> 6 !== 1 || (flags & hasDictionary) !== 0) throw corrupt('an LZ4 frame of an unknown kind')
  const out = new Output(mostBytes)
  for (let at = 7 + ((flags & hasContentSize) === 0 ? 0 : 8); ;) {
    if (at + 4 > bytes.length) throw corrupt('an LZ4 frame without an end')
    const size = view.getUint32(at, true)
    if (size === 0) return out.take()
    const length = (size & ~uncompressedBit) >>> 0
    const end = at + 4 + length
    if (end > bytes.length) throw corrupt('a block that is cut off')
    if ((size & uncompressedBit) !== 0) out.copy(bytes, at + 4, end)
    else uncompressBlock(bytes, at + 4, end, out)
    at = end + ((flags & hasBlockChecksums) === 0 ? 0 : 4)
  }
}

function uncompressBlock(bytes: Uint8Array, from: number, end: number, out: Output): void {
  let at = from
  const lengthOf = (nibble: number): number => {
    let length = nibble
    if (nibble < 15) return length
    for (let byte = 255; byte === 255; length += byte) {
      if (at >= end) throw corrupt('a length that has no end')
      byte = bytes[at++] as number
    }
    return length
  }
  while (at < end) {
    const token = bytes[at++] as number
    const literals = lengthOf(token >> 4)
    if (literals > end - at) throw corrupt('a block that is shorter than it says')
    out.copy(bytes, at, at + literals)
    at += literals
    // The last sequence has no copy.
    if (at === end) return
    if (at + 2 > end) throw corrupt('a copy that is cut off')
    const distance = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
    at += 2
    out.repeat(distance, 4 + lengthOf(token & 15))
  }
}

/** Grows as it is written: nobody's promise is believed. Copies may reach back into blocks before. */
class Output {
  private readonly most: number
  private bytes = new Uint8Array(0)
  private length = 0

  constructor(most: number) {
    this.most = most
  }

  private grow(to: number): void {
    if (to > this.most) throw corrupt(`more than ${this.most} bytes`)
    if (to <= this.bytes.length) return
    const bytes = new Uint8Array(Math.min(this.most, Math.max(to, 2 * this.bytes.length)))
    bytes.set(this.bytes.subarray(0, this.length))
    this.bytes = bytes
  }

  copy(source: Uint8Array, from: number, end: number): void {
    this.grow(this.length + end - from)
    this.bytes.set(source.subarray(from, end), this.length)
    this.length += end - from
  }

  repeat(distance: number, count: number): void {
    if (distance === 0 || distance > this.length) throw corrupt('a copy that points outside of itself')
    this.grow(this.length + count)
    const { bytes } = this
    for (let left = count, to = this.length; left > 0; left--, to++) bytes[to] = bytes[to - distance] as number
    this.length += count
  }

  take(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}
