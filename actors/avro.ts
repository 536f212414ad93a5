/**
 * Avro: as it is, and in the wire format of schema registries, where each record names its writer's schema by a number. Schemas come from
 * outside and are compiled: their names, depth and size are checked first.
 */
import { bufferOver, compile, parsed, type AvroResolver, type AvroType } from './avro-compile.ts'
import { textOf, type AvroSchema } from './avro-schema.ts'
import type { Codec } from './codecs.ts'
import type { RegistryPart } from './connectors.ts'

/** Avro without a frame: reader and writer have the same schema. */
export function avro<T>(schema: AvroSchema): Codec<T> {
  const type = compile(textOf(schema))
  return {
    name: 'avro',
    decode: bytes => type.fromBuffer(bufferOver(bytes)) as T,
    encode: value => type.toBuffer(value)
  }
}

/**
 * Avro in Confluent's wire format: what is read is resolved from its writer's schema, which the registry knows, to this one. The registry is a
 * setting of whoever runs the job. `register: false`: it must know the schema already.
 */
export function registered<T>(options: {
  readonly schema: AvroSchema
  /** Default: `<topic>-value`. */
  readonly subject?: string
  readonly register?: boolean
}): Codec<T> {
  const part = new Registered(textOf(options.schema), options.subject, options.register ?? true)
  return {
    name: 'avro with a registry',
    decode: bytes => part.decode(bytes) as T,
    encode: value => part.encode(value),
    registry: part
  }
}

const frameBytes = 5
/** The number that tests and simulations write, where there is no registry; registries count from 1. */
const ownId = 0

class Registered implements RegistryPart {
  readonly schema: string
  readonly subject: string | undefined
  readonly register: boolean
  private readonly type: AvroType
  /** By number; a text says why it cannot be read. */
  private readonly writers = new Map<number, AvroResolver | string | undefined>([[ownId, undefined]])
  private id = ownId

  constructor(schema: string, subject: string | undefined, register: boolean) {
    // The bare name of a primitive is none to a registry.
    this.schema = typeof parsed(schema) === 'string' ? JSON.stringify(parsed(schema)) : schema
    this.subject = subject
    this.register = register
    this.type = compile(schema)
  }

  unknown(bytes: Uint8Array): number | undefined {
    if (bytes.length < frameBytes || bytes[0] !== 0) return undefined
    const id = bufferOver(bytes).readUInt32BE(1)
    return this.writers.has(id) ? undefined : id
  }

  learn(id: number, schema: string, before?: readonly string[]): void {
    try {
      this.writers.set(id, this.type.createResolver(compile(schema, before)))
    } catch (error) {
      this.writers.set(id, `schema ${id} cannot be read as this one: ${(error as Error).message}`)
    }
  }

  refuse(id: number, why: string): void {
    this.writers.set(id, why)
  }

  writeAs(id: number): void {
    this.id = id
    this.writers.set(id, undefined)
  }

  decode(bytes: Uint8Array): unknown {
    if (bytes.length < frameBytes || bytes[0] !== 0)
      throw new TypeError(`a record of ${bytes.length} bytes does not begin with the number of a schema`)
    const buffer = bufferOver(bytes)
    const id = buffer.readUInt32BE(1)
    const writer = this.writers.get(id)
    if (typeof writer === 'string') throw new TypeError(writer)
    if (writer === undefined && !this.writers.has(id)) throw new TypeError(`schema ${id} is unknown`)
    return this.type.fromBuffer(buffer.subarray(frameBytes), writer)
  }

  encode(value: unknown): Uint8Array {
    const body = this.type.toBuffer(value)
    const framed = Buffer.allocUnsafe(frameBytes + body.length)
    framed[0] = 0
    framed.writeUInt32BE(this.id, 1)
    body.copy(framed, frameBytes)
    return framed
  }
}
