/**
 * Durable fields of an actor as one Avro record (`static schema`): what an older schema wrote is resolved to the one of now, by the rules of
 * the Avro specification (defaults for what is new, aliases for what was renamed, wider numbers; what is gone is dropped).
 */
import type { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { bufferOver, compile, type AvroResolver, type AvroType } from './avro-compile.ts'
import { textOf, type AvroSchema } from './avro-schema.ts'

type Fields = Record<string, unknown>

export class AvroState {
  /** The schema as it is stored. */
  readonly text: string
  private readonly actor: string
  private readonly names: readonly string[]
  private readonly type: AvroType
  /** Bytes are something else to the library than to everybody else. */
  private readonly holdsBytes: boolean
  private readonly resolvers = new Map<string, AvroResolver>()

  /** @param names of the fields that are stored. Throws a TypeError that says what is wrong with the schema. */
  constructor(actor: string, schema: AvroSchema, names: readonly string[]) {
    this.actor = actor
    this.names = names
    this.text = textOf(schema)
    this.type = compile(this.text)
    this.holdsBytes = /"(?:bytes|fixed)"/.test(this.text)
  }

  /** What keeps an instance as the class makes it from being stored. */
  problems(made: Fields): string[] {
    const { actor, names } = this
    const listed = (this.type as { readonly fields?: readonly { readonly name: string }[] }).fields
    if (listed === undefined) return [`${actor}: static schema is not that of a record`]
    const known = listed.map(({ name }) => name)
    const found = [
      ...names
        .filter(name => !known.includes(name))
        .map(name => `${actor}.${name} is not in static schema, which lists all durable fields`),
      ...known
        .filter(name => !names.includes(name))
        .map(name => `${actor}: static schema has the field ${name}, which the class has not`)
    ]
    return found.length > 0 ? found : this.mismatches(this.taken(made))
  }

  /** Appends the fields. Throws VALUE_NOT_STORABLE. */
  encode(instance: Fields, into: ByteWriter): void {
    const record = this.taken(instance)
    let bytes: Buffer
    try {
      bytes = this.type.toBuffer(record)
    } catch (cause) {
      const why = this.mismatches(record)[0] ?? `${this.actor}: ${(cause as Error).message}`
      throw new CodedError('VALUE_NOT_STORABLE', why, { cause })
    }
    into.bytes(bytes)
  }

  /** Reads to the end. Throws CORRUPT. */
  decode(from: ByteReader, written: string): Fields {
    try {
      const bytes = from.bytes(from.remaining)
      return plain(this.type.fromBuffer(bufferOver(bytes), this.resolverOf(written))) as Fields
    } catch (cause) {
      throw new CodedError(
        'CORRUPT',
        `state of ${this.actor} cannot be read by its Avro schema: ${(cause as Error).message}`,
        {
          cause
        }
      )
    }
  }

  /** Why what that schema wrote cannot be read as this one; [] = it can. */
  accepts(written: string): readonly string[] {
    try {
      this.resolverOf(written)
      return []
    } catch (error) {
      return [`${this.actor}: what is stored cannot be read by static schema: ${(error as Error).message}`]
    }
  }

  private resolverOf(written: string): AvroResolver | undefined {
    if (written === this.text) return undefined
    let resolver = this.resolvers.get(written)
    if (resolver === undefined) this.resolvers.set(written, (resolver = this.type.createResolver(compile(written))))
    return resolver
  }

  private taken(instance: Fields): Fields {
    const record: Fields = {}
    for (const name of this.names) record[name] = this.holdsBytes ? withBuffers(instance[name]) : instance[name]
    return record
  }

  private mismatches(record: Fields): string[] {
    const found: string[] = []
    this.type.isValid(record, {
      errorHook: (path: readonly string[], value: unknown, wanted: AvroType) => {
        found.push(`${this.actor}.${path.join('.')} is ${shown(value)}; static schema wants ${wanted.typeName}`)
      }
    })
    return found
  }
}

function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return `of type ${value.constructor.name}`
  return JSON.stringify(value) ?? String(value)
}

/** The library makes classes of records. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

function withBuffers(value: unknown): unknown {
  if (value instanceof Uint8Array) return bufferOver(value)
  if (Array.isArray(value)) return value.map(withBuffers)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBuffers(item)]))
}
