/**
 * Keys and entries of durable maps: as they are held in memory, and as their bytes in records.
 *
 * A key stands for itself. So does a value that cannot change and does not expire; any other is kept as its bytes:
 * `expires f64 (wall clock, ms) · value`.
 */
import { ByteReader, type ByteWriter } from '../runtime/kernel/bytes.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { readOrderedNumber, writeOrderedNumber } from '../runtime/kernel/ordered-bytes.ts'
import { decodeValue, encodeValue, isStoredPrimitive } from './state-codec.ts'

export type MapKey = string | number
export type MapEntry = string | number | boolean | bigint | null | Uint8Array

const numberKind = 1
const stringKind = 2
const expiryBytes = 8

/** Throws TypeError for what is no key; −0 is 0. */
export function checkedMapKey(key: unknown): MapKey {
  if (typeof key === 'string') return key
  if (typeof key !== 'number') throw new TypeError(`durableMap: a key is a string or a number, not ${typeof key}`)
  if (Number.isNaN(key)) throw new TypeError('durableMap: NaN is not a key')
  return key + 0
}

/** Byte order is key order. */
export function writeMapKey(key: MapKey, into: ByteWriter): void {
  if (typeof key === 'number') {
    into.u8(numberKind)
    writeOrderedNumber(key, into)
  } else {
    into.u8(stringKind)
    into.text(key)
  }
}

export function decodeMapKey(bytes: Uint8Array): MapKey {
  const reader = new ByteReader(bytes)
  const kind = reader.u8()
  if (kind === stringKind) return reader.text(reader.remaining)
  if (kind !== numberKind) throw new CodedError('CORRUPT', `a stored map key of kind ${kind}`)
  const key = readOrderedNumber(reader)
  reader.expectEnd()
  return key
}

/** The order of their bytes: numbers before strings, strings by code points. */
export function compareMapKeys(a: MapKey, b: MapKey): number {
  if (typeof a === 'number') return typeof b === 'number' ? (a < b ? -1 : a > b ? 1 : 0) : -1
  return typeof b === 'number' ? 1 : compareText(a, b)
}

function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) === b.charCodeAt(i)) continue
    // What differs may be the second half of one character.
    const from = i > 0 && isHigh(a.charCodeAt(i - 1)) && (isLow(a.charCodeAt(i)) || isLow(b.charCodeAt(i))) ? i - 1 : i
    return (a.codePointAt(from) as number) - (b.codePointAt(from) as number)
  }
  return a.length - b.length
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

/** Whether the value stands for itself when it never expires. */
export function isPlainEntry(value: unknown): value is Exclude<MapEntry, Uint8Array> {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return true
    default:
      return value === null
  }
}

/** The value of a record. */
export function writeMapEntry(entry: MapEntry, into: ByteWriter): void {
  if (entry instanceof Uint8Array) return into.bytes(entry)
  into.f64(Infinity)
  encodeValue(entry, into, 'durableMap')
}

/** @param record valid for the time of the call only */
export function readMapEntry(record: Uint8Array): MapEntry {
  if (record.length <= expiryBytes || !isStoredPrimitive(record[expiryBytes] as number)) return record.slice()
  const reader = new ByteReader(record)
  return reader.f64() === Infinity ? (decodeValue(reader) as MapEntry) : record.slice()
}

/** About what its record takes. */
export function mapEntryBytes(key: MapKey, entry: MapEntry | undefined): number {
  const keyBytes = typeof key === 'number' ? 9 : key.length + 1
  if (entry === undefined) return keyBytes
  if (entry instanceof Uint8Array) return keyBytes + entry.length
  return keyBytes + expiryBytes + (typeof entry === 'string' ? entry.length + 3 : 9)
}
