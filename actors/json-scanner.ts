/**
 * Walks over the bytes of one JSON text without making anything of them but what is asked for. It takes no more than JSON.parse does: each
 * method answers that something is irregular (`false`, `undefined`, NaN) where it is, and where only a closer look could tell; whoever asked then
 * leaves the text to JSON.parse, which knows what is wrong or that nothing is.
 *
 * 1. The text is copied, so that a zero, which stands nowhere in JSON, ends it: nothing reads past it, and no length is compared.
 * 2. Bytes above ASCII are checked to be UTF-8, all at once, before the first of them is passed.
 * 3. What is passed over is walked without recursion: nesting takes a byte a level, and the text is at most `longestText` long.
 */

/** In bytes. What is longer is left to JSON.parse: room for it would be kept for ever. */
export const longestText = 256 * 1024

const [quote, plus, comma, minus, dot, zero, nine, colon] = [34, 43, 44, 45, 46, 48, 57, 58]
const [openList, backslash, openObject, closeObject] = [91, 92, 123, 125]
const [lowerA, lowerE, lowerF, lowerN, lowerT, lowerU] = [97, 101, 102, 110, 116, 117]

/** Of bytes in strings: nothing but themselves. */
const plain = new Uint8Array(256)
for (let byte = 0x20; byte < 0x80; byte++) if (byte !== quote && byte !== backslash) plain[byte] = 1
/** Those that may stand behind a backslash, `u` apart. */
const escapable = new Uint8Array(256)
for (const character of '"\\/bfnrt') escapable[character.charCodeAt(0)] = 1

const isDigit = (byte: number): boolean => byte >= zero && byte <= nine
const isHex = (byte: number): boolean => isDigit(byte) || ((byte | 32) >= lowerA && (byte | 32) <= lowerF)

/** So many digits are a whole number below 2^53, and so is what ten of them are a power of: dividing them rounds once, as it should. */
const exactDigits = 15
const powersOfTen = Array.from({ length: exactDigits + 1 }, (_, i) => 10 ** i)

const fatal = new TextDecoder('utf-8', { fatal: true })

/** The text at hand. Of all scanners, since a constant place is read faster; behind it the zero and what is read together with it. */
const bytes = Buffer.alloc(longestText + 4)
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/** Some bytes of a text, none of them zero. */
export interface Passage {
  /** Little-endian, filled up with zeros. */
  readonly words: Int32Array
  /** What counts of the last one. */
  readonly lastMask: number
  readonly length: number
}

export class JsonScanner {
  private length = 0
  private at = 0
  /** That what is not ASCII is UTF-8. */
  private checked = false
  /** Of the string that was passed last. */
  private escaped = false
  private ascii = true
  /** What closes the lists and objects that are open while a value is passed. */
  private closers = new Uint8Array(64)

  /** Begins a text, which is at most `longestText` long. */
  begin(text: Uint8Array): void {
    const { length } = text
    bytes.set(text)
    bytes[length] = 0
    this.length = length
    this.checked = false
    // A byte order mark is dropped, as TextDecoder does.
    this.at = text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? 3 : 0
  }

  /** The byte that comes next, behind white space; zero at the end. */
  peek(): number {
    let byte = bytes[this.at] as number
    while (byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09))
      byte = bytes[++this.at] as number
    return byte
  }

  /** Whether nothing but white space is left. */
  ended(): boolean {
    return this.peek() === 0 && this.at === this.length
  }

  /** Passes the byte if it comes next, behind white space. */
  take(byte: number): boolean {
    if (this.peek() !== byte) return false
    this.at++
    return true
  }

  /** Passes what was `passed` before, if the same comes next. */
  takeAgain({ words, lastMask, length }: Passage): boolean {
    const { at } = this
    const last = words.length - 1
    for (let i = 0; i < last; i++) if (view.getInt32(at + 4 * i, true) !== words[i]) return false
    if ((view.getInt32(at + 4 * last, true) & lastMask) !== words[last]) return false
    this.at = at + length
    return true
  }

  get position(): number {
    return this.at
  }

  /** What was passed since it was at that position. */
  passedSince(position: number): Passage {
    const length = this.at - position
    const words = new Int32Array(Math.ceil(length / 4))
    const lastMask = (-1 >>> (8 * (words.length * 4 - length))) | 0
    for (let i = 0; i < words.length; i++) words[i] = view.getInt32(position + 4 * i, true)
    ;(words[words.length - 1] as number) &= lastMask
    return { words, lastMask, length }
  }

  /** Passes the name of a field and its colon. Answers its candidate, by `hashOf`; undefined: irregular, or written with escapes. */
  name<T extends { readonly name: Uint8Array; readonly next: T | undefined }>(
    candidates: readonly (T | undefined)[]
  ): T | null | undefined {
    if (this.peek() !== quote) return undefined
    const from = this.at
    if (!this.skipString() || this.escaped) return undefined
    const end = this.at
    if (!this.take(colon)) return undefined
    let candidate = candidates[hashOf(bytes, from, end) & (candidates.length - 1)]
    for (; candidate !== undefined; candidate = candidate.next) {
      const { name } = candidate
      if (name.length !== end - from) continue
      let i = 1
      while (i < name.length && name[i] === bytes[from + i]) i++
      if (i === name.length) return candidate
    }
    return null
  }

  /** NaN: irregular. */
  number(): number {
    let byte = this.peek()
    const from = this.at
    let at = from
    if (byte === minus) byte = bytes[++at] as number
    const digits = at
    let value = byte - zero
    if (!isDigit(byte)) return NaN
    byte = bytes[++at] as number
    if (value !== 0) for (; isDigit(byte); byte = bytes[++at] as number) value = value * 10 + byte - zero
    let count = at - digits
    let fraction = 0
    if (byte === dot) {
      const first = ++at
      for (byte = bytes[at] as number; isDigit(byte); byte = bytes[++at] as number) value = value * 10 + byte - zero
      fraction = at - first
      if (fraction === 0) return NaN
      count += fraction
    }
    if (count > exactDigits || byte === lowerE || byte === lowerE - 32)
      return this.skipNumber() ? Number(bytes.toString('latin1', from, this.at)) : NaN
    this.at = at
    if (fraction > 0) value /= powersOfTen[fraction] as number
    return digits > from ? -value : value
  }

  string(): string | undefined {
    if (this.peek() !== quote) return undefined
    const from = this.at
    if (!this.skipString()) return undefined
    if (this.escaped) return JSON.parse(bytes.toString('utf8', from, this.at)) as string
    return bytes.toString(this.ascii ? 'latin1' : 'utf8', from + 1, this.at - 1)
  }

  boolean(): boolean | undefined {
    const value = this.peek() === lowerT
    return (value || bytes[this.at] === lowerF) && this.skipWord() ? value : undefined
  }

  /** Passes a null if one comes next. */
  takeNull(): boolean {
    return this.peek() === lowerN && this.skipWord()
  }

  /** Whatever it is, whole. Undefined: irregular. */
  value(): unknown {
    this.peek()
    const from = this.at
    return this.skipValue() ? JSON.parse(bytes.toString('utf8', from, this.at)) : undefined
  }

  /** Passes a value. */
  skipValue(): boolean {
    const byte = this.peek()
    return byte === openObject || byte === openList ? this.skipNested(byte) : this.skipScalar(byte)
  }

  private skipNested(opener: number): boolean {
    let byte = opener
    let depth = 0
    for (;;) {
      if (byte === openObject || byte === openList) {
        this.at++
        const closer = byte + 2
        if (this.peek() !== closer) {
          if (depth === this.closers.length) this.growClosers()
          this.closers[depth++] = closer
          if (closer === closeObject && !this.skipName()) return false
          byte = this.peek()
          continue
        }
        this.at++
      } else if (!this.skipScalar(byte)) return false
      for (;;) {
        if (depth === 0) return true
        const closer = this.closers[depth - 1] as number
        byte = this.peek()
        this.at++
        if (byte === comma) {
          if (closer === closeObject && !this.skipName()) return false
          byte = this.peek()
          break
        }
        if (byte !== closer) return false
        depth--
      }
    }
  }

  private growClosers(): void {
    const grown = new Uint8Array(this.closers.length * 2)
    grown.set(this.closers)
    this.closers = grown
  }

  private skipName(): boolean {
    return this.peek() === quote && this.skipString() && this.take(colon)
  }

  private skipScalar(byte: number): boolean {
    if (byte === quote) return this.skipString()
    return byte === minus || isDigit(byte) ? this.skipNumber() : this.skipWord()
  }

  private skipNumber(): boolean {
    let { at } = this
    if (bytes[at] === minus) at++
    if (bytes[at] === zero) at++
    else {
      const from = at
      while (isDigit(bytes[at] as number)) at++
      if (at === from) return false
    }
    if (bytes[at] === dot) {
      const from = ++at
      while (isDigit(bytes[at] as number)) at++
      if (at === from) return false
    }
    if (((bytes[at] as number) | 32) === lowerE) {
      at++
      if (bytes[at] === minus || bytes[at] === plus) at++
      const from = at
      while (isDigit(bytes[at] as number)) at++
      if (at === from) return false
    }
    this.at = at
    return true
  }

  private skipWord(): boolean {
    const { at } = this
    const word = bytes[at] === lowerT ? words.true : bytes[at] === lowerF ? words.false : words.null
    for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word[i]) return false
    this.at = at + word.length
    return true
  }

  /** From quote to quote. Four bytes at a time while they are plain. */
  private skipString(): boolean {
    let at = this.at + 1
    this.escaped = false
    this.ascii = true
    for (;;) {
      while (arePlain(view.getInt32(at, true))) at += 4
      while (plain[bytes[at] as number] === 1) at++
      if (bytes[at] === quote) break
      const length = this.unusualAt(at)
      if (length === 0) return false
      at += length
    }
    this.at = at + 1
    return true
  }

  /** How many bytes an escape takes, or what is not ASCII. Zero: it is neither, or no UTF-8. */
  private unusualAt(from: number): number {
    if (bytes[from] === backslash) {
      this.escaped = true
      const escape = bytes[from + 1] as number
      if (escape === lowerU) return areHex(from + 2) ? 6 : 0
      return escapable[escape] === 1 ? 2 : 0
    }
    let at = from
    while ((bytes[at] as number) >= 0x80) at++
    if (at > from) this.ascii = false
    return this.checked || this.isUtf8() ? at - from : 0
  }

  private isUtf8(): boolean {
    try {
      fatal.decode(bytes.subarray(0, this.length))
    } catch {
      return false
    }
    this.checked = true
    return true
  }
}

const words = {
  true: new TextEncoder().encode('true'),
  false: new TextEncoder().encode('false'),
  null: new TextEncoder().encode('null')
} as const

function areHex(from: number): boolean {
  for (let i = 0; i < 4; i++) if (!isHex(bytes[from + i] as number)) return false
  return true
}

/** Of a name with its quotes: what tells names of one object apart most of the time. */
export function hashOf(text: Uint8Array, from: number, end: number): number {
  return end - from + (text[from + 1] as number) * 3 + (text[end - 2] as number) * 5
}

/**
 * Whether each of four bytes is plain. A byte that is zero after the exclusive or, one that is below 0x20 and one that is above 0x7f leave their
 * highest bit set; a carry may set it, too, but only above one of these.
 */
function arePlain(four: number): boolean {
  const isQuote = (four ^ 0x22222222) - 0x01010101
  const isBackslash = (four ^ 0x5c5c5c5c) - 0x01010101
  return ((isQuote | isBackslash | (four - 0x20202020) | four) & 0x80808080) === 0
}
