/** Copies with the acceptance of the state codec, so that a value given away is a value. */
import { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { decodeValue, encodeValue } from './state-codec.ts'

const scratch = new ByteWriter(1024)
/** Of something that the codec must judge: it accepts it, or says what is wrong and where. */
const unsure = Symbol('unsure')
/** Deeper values are left to the codec, which refuses those that are too deep. */
const depthLimit = 32

/** A deep copy. Throws VALUE_NOT_STORABLE naming the path. */
export function copyValue(value: unknown, path: string): unknown {
  const copy = copyOf(value, 0, undefined)
  if (copy !== unsure) return copy
  const start = scratch.length
  try {
    encodeValue(value, scratch, path)
    return decodeValue(new ByteReader(scratch.view(), start))
  } finally {
    scratch.truncate(start)
  }
}

/** @param seen objects so far, where there may be others: one that stands in two places would come back as two */
function copyOf(value: unknown, depth: number, seen: Set<object> | undefined): unknown {
  if (typeof value !== 'object' || value === null)
    return typeof value === 'function' || typeof value === 'symbol' ? unsure : value
  if (depth > depthLimit || seen?.has(value) === true) return unsure
  seen?.add(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return copyFields(value as Record<string, unknown>, depth, seen)
  if (Array.isArray(value) && prototype === Array.prototype) return copyList(value, depth, seen)
  if (prototype === Map.prototype) return copyMap(value as Map<unknown, unknown>, depth, seen)
  return unsure
}

function copyFields(value: Record<string, unknown>, depth: number, seen: Set<object> | undefined): unknown {
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(value)) {
    const item = value[name]
    if (name === '__proto__') return unsure
    if (typeof item === 'object' && item !== null) seen ??= new Set<object>([value])
    const copied = copyOf(item, depth + 1, seen)
    if (copied === unsure) return unsure
    copy[name] = copied
  }
  return copy
}

function copyList(value: readonly unknown[], depth: number, seen: Set<object> | undefined): unknown {
  // Holes, and properties beside the elements.
  if (Object.keys(value).length !== value.length) return unsure
  const copy: unknown[] = []
  const known = seen ?? new Set<object>([value])
  for (const item of value) {
    const copied = copyOf(item, depth + 1, known)
    if (copied === unsure) return unsure
    copy.push(copied)
  }
  return copy
}

function copyMap(value: ReadonlyMap<unknown, unknown>, depth: number, seen: Set<object> | undefined): unknown {
  const copy = new Map<unknown, unknown>()
  const known = seen ?? new Set<object>([value])
  for (const [key, item] of value) {
    const [copiedKey, copied] = [copyOf(key, depth + 1, known), copyOf(item, depth + 1, known)]
    if (copiedKey === unsure || copied === unsure) return unsure
    copy.set(copiedKey, copied)
  }
  return copy
}
