/** Writing and reading bytes with bounds. Fixed integers are big-endian, so that byte order is number order. */
import { CodedError } from './errors.ts'

/** WTF-8: UTF-8 in which a lone surrogate is three bytes, so that every JavaScript string comes back exactly. */
function writeText(target: Uint8Array, at: number, text: string): number {
  let to = at
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i)
    if (code < 0x80) {
      target[to++] = code
      continue
    }
    if (code < 0x800) {
      target[to++] = 0xc0 | (code >> 6)
      target[to++] = 0x80 | (code & 0x3f)
      continue
    }
    const low = code >= 0xd800 && code < 0xdc00 ? text.charCodeAt(i + 1) : NaN
    if (low >= 0xdc00 && low < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
      i++
      target[to++] = 0xf0 | (code >> 18)
      target[to++] = 0x80 | ((code >> 12) & 0x3f)
    } else target[to++] = 0xe0 | (code >> 12)
    target[to++] = 0x80 | ((code >> 6) & 0x3f)
    target[to++] = 0x80 | (code & 0x3f)
  }
  return to
}

/** Up to so many characters one at a time is faster than a call for all of them. */
const shortText = 12

function isAscii(source: Uint8Array, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (!((source[i] as number) < 0x80)) return false
  return true
}

function readText(source: Uint8Array, from: number, end: number): string {
  if (end - from > shortText && isAscii(source, from, end)) return latin1OfBytes(source, from, end)
  const units: number[] = []
  let text = ''
  let at = from
  const trail = (): number => {
    const byte = at < end ? (source[at++] as number) : 0
    if ((byte & 0xc0) !== 0x80) throw new CodedError('CORRUPT', `malformed text at byte ${at - 1}`)
    return byte & 0x3f
  }
  while (at < end) {
    const lead = source[at++] as number
    if (lead < 0x80) units.push(lead)
    else if (lead >= 0xc2 && lead < 0xe0) units.push(((lead & 0x1f) << 6) | trail())
    else if (lead >= 0xe0 && lead < 0xf0) units.push(((lead & 0x0f) << 12) | (trail() << 6) | trail())
    else if (lead >= 0xf0 && lead < 0xf5) {
      const code = (((lead & 0x07) << 18) | (trail() << 12) | (trail() << 6) | trail()) - 0x10000
      if (code < 0 || code > 0xfffff) throw new CodedError('CORRUPT', `malformed text at byte ${at}`)
      units.push(0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff))
    } else throw new CodedError('CORRUPT', `malformed text at byte ${at - 1}`)
    if (units.length >= 4096) text += String.fromCharCode(...units.splice(0))
  }
  return text + String.fromCharCode(...units)
}

const utf8 = new TextEncoder()
/** From so many characters on a call for all of them is faster than one at a time. */
const longText = 48

/** Of ECMAScript 2024; the library of our target does not know it. */
const isWellFormed = (s: string): boolean => (s as string & { isWellFormed(): boolean }).isWellFormed()

/** From so many bytes on, memory that is not zeroed first is worth its longer way. */
const largeBytes = 4096

/** Memory that holds anything: for whoever writes to all of it, or tells how far, before it is read. */
export function unfilledBytes(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}

function varuintBytes(n: number): number {
  let bytes = 1
  for (let rest = n; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

export class ByteWriter {
  private buffer: Uint8Array
  private fixed: DataView | undefined
  length = 0

  constructor(initialBytes = 256) {
    this.buffer = new Uint8Array(initialBytes)
  }

  /** Made once it is needed: most writers write no fixed numbers. */
  private get floats(): DataView {
    return (this.fixed ??= new DataView(this.buffer.buffer))
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    // Large ones grow by less: what is not used counts as memory too.
    const factor = this.buffer.length < 1024 * 1024 ? 2 : 1.5
    const grown = unfilledBytes(Math.max(Math.ceil(this.buffer.length * factor), this.length + bytes))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
    this.fixed = undefined
  }

  u8(n: number): void {
    this.reserve(1)
    this.buffer[this.length++] = n
  }
  u16(n: number): void {
    this.reserve(2)
    this.floats.setUint16(this.length, n)
    this.length += 2
  }
  u32(n: number): void {
    this.reserve(4)
    this.floats.setUint32(this.length, n)
    this.length += 4
  }
  f64(n: number): void {
    this.reserve(8)
    this.floats.setFloat64(this.length, n)
    this.length += 8
  }
  /** LEB128 of a safe, non-negative integer. */
  varuint(n: number): void {
    this.reserve(8)
    let rest = n
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.buffer[this.length++] = rest
  }
  /** Raw. */
  bytes(b: Uint8Array): void {
    this.reserve(b.length)
    this.buffer.set(b, this.length)
    this.length += b.length
  }
  /** A part of other bytes, without an object for it. */
  copy(from: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.reserve(length)
    if (length > 128) this.buffer.set(from.subarray(start, end), this.length)
    else for (let i = 0; i < length; i++) this.buffer[this.length + i] = from[start + i] as number
    this.length += length
  }
  /** Length and bytes. */
  block(b: Uint8Array): void {
    this.varuint(b.length)
    this.bytes(b)
  }
  /** Byte length and WTF-8. */
  string(s: string): void {
    this.reserve(s.length * 3 + 8)
    const start = this.length
    // As if it were ASCII.
    this.varuint(s.length)
    const at = this.length
    const end = this.put(s)
    const bytes = end - at
    if (bytes !== s.length) {
      const body = start + varuintBytes(bytes)
      // Before the length is written, which may reach into it.
      if (body !== at) this.buffer.copyWithin(body, at, end)
      this.length = start
      this.varuint(bytes)
    }
    this.length += bytes
  }
  /** WTF-8 at the end, where there is room for it; answers where it ends. */
  private put(s: string): number {
    const at = this.length
    if (s.length <= longText || !isWellFormed(s)) return writeText(this.buffer, at, s)
    return at + utf8.encodeInto(s, this.buffer.subarray(at)).written
  }
  /** What `write` makes of a value, in the memory that there is: it answers where that ends, or -1: it cannot, or has no room; then nothing was added. */
  append<T>(value: T, write: (value: T, memory: Uint8Array, at: number) => number): boolean {
    const end = write(value, this.buffer, this.length)
    if (end < 0) return false
    this.length = end
    return true
  }
  /** WTF-8 without a length. */
  text(s: string): void {
    this.reserve(s.length * 3)
    this.length = this.put(s)
  }
  /** UTF-8 without a length, as TextEncoder writes it: of a lone surrogate U+FFFD. */
  utf8(s: string): void {
    this.reserve(s.length * 3)
    const { buffer, length: at } = this
    if (s.length <= longText) {
      let i = 0
      for (; i < s.length; i++) {
        const code = s.charCodeAt(i)
        if (code >= 0x80) break
        buffer[at + i] = code
      }
      if (i === s.length) {
        this.length = at + i
        return
      }
    }
    this.length = at + utf8.encodeInto(s, buffer.subarray(at)).written
  }
  patchU16(at: number, n: number): void {
    this.floats.setUint16(at, n)
  }
  patchU32(at: number, n: number): void {
    this.floats.setUint32(at, n)
  }
  truncate(length: number): void {
    this.length = length
  }
  reset(): void {
    this.length = 0
  }
  /** What is written lies in its first `length` bytes, anything behind them; valid until the next write. */
  get raw(): Uint8Array {
    return this.buffer
  }
  /** Valid until the next write. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }
  /** A copy. */
  take(): Uint8Array {
    if (this.length < largeBytes) return this.buffer.slice(0, this.length)
    const copy = unfilledBytes(this.length)
    copy.set(this.buffer.subarray(0, this.length))
    return copy
  }
}

/** Every read is bounded; anything malformed throws CORRUPT. */
export class ByteReader {
  readonly source: Uint8Array
  offset: number
  readonly end: number
  private readonly view: DataView

  constructor(source: Uint8Array, offset = 0, end = source.length) {
    this.source = source
    this.offset = offset
    this.end = end
    this.view = new DataView(source.buffer, source.byteOffset, source.byteLength)
  }

  get remaining(): number {
    return this.end - this.offset
  }

  private advance(bytes: number): number {
    const at = this.offset
    if (bytes > this.end - at)
      throw new CodedError('CORRUPT', `${bytes} bytes wanted at byte ${at}, ${this.end - at} left`)
    this.offset = at + bytes
    return at
  }

  u8(): number {
    return this.view.getUint8(this.advance(1))
  }
  u16(): number {
    return this.view.getUint16(this.advance(2))
  }
  u32(): number {
    return this.view.getUint32(this.advance(4))
  }
  f64(): number {
    return this.view.getFloat64(this.advance(8))
  }
  varuint(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break
        return value
      }
      factor *= 0x80
    }
    throw new CodedError('CORRUPT', `an integer that is too large before byte ${this.offset}`)
  }
  bytes(length: number): Uint8Array {
    const at = this.advance(length)
    return this.source.subarray(at, at + length)
  }
  block(): Uint8Array {
    return this.bytes(this.varuint())
  }
  string(): string {
    return this.text(this.varuint())
  }
  text(length: number): string {
    const at = this.advance(length)
    return readText(this.source, at, at + length)
  }
  expectEnd(): void {
    if (this.remaining !== 0) throw new CodedError('CORRUPT', `${this.remaining} bytes too many at byte ${this.offset}`)
  }
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** The bytes that `latin1OfBytes` was given. */
export function bytesOfLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** One character a byte: a key of a Map that keeps the order of the bytes. */
export function latin1OfBytes(bytes: Uint8Array, from = 0, end = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('latin1')
}
