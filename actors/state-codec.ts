/**
 * The project's own tagged, bounded codec for durable values. Exact: NaN, −0, bigint, Date, Map, Set, Uint8Array, lone
 * surrogates and undefined come back as they were. A decoder is a table: it runs no code from stored bytes and never sets a
 * prototype.
 */
import { type ByteReader, type ByteWriter } from '../runtime/kernel/bytes.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

const tag = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  integer: 4,
  negative: 5,
  float: 6,
  string: 7,
  bigint: 8,
  date: 9,
  bytes: 10,
  array: 11,
  object: 12,
  nullObject: 13,
  map: 14,
  set: 15
} as const

/** Deeper values are almost always a mistake, and would exhaust the stack of readers. */
const depthLimit = 64

export function encodeValue(value: unknown, writer: ByteWriter, path: string): void {
  if (encodePrimitive(value, writer)) return
  // One is enough, unless what is encoded runs code (a proxy) that encodes something, too.
  const walk = spareWalk ?? new Walk()
  spareWalk = undefined
  walk.root = path
  encode(value, writer, walk)
  walk.end()
  spareWalk = walk
}

type StepKind = 'field' | 'index' | 'key' | 'get' | 'value'

/** Objects that are looked for one after the other; more of them are in a set. */
const listLimit = 16

/** Where an encoding has got to; says it in words only when it has to refuse. */
class Walk {
  root = ''
  private readonly kinds: StepKind[] = []
  private readonly names: unknown[] = []
  private readonly parents: object[] = []
  /** All objects so far: the first ones, as many as `count`, and the others. */
  private readonly met: (object | undefined)[] = new Array<undefined>(listLimit).fill(undefined)
  private count = 0
  private others: Set<object> | undefined

  /** It holds on to nothing. One that refused is not used again. */
  end(): void {
    while (this.count > 0) this.met[--this.count] = undefined
    this.others = undefined
  }

  private hasMet(value: object): boolean {
    for (let i = 0; i < this.count; i++) if (this.met[i] === value) return true
    return this.others?.has(value) === true
  }

  step(kind: StepKind, name: unknown): void {
    this.kinds.push(kind)
    this.names.push(name)
  }
  back(): void {
    this.kinds.pop()
    this.names.pop()
  }

  enter(value: object): void {
    if (this.parents.length >= depthLimit) this.refuse(`a value more than ${depthLimit} levels deep`)
    if (this.hasMet(value))
      this.refuse(this.parents.includes(value) ? 'a cycle' : 'an object that stands elsewhere in the value too')
    if (this.count < listLimit) this.met[this.count++] = value
    else (this.others ??= new Set()).add(value)
    this.parents.push(value)
  }
  leave(): void {
    this.parents.pop()
  }

  refuse(what: string): never {
    const steps = this.kinds.map((kind, i) => stepText(kind, this.names[i]))
    throw new CodedError('VALUE_NOT_STORABLE', `${this.root}${steps.join('')} holds ${what}, which cannot be stored`)
  }
}

let spareWalk: Walk | undefined

function stepText(kind: StepKind, name: unknown): string {
  switch (kind) {
    case 'field':
      return `.${String(name)}`
    case 'index':
      return `[${String(name)}]`
    case 'key':
      return `.keys()[${String(name)}]`
    case 'get':
      return `.get(${typeof name === 'object' ? 'an object' : String(name)})`
    case 'value':
      return `.values()[${String(name)}]`
  }
}

/** Writes it and answers true, unless it is an object or cannot be stored. */
export function encodePrimitive(value: unknown, w: ByteWriter): boolean {
  switch (typeof value) {
    case 'number':
      encodeNumber(value, w)
      return true
    case 'string':
      w.u8(tag.string)
      w.string(value)
      return true
    case 'boolean':
      w.u8(value ? tag.true : tag.false)
      return true
    case 'undefined':
      w.u8(tag.undefined)
      return true
    case 'bigint':
      w.u8(tag.bigint)
      w.string(value.toString(16))
      return true
    default:
      return false
  }
}

function encode(value: unknown, w: ByteWriter, walk: Walk): void {
  if (encodePrimitive(value, w)) return
  if (value === null) return w.u8(tag.null)
  if (typeof value !== 'object') walk.refuse(`a ${typeof value}`)
  walk.enter(value)
  encodeObject(value, w, walk)
  walk.leave()
}

function encodeStep(kind: StepKind, name: unknown, value: unknown, w: ByteWriter, walk: Walk): void {
  if (encodePrimitive(value, w)) return
  walk.step(kind, name)
  encode(value, w, walk)
  walk.back()
}

function encodeNumber(value: number, w: ByteWriter): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    w.u8(value < 0 ? tag.negative : tag.integer)
    w.varuint(Math.abs(value))
    return
  }
  w.u8(tag.float)
  w.f64(value)
}

function encodeObject(value: object, w: ByteWriter, walk: Walk): void {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) walk.refuse('an array of a class of its own')
    if (Object.keys(value).length !== value.length) walk.refuse('a sparse array or one with extra properties')
    w.u8(tag.array)
    w.varuint(value.length)
    for (let i = 0; i < value.length; i++) encodeStep('index', i, value[i], w, walk)
  } else if (prototype === Date.prototype) {
    w.u8(tag.date)
    w.f64((value as Date).getTime())
  } else if (value instanceof Uint8Array) {
    w.u8(tag.bytes)
    w.block(value)
  } else if (prototype === Map.prototype) {
    w.u8(tag.map)
    w.varuint((value as Map<unknown, unknown>).size)
    let i = 0
    for (const [key, item] of value as Map<unknown, unknown>) {
      encodeStep('key', i++, key, w, walk)
      encodeStep('get', key, item, w, walk)
    }
  } else if (prototype === Set.prototype) {
    w.u8(tag.set)
    w.varuint((value as Set<unknown>).size)
    let i = 0
    for (const item of value as Set<unknown>) encodeStep('value', i++, item, w, walk)
  } else if (prototype === Object.prototype || prototype === null) encodePlain(value, prototype === null, w, walk)
  else walk.refuse(`an instance of ${(value.constructor as { name?: string } | undefined)?.name ?? 'an unknown class'}`)
}

function encodePlain(value: object, bare: boolean, w: ByteWriter, walk: Walk): void {
  if (Object.getOwnPropertySymbols(value).length > 0) walk.refuse('a property whose name is a symbol')
  const names = Object.getOwnPropertyNames(value)
  w.u8(bare ? tag.nullObject : tag.object)
  w.varuint(names.length)
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(value, name)
    if (property === undefined || !('value' in property)) {
      walk.step('field', name)
      walk.refuse('an accessor')
    }
    w.string(name)
    encodeStep('field', name, property.value, w, walk)
  }
}

/** Whether a value that begins with this byte is no object. */
export function isStoredPrimitive(firstByte: number): boolean {
  return firstByte <= tag.bigint && firstByte !== tag.undefined
}

/** Reads one value; only CORRUPT escapes, whatever the bytes. */
export function decodeValue(reader: ByteReader): unknown {
  return decode(reader, 0)
}

function decode(r: ByteReader, depth: number): unknown {
  if (depth > depthLimit) throw new CodedError('CORRUPT', 'a stored value is nested too deeply')
  const kind = r.u8()
  switch (kind) {
    case tag.undefined:
      return undefined
    case tag.null:
      return null
    case tag.false:
      return false
    case tag.true:
      return true
    case tag.integer:
      return r.varuint()
    case tag.negative:
      return -r.varuint()
    case tag.float:
      return r.f64()
    case tag.string:
      return r.string()
    case tag.bigint:
      return decodeBigint(r.string())
    case tag.date:
      return new Date(r.f64())
    case tag.bytes:
      return r.block().slice()
    case tag.array:
      return decodeArray(r, depth)
    case tag.object:
      return decodePlain(r, {}, depth)
    case tag.nullObject:
      return decodePlain(r, Object.create(null) as object, depth)
    case tag.map:
      return decodeMap(r, depth)
    case tag.set:
      return decodeSet(r, depth)
    default:
      throw new CodedError('CORRUPT', `a stored value of unknown kind ${kind}`)
  }
}

/** Every element takes at least one byte, so a count beyond what is left is a lie. */
function count(r: ByteReader): number {
  const n = r.varuint()
  if (n > r.remaining) throw new CodedError('CORRUPT', `${n} elements promised, ${r.remaining} bytes left`)
  return n
}

/** Grows as elements come: room for all that are promised, on each of many levels, would be far more than the input. */
function decodeArray(r: ByteReader, depth: number): unknown[] {
  const list: unknown[] = []
  for (let left = count(r); left > 0; left--) list.push(decode(r, depth + 1))
  return list
}

function decodeBigint(text: string): bigint {
  const match = /^(-?)([0-9a-f]+)$/.exec(text)
  if (match === null) throw new CodedError('CORRUPT', 'a stored bigint is malformed')
  const magnitude = BigInt(`0x${match[2]}`)
  return match[1] === '-' ? -magnitude : magnitude
}

function decodePlain(r: ByteReader, target: object, depth: number): object {
  const n = count(r)
  for (let i = 0; i < n; i++) {
    const name = r.string()
    if (Object.hasOwn(target, name)) throw new CodedError('CORRUPT', `a stored object holds "${name}" twice`)
    const value = decode(r, depth + 1)
    if (name === '__proto__')
      Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
    else (target as Record<string, unknown>)[name] = value
  }
  return target
}

function decodeMap(r: ByteReader, depth: number): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>()
  const n = count(r)
  for (let i = 0; i < n; i++) {
    const key = decode(r, depth + 1)
    map.set(key, decode(r, depth + 1))
  }
  return map
}

function decodeSet(r: ByteReader, depth: number): Set<unknown> {
  const set = new Set<unknown>()
  const n = count(r)
  for (let i = 0; i < n; i++) set.add(decode(r, depth + 1))
  return set
}
