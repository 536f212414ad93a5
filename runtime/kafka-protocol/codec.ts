/** Writes and reads messages as their tables say. Every length is compared with what is there before anything is made of it. */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { apiOf, type ApiName, type ReplyOf, type RequestOf } from './messages.ts'
import type { Schema } from './schema.ts'

const corrupt = (what: string): CodedError => new CodedError('CORRUPT', `Kafka message: ${what}`)

export function writeInt64(writer: ByteWriter, n: number): void {
  if (!Number.isSafeInteger(n)) throw new TypeError(`${n} is no 64-bit integer that can be written`)
  const high = Math.floor(n / 2 ** 32)
  writer.u32(high >>> 0)
  writer.u32((n - high * 2 ** 32) >>> 0)
}

export function readInt64(reader: ByteReader): number {
  const high = reader.u32() | 0
  const n = high * 2 ** 32 + reader.u32()
  if (!Number.isSafeInteger(n)) throw corrupt(`a 64-bit integer beyond 2^53 before byte ${reader.offset}`)
  return n
}

/** Of a struct that is used again and again, made once. */
const entriesOf = new WeakMap<Schema, readonly (readonly [name: string, field: Schema])[]>()

function fieldsOf(schema: Schema): readonly (readonly [name: string, field: Schema])[] {
  let entries = entriesOf.get(schema)
  if (entries === undefined) entriesOf.set(schema, (entries = Object.entries(schema.fields ?? {})))
  return entries
}

const exists = (schema: Schema, version: number): boolean =>
  version >= (schema.from ?? 0) && version <= (schema.until ?? Infinity)

/** `flexible`: lengths are varints, one more than the length, and structs end with tagged fields. */
export function writeValue(
  writer: ByteWriter,
  schema: Schema,
  value: unknown,
  version: number,
  flexible: boolean
): void {
  switch (schema.kind) {
    case 'int8':
      return writer.u8((value as number) & 0xff)
    case 'int16':
      return writer.u16((value as number) & 0xffff)
    case 'int32':
      return writer.u32((value as number) >>> 0)
    case 'int64':
      return writeInt64(writer, value as number)
    case 'bool':
      return writer.u8(value === true ? 1 : 0)
    case 'uuid':
      return writer.bytes(value as Uint8Array)
    case 'string':
    case 'bytes':
    case 'list':
      return writeSized(writer, schema, value, version, flexible)
    case 'struct':
      return writeStruct(writer, schema, value as Record<string, unknown>, version, flexible)
  }
}

function writeLength(writer: ByteWriter, schema: Schema, length: number, flexible: boolean): void {
  if (flexible) writer.varuint(length + 1)
  else if (schema.kind === 'string') {
    if (length > 0x7fff) throw new TypeError(`a string of ${length} bytes cannot be written`)
    writer.u16(length & 0xffff)
  } else writer.u32(length >>> 0)
}

const utf8 = new TextEncoder()

function writeSized(writer: ByteWriter, schema: Schema, value: unknown, version: number, flexible: boolean): void {
  if (value === null) {
    if (schema.nullableFrom === undefined || version < schema.nullableFrom)
      throw new TypeError('null cannot be written')
    return writeLength(writer, schema, -1, flexible)
  }
  if (schema.kind === 'list') {
    const items = value as readonly unknown[]
    writeLength(writer, schema, items.length, flexible)
    for (const item of items) writeValue(writer, schema.of as Schema, item, version, flexible)
    return
  }
  const raw = schema.kind === 'string' ? utf8.encode(value as string) : (value as Uint8Array)
  writeLength(writer, schema, raw.length, flexible)
  writer.bytes(raw)
}

function writeStruct(
  writer: ByteWriter,
  schema: Schema,
  value: Record<string, unknown>,
  version: number,
  flexible: boolean
): void {
  const tags: [tag: number, body: Uint8Array][] = []
  for (const [name, field] of fieldsOf(schema)) {
    if (!exists(field, version)) continue
    const given = name in value ? value[name] : field.otherwise
    if (field.tag === undefined) writeValue(writer, field, given, version, flexible)
    else if (given !== field.otherwise && !(Array.isArray(given) && given.length === 0)) {
      const body = new ByteWriter(64)
      writeValue(body, field, given, version, true)
      tags.push([field.tag, body.take()])
    }
  }
  if (!flexible) return
  writer.varuint(tags.length)
  for (const [tag, body] of tags.sort(([a], [b]) => a - b)) {
    writer.varuint(tag)
    writer.block(body)
  }
}

export function readValue(reader: ByteReader, schema: Schema, version: number, flexible: boolean): unknown {
  switch (schema.kind) {
    case 'int8':
      return (reader.u8() << 24) >> 24
    case 'int16':
      return (reader.u16() << 16) >> 16
    case 'int32':
      return reader.u32() | 0
    case 'int64':
      return readInt64(reader)
    case 'bool':
      return reader.u8() !== 0
    case 'uuid':
      return reader.bytes(16)
    case 'string':
    case 'bytes':
    case 'list':
      return readSized(reader, schema, version, flexible)
    case 'struct':
      return readStruct(reader, schema, version, flexible)
  }
}

function readSized(reader: ByteReader, schema: Schema, version: number, flexible: boolean): unknown {
  const length = flexible
    ? reader.varuint() - 1
    : schema.kind === 'string'
      ? (reader.u16() << 16) >> 16
      : reader.u32() | 0
  if (length === -1) {
    if (schema.nullableFrom !== undefined && version >= schema.nullableFrom) return null
    throw corrupt(`null where it may not be, before byte ${reader.offset}`)
  }
  // Every element takes a byte at least, so that a count never asks for more than was received.
  if (length < 0 || length > reader.remaining)
    throw corrupt(`a length of ${length} at byte ${reader.offset}, ${reader.remaining} left`)
  if (schema.kind === 'string') return reader.text(length)
  if (schema.kind === 'bytes') return reader.bytes(length)
  const items: unknown[] = []
  for (let i = 0; i < length; i++) items.push(readValue(reader, schema.of as Schema, version, flexible))
  return items
}

function readStruct(reader: ByteReader, schema: Schema, version: number, flexible: boolean): unknown {
  const value: Record<string, unknown> = {}
  let tags: Map<number, readonly [name: string, field: Schema]> | undefined
  for (const [name, field] of fieldsOf(schema)) {
    value[name] = field.otherwise
    if (!exists(field, version)) continue
    if (field.tag === undefined) value[name] = readValue(reader, field, version, flexible)
    else (tags ??= new Map()).set(field.tag, [name, field])
  }
  if (flexible) readTags(reader, value, tags ?? noTags, version)
  return value
}

const noTags: ReadonlyMap<number, readonly [name: string, field: Schema]> = new Map()

/** Unknown ones are skipped: a newer broker may say more than we know. */
function readTags(
  reader: ByteReader,
  value: Record<string, unknown>,
  tags: ReadonlyMap<number, readonly [name: string, field: Schema]>,
  version: number
): void {
  const count = reader.varuint()
  if (count > reader.remaining) throw corrupt(`${count} tagged fields at byte ${reader.offset}`)
  for (let i = 0, last = -1; i < count; i++) {
    const tag = reader.varuint()
    if (tag <= last) throw corrupt(`tagged field ${tag} after ${last}`)
    last = tag
    const body = new ByteReader(reader.block())
    const known = tags.get(tag)
    if (known === undefined) continue
    const [name, field] = known
    value[name] = readValue(body, field, version, true)
    body.expectEnd()
  }
}

export interface RequestHeader {
  readonly version: number
  readonly correlationId: number
  readonly clientId: string
}

/** A whole frame, with its length. */
export function encodeRequest<N extends ApiName>(name: N, header: RequestHeader, body: RequestOf<N>): Uint8Array {
  const { key, request, flexibleFrom } = apiOf(name)
  const flexible = header.version >= flexibleFrom
  const writer = new ByteWriter()
  writer.u32(0)
  writer.u16(key)
  writer.u16(header.version)
  writer.u32(header.correlationId)
  writeSized(writer, { kind: 'string' }, header.clientId, 0, false)
  if (flexible) writer.varuint(0)
  writeValue(writer, request, body, header.version, flexible)
  writer.patchU32(0, writer.length - 4)
  return writer.take()
}

/** A frame without its length. */
export function decodeReply<N extends ApiName>(name: N, version: number, reader: ByteReader): ReplyOf<N> {
  const { reply, flexibleFrom } = apiOf(name)
  const flexible = version >= flexibleFrom
  // The reply to ApiVersions has the old header always: it is read before anything is agreed.
  if (flexible && name !== 'ApiVersions') readTags(reader, {}, noTags, version)
  const value = readValue(reader, reply, version, flexible) as ReplyOf<N>
  reader.expectEnd()
  return value
}
