/**
 * Durable values as JSON for people and programs: what JSON has not is tagged, so that nothing is silently another value
 * (`{"$number":"NaN"}`, `{"$map":[[key,value],…]}`). Objects made here may own a field named `__proto__`; none is ever set.
 */
import { CodedError } from '../runtime/kernel/errors.ts'
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

/** The value that `plainValue` wrote so; throws USAGE where a tag holds what it cannot. */
export function valueOfPlain(plain: unknown): unknown {
  if (typeof plain !== 'object' || plain === null) return plain
  if (Array.isArray(plain)) return plain.map(valueOfPlain)
  const [[tag, held] = ['', undefined], ...more] = Object.entries(plain)
  const untag = more.length === 0 && Object.hasOwn(untagged, tag) ? untagged[tag] : undefined
  if (untag !== undefined) {
    const value = untag(held)
    if (value === undefined && tag !== '$undefined')
      throw new CodedError('USAGE', `${JSON.stringify(plain)} is no ${tag.slice(1)}`)
    return value
  }
  const value = {}
  for (const [name, item] of Object.entries(plain))
    Object.defineProperty(value, name, {
      value: valueOfPlain(item),
      enumerable: true,
      writable: true,
      configurable: true
    })
  return value
}

const isPair = (item: unknown): item is [unknown, unknown] => Array.isArray(item) && item.length === 2

/** Of what a tag holds; undefined where it cannot be that. */
const untagged: Readonly<Record<string, (held: unknown) => unknown>> = {
  $number: held => (['NaN', 'Infinity', '-Infinity', '-0'].includes(held as string) ? Number(held) : undefined),
  $bigint: held => (typeof held === 'string' && /^-?[0-9]+$/.test(held) ? BigInt(held) : undefined),
  $undefined: () => undefined,
  $date: held => {
    if (held === 'invalid') return new Date(NaN)
    const date = new Date(typeof held === 'string' ? held : NaN)
    return Number.isNaN(date.getTime()) ? undefined : date
  },
  $map: held =>
    Array.isArray(held) && held.every(isPair)
      ? new Map(held.map(([key, item]) => [valueOfPlain(key), valueOfPlain(item)]))
      : undefined,
  $set: held => (Array.isArray(held) ? new Set(held.map(valueOfPlain)) : undefined),
  $bytes: held => (typeof held === 'string' ? new Uint8Array(Buffer.from(held, 'base64')) : undefined)
}
