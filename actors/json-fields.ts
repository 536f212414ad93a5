/** Reads the declared fields of a JSON object out of its bytes, and passes over the rest. */
import { hashOf, JsonScanner, longestText, type Passage } from './json-scanner.ts'

/** What a field is declared to be. A field whose name ends in `?` may be missing. */
export type FieldType = 'number' | 'integer' | 'string' | 'boolean' | 'json' | Nullable | FieldTypes
export interface FieldTypes {
  readonly [name: string]: FieldType
}

/** A type, or null; made by `json.nullable`. */
export class Nullable<T extends FieldType = FieldType> {
  readonly type: T
  /** Tells it from an object with such a field. */
  protected readonly kind = 'nullable'
  constructor(type: T) {
    this.type = type
  }
}

interface Scalars {
  readonly number: number
  readonly integer: number
  readonly string: string
  readonly boolean: boolean
  readonly json: unknown
}
type ValueOf<T> = T extends keyof Scalars
  ? Scalars[T]
  : T extends Nullable<infer U>
    ? ValueOf<U> | null
    : T extends FieldTypes
      ? FieldsOf<T>
      : never
/** The value that fields of these types make. Of types that are not known when compiling: an object of anything. */
export type FieldsOf<F extends FieldTypes> = string extends keyof F
  ? { [name: string]: unknown }
  : Flat<
      { -readonly [N in keyof F as N extends `${string}?` ? never : N]: ValueOf<F[N]> } & {
        -readonly [N in keyof F as N extends `${infer Name}?` ? Name : never]?: ValueOf<F[N]>
      }
    >
type Flat<T> = { [N in keyof T]: T[N] }

interface Field {
  readonly key: string
  /** As it stands in JSON, with its quotes. */
  readonly name: Uint8Array
  readonly kind: keyof Scalars | 'object'
  /** Of an object. */
  readonly shape: Shape | undefined
  readonly nullable: boolean
  readonly optional: boolean
  readonly index: number
  /** The next with the same hash. */
  next: Field | undefined
}

/** An object's fields in declared order. */
interface Shape {
  readonly fields: readonly Field[]
  readonly byHash: readonly (Field | undefined)[]
  /** What was read of the object at hand. */
  readonly values: unknown[]
  readonly layout: Layout
}

/** A name with its colon that stood in some object, and the one behind it: most likely they come there again. */
interface Place {
  readonly passage: Passage
  /** Null: it is not declared. */
  readonly field: Field | null
  next: Place | undefined
}
interface Layout {
  /** Before the first. */
  readonly start: Place
  places: number
}

/** Names that are never the same, or in ever another order, need not be learnt. */
const [mostPlaces, longestPassage] = [64, 128]

const absent = Symbol('absent')
const encoder = new TextEncoder()
const fatal = new TextDecoder('utf-8', { fatal: true })
const scanner = new JsonScanner()
const [comma, openObject, closeObject] = [44, 123, 125]
const scalars = ['number', 'integer', 'string', 'boolean', 'json']

export function decoderOf(types: FieldTypes): (bytes: Uint8Array) => unknown {
  const shape = shapeOf(types, '')
  return bytes => scanned(shape, bytes) ?? parsed(shape, bytes)
}

function shapeOf(types: FieldTypes, path: string): Shape {
  const keys = Object.keys(types)
  const slots = 2 ** Math.ceil(Math.log2(2 * keys.length + 1))
  const byHash = Array.from({ length: slots }, (): Field | undefined => undefined)
  const fields = keys.map((name, index) => {
    const field = fieldOf(name, types[name], path, index)
    const slot = hashOf(field.name, 0, field.name.length) & (byHash.length - 1)
    field.next = byHash[slot]
    return (byHash[slot] = field)
  })
  const twice = fields.find(({ key }, i) => fields.findIndex(other => other.key === key) !== i)
  if (twice !== undefined) throw new TypeError(`json.fields: ${path}${twice.key} is declared twice`)
  const start = { passage: { words: new Int32Array(0), lastMask: 0, length: 0 }, field: null, next: undefined }
  return { fields, byHash, values: fields.map(() => absent), layout: { start, places: 0 } }
}

function fieldOf(name: string, declared: unknown, path: string, index: number): Field {
  const optional = name.endsWith('?')
  const key = optional ? name.slice(0, -1) : name
  const where = `${path}${key}`
  if (key === '__proto__') throw new TypeError(`json.fields: ${where} is no name for a field`)
  const nullable = declared instanceof Nullable
  let type = declared
  while (type instanceof Nullable) type = type.type
  const rest = { key, name: encoder.encode(JSON.stringify(key)), nullable, optional, index, next: undefined }
  if (typeof type === 'string' && scalars.includes(type))
    return { ...rest, kind: type as keyof Scalars, shape: undefined }
  if (typeof type !== 'object' || type === null || Array.isArray(type))
    throw new TypeError(
      `json.fields: ${where} is declared as ${found(type)}, not as ${scalars.join(', ')} or an object of fields`
    )
  return { ...rest, kind: 'object', shape: shapeOf(type as FieldTypes, `${where}.`) }
}

/** Undefined: something is wrong with it, or may be. */
function scanned(shape: Shape, bytes: Uint8Array): object | undefined {
  if (bytes.length > longestText) return undefined
  scanner.begin(bytes)
  const value = scannedObject(shape)
  return value !== undefined && scanner.ended() ? value : undefined
}

function scannedObject(shape: Shape): object | undefined {
  const { values, layout } = shape
  if (!scanner.take(openObject)) return undefined
  for (let i = 0; i < values.length; i++) values[i] = absent
  if (scanner.take(closeObject)) return made(shape)
  let place = layout.start
  do {
    const from = scanner.position
    let field: Field | null | undefined
    const next = expected(place)
    if (next !== undefined) {
      place = next
      field = next.field
    } else {
      field = scanner.name(shape.byHash)
      if (field === undefined) return undefined
      place = learnt(layout, place, from, field)
    }
    if (field === null) {
      if (!scanner.skipValue()) return undefined
    } else {
      const value = scannedValue(field)
      if (value === absent) return undefined
      values[field.index] = value
    }
  } while (scanner.take(comma))
  return scanner.take(closeObject) ? made(shape) : undefined
}

/** The place that came next before, or the one behind it where a field is missing. */
function expected({ next }: Place): Place | undefined {
  if (next === undefined || scanner.takeAgain(next.passage)) return next
  const second = next.next
  return second !== undefined && scanner.takeAgain(second.passage) ? second : undefined
}

/** Where this is, with what was passed since then. */
function learnt(layout: Layout, before: Place, from: number, field: Field | null): Place {
  if (layout.places === mostPlaces || scanner.position - from > longestPassage) return before
  layout.places++
  return (before.next = { passage: scanner.passedSince(from), field, next: before.next })
}

/** Absent: it is irregular, or not what is declared. */
function scannedValue({ kind, shape, nullable }: Field): unknown {
  if (nullable && scanner.takeNull()) return null
  switch (kind) {
    case 'number':
    case 'integer': {
      const value = scanner.number()
      return Number.isNaN(value) || (kind === 'integer' && !Number.isSafeInteger(value)) ? absent : value
    }
    case 'string':
      return scanner.string() ?? absent
    case 'boolean':
      return scanner.boolean() ?? absent
    case 'object':
      return scannedObject(shape as Shape) ?? absent
    case 'json': {
      const value = scanner.value()
      return value === undefined ? absent : value
    }
  }
}

/** Fields in declared order, so that objects with the same fields have one hidden class. */
function made({ fields, values }: Shape): object | undefined {
  const object: Record<string, unknown> = {}
  for (let i = 0; i < fields.length; i++) {
    const value = values[i]
    const { key, optional } = fields[i] as Field
    if (value !== absent) object[key] = value
    else if (!optional) return undefined
  }
  return object
}

/** The same by JSON.parse, which says what is wrong with the text; problems of fields are told all at once. */
function parsed(shape: Shape, bytes: Uint8Array): unknown {
  const value: unknown = JSON.parse(fatal.decode(bytes))
  if (!isObject(value)) throw new TypeError(`${found(value)} where an object is declared`)
  const problems: string[] = []
  const object = pickedObject(shape, value, '', problems)
  if (problems.length > 0) throw new TypeError(problems.join('; '))
  return object
}

function pickedObject(
  shape: Shape,
  value: Readonly<Record<string, unknown>>,
  path: string,
  problems: string[]
): unknown {
  const picked: Record<string, unknown> = {}
  for (const field of shape.fields) {
    const { key, optional } = field
    const at = path === '' ? key : `${path}.${key}`
    if (Object.hasOwn(value, key)) picked[key] = pickedValue(field, value[key], at, problems)
    else if (!optional) problems.push(`${at}: missing where ${declaredAs(field)} is declared`)
  }
  return picked
}

function pickedValue(field: Field, value: unknown, path: string, problems: string[]): unknown {
  const { kind, shape, nullable } = field
  if (kind === 'json' || (nullable && value === null)) return value
  if (shape !== undefined && isObject(value)) return pickedObject(shape, value, path, problems)
  if (kind === 'integer' ? Number.isSafeInteger(value) : typeof value === kind && shape === undefined) return value
  problems.push(`${path}: ${found(value)} where ${declaredAs(field)} is declared`)
  return undefined
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function declaredAs({ kind, nullable }: Field): string {
  const type = kind === 'json' ? 'a value' : kind === 'integer' || kind === 'object' ? `an ${kind}` : `a ${kind}`
  return nullable ? `${type} or null` : type
}

const shownCharacters = 40

/** In an error, where a value may be of any length. */
function found(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (isObject(value)) return 'an object'
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(value.length > shownCharacters ? `${value.slice(0, shownCharacters)}…` : value)
}
