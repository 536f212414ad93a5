/** Copies with the acceptance of the state codec, so that a value given away is a value. */
import { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { decodeValue, encodeValue } from './state-codec.ts'

const scratch = new ByteWriter(1024)

/** A deep copy; flat plain objects are copied field by field. Throws VALUE_NOT_STORABLE naming the path. */
export function copyValue(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol') encodeValue(value, scratch, path)
    return value
  }
  if (Object.getPrototypeOf(value) === Object.prototype) {
    const flat = copyFlat(value as Record<string, unknown>)
    if (flat !== undefined) return flat
  }
  const start = scratch.length
  try {
    encodeValue(value, scratch, path)
    return decodeValue(new ByteReader(scratch.view(), start))
  } finally {
    scratch.truncate(start)
  }
}

function copyFlat(value: Record<string, unknown>): Record<string, unknown> | undefined {
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(value)) {
    const item = value[name]
    if (
      (typeof item === 'object' && item !== null) ||
      typeof item === 'function' ||
      typeof item === 'symbol' ||
      name === '__proto__'
    )
      return undefined
    copy[name] = item
  }
  return copy
}
