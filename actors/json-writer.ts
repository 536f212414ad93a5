/**
 * Writes values as JSON.stringify does, but straight into bytes: plain objects and lists of text, numbers, booleans and null. Anything else is left
 * to JSON.stringify: a `toJSON`, an object of a class, a bigint, what is nested deeply or contains itself.
 *
 * What is written behind the end of a typed array is dropped without a word, so whether all had room is asked once, at the end.
 */

/** Deeper ones are left to JSON.stringify, and so is what contains itself. */
const deepest = 32
/** Names that are never the same would fill memory. */
const mostNames = 1024
/** Longer text is faster by one call. */
const shortText = 256
const [quote, comma, minus, zero, backslash] = [34, 44, 45, 48, 92]
const [openList, closeList, openObject, closeObject] = [91, 93, 123, 125]

/** A name with its quotes and colon, and the one that came behind it last: most likely it comes there again. */
interface Name {
  readonly key: string
  readonly bytes: Uint8Array
  next: Name | undefined
}

const utf8 = new TextEncoder()
const names = new Map<string, Name>()
const first = nameOf('')

/** Writes the JSON of a value from a place of the target on; answers where it ends, or -1: it is for JSON.stringify, or has no room. */
export function writeJson(value: unknown, target: Uint8Array, at: number): number {
  const end = writeValue(value, target, at, 0)
  return end <= target.length ? end : -1
}

function nameOf(key: string): Name {
  return { key, bytes: utf8.encode(`${JSON.stringify(key)}:`), next: undefined }
}

function known(key: string): Name {
  let name = names.get(key)
  if (name === undefined) {
    name = nameOf(key)
    if (names.size < mostNames) names.set(key, name)
  }
  return name
}

/** Each of these answers where it ends, or -1: it is for JSON.stringify. */
function writeValue(value: unknown, target: Uint8Array, at: number, depth: number): number {
  switch (typeof value) {
    case 'string':
      return writeText(value, target, at)
    case 'number':
      return writeNumber(value, target, at)
    case 'boolean':
      return writeAscii(value ? 'true' : 'false', target, at)
    case 'object':
      if (value === null) return writeAscii('null', target, at)
      if (depth === deepest || (value as { toJSON?: unknown }).toJSON !== undefined) return -1
      if (Array.isArray(value)) return writeList(value, target, at, depth + 1)
      if (Object.getPrototypeOf(value) !== Object.prototype) return -1
      return writeObject(value as Plain, target, at, depth + 1)
    default:
      return -1
  }
}

type Plain = Readonly<Record<string, unknown>>

function writeObject(object: Plain, target: Uint8Array, from: number, depth: number): number {
  let at = from
  let name = first
  target[at++] = openObject
  for (const key in object) {
    if (!Object.prototype.hasOwnProperty.call(object, key)) return -1
    const value = object[key]
    if (isLeftOut(value)) continue
    if (at !== from + 1) target[at++] = comma
    if (name.next?.key !== key) name.next = known(key)
    name = name.next as Name
    const { bytes } = name
    for (let i = 0; i < bytes.length; i++) target[at + i] = bytes[i] as number
    at = writeValue(value, target, at + bytes.length, depth)
    if (at < 0) return -1
  }
  target[at++] = closeObject
  return at
}

function writeList(list: readonly unknown[], target: Uint8Array, from: number, depth: number): number {
  let at = from
  target[at++] = openList
  for (let i = 0; i < list.length; i++) {
    if (i > 0) target[at++] = comma
    const value = list[i]
    at = writeValue(isLeftOut(value) ? null : value, target, at, depth)
    if (at < 0) return -1
  }
  target[at++] = closeList
  return at
}

/** JSON has none of these: a list has null there. */
function isLeftOut(value: unknown): boolean {
  return value === undefined || typeof value === 'function' || typeof value === 'symbol'
}

function writeNumber(number: number, target: Uint8Array, from: number): number {
  if (!Number.isSafeInteger(number)) return writeAscii(Number.isFinite(number) ? String(number) : 'null', target, from)
  let at = from
  let rest = number
  if (rest < 0) {
    target[at++] = minus
    rest = -rest
  }
  // By parts that are small integers of the machine.
  if (rest < 1e9) return writeDigits(rest | 0, digitsOf(rest), target, at)
  const high = Math.floor(rest / 1e9)
  at = writeDigits(high | 0, digitsOf(high), target, at)
  return writeDigits((rest - high * 1e9) | 0, 9, target, at)
}

function digitsOf(small: number): number {
  let digits = 1
  for (let bound = 10; bound <= small; bound *= 10) digits++
  return digits
}

function writeDigits(small: number, digits: number, target: Uint8Array, at: number): number {
  let rest = small
  for (let i = at + digits - 1; i >= at; i--) {
    const tens = (rest / 10) | 0
    target[i] = zero + rest - tens * 10
    rest = tens
  }
  return at + digits
}

function writeAscii(text: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i)
  return at + text.length
}

function writeText(text: string, target: Uint8Array, at: number): number {
  const { length } = text
  if (length > shortText) return writeAnyText(text, target, at)
  target[at] = quote
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e || code === quote || code === backslash) return writeAnyText(text, target, at)
    target[at + 1 + i] = code
  }
  target[at + 1 + length] = quote
  return at + length + 2
}

/** With escapes, and characters of more than one byte. */
function writeAnyText(text: string, target: Uint8Array, at: number): number {
  const json = JSON.stringify(text)
  // More than it may need: then it counts as having no room.
  if (at + json.length * 3 > target.length) return target.length + 1
  return at + utf8.encodeInto(json, target.subarray(at)).written
}
