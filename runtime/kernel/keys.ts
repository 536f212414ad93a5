/**
 * Keys and their bytes (DESIGN 7): a string is its UTF-8 bytes with a lone surrogate as three bytes; every other type begins
 * with 0xFF, which no string does, so that distinct keys stay distinct.
 */
import { ByteReader, ByteWriter } from './bytes.ts'
import { CodedError } from './errors.ts'
import { murmur2 } from './murmur2.ts'

export type Key = string | number | readonly (string | number)[]

const numberTag = 1
const tupleTag = 2
const stringTag = 3
/** A larger key would not fit the file formats' index, and is a mistake. */
const keyLimitBytes = 64 * 1024
/** So many UTF-16 units are within the limit whatever they are. */
const surelyShort = keyLimitBytes / 3 - 8
const scratch = new ByteWriter(256)

/** Throws KEY_INVALID: also for what is too long. */
export function checkKey(key: unknown): asserts key is Key {
  if (typeof key === 'string') {
    if (key.length > surelyShort) encodeKey(key)
    return
  }
  if (typeof key === 'number') {
    if (Number.isSafeInteger(key)) return
    throw new CodedError('KEY_INVALID', `a key is ${key}; numbers must be safe integers`)
  }
  if (!Array.isArray(key))
    throw new CodedError('KEY_INVALID', `a key is ${key === null ? 'null' : `of type ${typeof key}`}`)
  for (const part of key)
    if (typeof part !== 'string' && !Number.isSafeInteger(part))
      throw new CodedError(
        'KEY_INVALID',
        `a part of a tuple key is ${String(part)}; parts are strings or safe integers`
      )
  const parts = key as (string | number)[]
  if (parts.reduce<number>((sum, part) => sum + (typeof part === 'string' ? part.length : 3) + 3, 0) > surelyShort)
    encodeKey(parts)
}

export function encodeKey(key: Key): Uint8Array {
  scratch.reset()
  writeKey(key, scratch)
  if (scratch.length > keyLimitBytes)
    throw new CodedError('KEY_INVALID', `a key of ${scratch.length} bytes; the limit is ${keyLimitBytes}`)
  return scratch.take()
}

/** The bytes of a key that was encoded before, so is known to be within the limits. */
export function writeKey(key: Key, into: ByteWriter): void {
  if (typeof key === 'string') return into.text(key)
  into.u8(0xff)
  if (typeof key === 'number') {
    into.u8(numberTag)
    into.f64(key + 0)
    return
  }
  into.u8(tupleTag)
  into.varuint(key.length)
  for (const part of key)
    if (typeof part === 'string') {
      into.u8(stringTag)
      into.string(part)
    } else {
      into.u8(numberTag)
      into.f64(part + 0)
    }
}

export function decodeKey(bytes: Uint8Array): Key {
  if (bytes[0] !== 0xff) return new ByteReader(bytes).text(bytes.length)
  const reader = new ByteReader(bytes, 1)
  const tag = reader.u8()
  const number = (): number => {
    const value = reader.f64()
    if (!Number.isSafeInteger(value)) throw new CodedError('CORRUPT', `a stored key holds the number ${value}`)
    return value
  }
  let key: Key
  if (tag === numberTag) key = number()
  else if (tag === tupleTag) {
    const parts: (string | number)[] = []
    const count = reader.varuint()
    for (let i = 0; i < count; i++) {
      const kind = reader.u8()
      if (kind !== stringTag && kind !== numberTag)
        throw new CodedError('CORRUPT', `a stored key holds a part of kind ${kind}`)
      parts.push(kind === stringTag ? reader.string() : number())
    }
    key = parts
  } else throw new CodedError('CORRUPT', `a stored key of kind ${tag}`)
  reader.expectEnd()
  return key
}

export function keyGroupOf(keyBytes: Uint8Array, keyGroups: number): number {
  return (murmur2(keyBytes) & 0x7fffffff) % keyGroups
}

/** Two whole numbers below it fit into one number together. */
const pairLimit = 2 ** 26

/**
 * What a key is looked up by in a Map: injective. Strings and numbers stand for themselves; a pair of small whole numbers is a number with
 * a half, which no key is; any other tuple is its JSON behind U+0000; a string that begins with U+0000 gets another U+0000 in front, so that it
 * can never equal a tuple's.
 */
export function keyIdentity(key: Key): string | number {
  if (typeof key === 'number') return key + 0
  if (typeof key === 'string') return key.charCodeAt(0) === 0 ? `\u0000${key}` : key
  if (key.length === 2) {
    const [first, second] = key
    if (isSmall(first) && isSmall(second)) return first * pairLimit + second + 0.5
  }
  return `\u0000${JSON.stringify(key)}`
}

function isSmall(part: string | number | undefined): part is number {
  return typeof part === 'number' && part >= 0 && part < pairLimit && Number.isInteger(part)
}

/** For people: strings as they are, the rest as JSON. */
export function keyText(key: Key): string {
  return typeof key === 'string' ? key : JSON.stringify(key)
}
