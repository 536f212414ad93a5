/**
 * Durable values as JSON for people and programs: what JSON has not is tagged, so that nothing is silently another value
 * (`{"$number":"NaN"}`, `{"$map":[[key,value],…]}`). Objects made here may own a field named `__proto__`; none is ever set.
 */
import { MapView } from './stored-maps.ts'

export function plainValue(value: unknown): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $number: Object.is(value, -0) ? '-0' : String(value) }
    case 'bigint':
      return { $bigint: String(value) }
    case 'undefined':
      return { $undefined: true }
    case 'object':
      return value === null ? null : plainObject(value)
    case 'string':
    case 'boolean':
      return value
    default:
      return { [`$${typeof value}`]: true }
  }
}

function plainObject(value: object): unknown {
  if (Array.isArray(value)) return value.map(plainValue)
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString() }
  if (value instanceof Map) return { $map: [...value].map(([key, item]) => [plainValue(key), plainValue(item)]) }
  if (value instanceof MapView)
    return {
      $durableMap: value.entries.map(([key, item]) => [key, plainValue(item)]),
      ...(value.more === 0 ? {} : { more: value.more })
    }
  if (value instanceof Set) return { $set: [...value].map(plainValue) }
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  const plain = {}
  for (const [name, item] of Object.entries(value))
    Object.defineProperty(plain, name, {
      value: plainValue(item),
      enumerable: true,
      writable: true,
      configurable: true
    })
  return plain
}
