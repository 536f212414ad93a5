/** Probes an actor class once per stage: what its fields are, whether they can be stored, how to make and restore an instance. */
import { ByteReader, ByteWriter, equalBytes } from '../runtime/kernel/bytes.ts'
import { parseDuration } from '../runtime/kernel/durations.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { Actor, ActorClass } from './actor.ts'
import { AvroState } from './avro-state.ts'
import type { ActorDefinition, DurableMapBackend, PreImage, StoredActorSchema } from './definition-types.ts'
import { MapField } from './durable-map.ts'
import { decodeValue, encodePrimitive, encodeValue } from './state-codec.ts'

/** Rewriting more than this on every change would dominate every checkpoint. */
const stateLimitBytes = 4 * 1024 * 1024

type Fields = Record<string, unknown>

export function defineActor(actorClass: ActorClass<Actor>, stageName: string = actorClass.name): ActorDefinition {
  const name = actorClass.actorName ?? actorClass.name
  const problems: string[] = []
  const fields = probe(actorClass, name, problems)
  const version = actorClass.version ?? 1
  if (!Number.isSafeInteger(version) || version < 1)
    problems.push(`${name}: static version is ${String(version)}; it must be a whole number from 1`)
  let ttl: ActorDefinition['ttl']
  if (actorClass.ttl !== undefined)
    try {
      const { after, since = 'last-event', clock = 'event' } = actorClass.ttl
      ttl = { afterMs: parseDuration(after, `${name}: ttl.after`), since, clock }
    } catch (error) {
      problems.push((error as Error).message)
    }
  const avro = problems.length > 0 ? undefined : avroOf(actorClass, name, fields, problems)
  if (problems.length > 0) throw new CodedError('ACTOR_INVALID', `stage "${stageName}": ${problems.join('; ')}`)
  const schema = { actor: name, version, fields, ...(avro === undefined ? {} : { avro: avro.text }) }
  return new Definition(actorClass, name, schema, ttl, avro)
}

function avroOf(
  actorClass: ActorClass<Actor>,
  name: string,
  fields: StoredActorSchema['fields'],
  problems: string[]
): AvroState | undefined {
  if (actorClass.schema === undefined) return undefined
  try {
    const avro = new AvroState(name, actorClass.schema, namesOf(fields))
    problems.push(...avro.problems(new actorClass() as unknown as Fields))
    return avro
  } catch (error) {
    problems.push(`${name}: static schema: ${(error as Error).message}`)
    return undefined
  }
}

const namesOf = (fields: StoredActorSchema['fields']): string[] =>
  fields.filter(({ kind }) => kind !== 'durableMap').map(({ name }) => name)

function probe(actorClass: ActorClass<Actor>, name: string, problems: string[]): { name: string; kind: string }[] {
  if (actorClass.length > 0) problems.push(`${name}: the constructor takes arguments; an actor is made with none`)
  const [first, second] = [new actorClass(), new actorClass()] as unknown as [Fields, Fields]
  const fields: { name: string; kind: string }[] = []
  const objects = new Set<unknown>()
  if (Object.getOwnPropertySymbols(first).length > 0) problems.push(`${name}: a field whose name is a symbol`)
  for (const field of Object.getOwnPropertyNames(first)) {
    const property = Object.getOwnPropertyDescriptor(first, field)
    if (property === undefined || !('value' in property)) {
      problems.push(`${name}.${field} is an accessor`)
      continue
    }
    const value = first[field]
    if (value instanceof MapField) {
      if (value === second[field])
        problems.push(`${name}.${field} is one durableMap for all keys; create it in the initialiser`)
      fields.push({ name: field, kind: 'durableMap' })
      continue
    }
    if (typeof value === 'object' && value !== null) {
      if (value === second[field])
        problems.push(`${name}.${field} holds an object shared between all keys; create it in the initialiser`)
      if (objects.has(value)) problems.push(`${name}.${field} holds the same object as another field`)
      objects.add(value)
    }
    try {
      const [a, b] = [new ByteWriter(), new ByteWriter()]
      encodeValue(value, a, `${name}.${field}`)
      encodeValue(second[field], b, `${name}.${field}`)
      if (!equalBytes(a.view(), b.view())) problems.push(`${name}.${field} is initialised differently each time`)
    } catch (error) {
      problems.push((error as Error).message)
    }
    fields.push({ name: field, kind: kindOf(value) })
  }
  return fields
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return typeof value
  if (Array.isArray(value)) return 'array'
  if (value instanceof Map) return 'map'
  if (value instanceof Set) return 'set'
  if (value instanceof Date) return 'date'
  if (value instanceof Uint8Array) return 'bytes'
  return 'object'
}

function decodeFields(from: ByteReader, stored: StoredActorSchema): Fields {
  const old: Fields = {}
  for (const name of namesOf(stored.fields))
    Object.defineProperty(old, name, { value: decodeValue(from), writable: true, enumerable: true, configurable: true })
  from.expectEnd()
  return old
}

class Definition implements ActorDefinition {
  readonly actorClass: ActorClass<Actor>
  readonly name: string
  readonly schema: StoredActorSchema
  readonly outputs: readonly string[]
  readonly durableMaps: readonly string[]
  readonly ttl: ActorDefinition['ttl']
  private readonly names: readonly string[]
  /** Of each name, for messages. */
  private readonly paths: readonly string[]
  private readonly avro: AvroState | undefined
  /** Of schemas that the class no longer has, by their text. */
  private readonly former = new Map<string, AvroState>()
  private readonly scratch = new ByteWriter()

  constructor(
    actorClass: ActorClass<Actor>,
    name: string,
    schema: StoredActorSchema,
    ttl: ActorDefinition['ttl'],
    avro: AvroState | undefined
  ) {
    this.avro = avro
    this.actorClass = actorClass
    this.name = name
    this.schema = schema
    this.ttl = ttl
    this.outputs = Object.keys(actorClass.outputs ?? {})
    this.names = namesOf(schema.fields)
    this.paths = this.names.map(field => `${name}.${field}`)
    this.durableMaps = schema.fields.map(field => field.name).filter(name => !this.names.includes(name))
  }

  create(): Actor {
    return Object.seal(new this.actorClass())
  }

  bind(instance: Actor, backendOf: (field: string) => DurableMapBackend): void {
    for (const name of this.durableMaps) {
      const field = (instance as unknown as Fields)[name]
      if (!(field instanceof MapField))
        throw new TypeError(`${this.name}.${name} is a durableMap and cannot be assigned to`)
      field.bind(backendOf(name))
    }
  }

  encode(instance: Actor, into: ByteWriter): void {
    const start = into.length
    if (this.avro === undefined) this.encodeFields(instance, into)
    else this.avro.encode(instance as unknown as Fields, into)
    const size = into.length - start
    if (size > stateLimitBytes)
      throw new CodedError(
        'STATE_TOO_LARGE',
        `an instance of ${this.name} is ${size} bytes; the limit is ${stateLimitBytes}`
      )
  }

  private encodeFields(instance: Actor, into: ByteWriter): void {
    const { names, paths } = this
    /** Of the fields before: places of those that hold objects. */
    let objects: number[] | undefined
    for (let i = 0; i < names.length; i++) {
      const value = (instance as unknown as Fields)[names[i] as string]
      if (encodePrimitive(value, into)) continue
      if (typeof value === 'object' && value !== null) {
        const other = objects?.find(place => (instance as unknown as Fields)[names[place] as string] === value)
        if (other !== undefined)
          throw new CodedError('VALUE_NOT_STORABLE', `${paths[i]} holds the same object as ${paths[other]}`)
        if (objects === undefined) objects = [i]
        else objects.push(i)
      }
      encodeValue(value, into, paths[i] as string)
    }
  }

  restore(from: ByteReader, stored: StoredActorSchema): Actor {
    const resolved = stored.avro !== undefined && this.avro !== undefined
    const old =
      stored.avro === undefined ? decodeFields(from, stored) : this.readerOf(stored.avro).decode(from, stored.avro)
    const instance = new this.actorClass() as unknown as Fields
    let values = old
    if (!resolved && stored.version !== this.schema.version && this.actorClass.migrate !== undefined)
      values = { ...old, ...this.actorClass.migrate(old, stored.version) }
    for (const name of this.names) if (Object.hasOwn(values, name)) instance[name] = values[name]
    return Object.seal(instance) as unknown as Actor
  }

  /** What was stored by an Avro schema, and is not any more, is read as it was. */
  private readerOf(written: string): AvroState {
    if (this.avro !== undefined) return this.avro
    let former = this.former.get(written)
    if (former === undefined) this.former.set(written, (former = new AvroState(this.name, written, this.names)))
    return former
  }

  accepts(stored: StoredActorSchema): readonly string[] {
    if (stored.actor !== this.name) return [`the stored state is of actor ${stored.actor}, not ${this.name}`]
    if (stored.version > this.schema.version)
      return [
        `the stored state of ${this.name} is of version ${stored.version}; this class is of version ${this.schema.version}`
      ]
    if (stored.avro !== undefined && this.avro !== undefined) return this.avro.accepts(stored.avro)
    const migrates = stored.version !== this.schema.version && this.actorClass.migrate !== undefined
    if (migrates) return []
    const drops = this.actorClass.drops ?? []
    return stored.fields
      .filter(
        field =>
          !drops.includes(field.name) &&
          !(field.kind === 'durableMap' ? this.durableMaps : this.names).includes(field.name)
      )
      .map(
        field =>
          `${this.name}.${field.name} is stored but not in the class; rename it by \`static migrate\` with a new version, or list it in \`static drops\``
      )
  }

  preImage(instance: Actor): PreImage {
    const { names, paths, scratch } = this
    const values: unknown[] = []
    for (let i = 0; i < names.length; i++) {
      const value = (instance as unknown as Fields)[names[i] as string]
      if (typeof value !== 'object' || value === null) values.push(value)
      else {
        scratch.reset()
        encodeValue(value, scratch, paths[i] as string)
        values.push(scratch.take())
      }
    }
    return values as unknown as PreImage
  }

  rollback(instance: Actor, image: PreImage): void {
    const values = image as unknown as unknown[]
    this.names.forEach((name, i) => {
      const value = values[i]
      ;(instance as unknown as Fields)[name] = value instanceof Uint8Array ? decodeValue(new ByteReader(value)) : value
    })
  }

  snapshot(instance: Actor): Record<string, unknown> {
    const writer = new ByteWriter()
    const copy: Fields = {}
    for (const name of this.names) {
      writer.reset()
      encodeValue((instance as unknown as Fields)[name], writer, `${this.name}.${name}`)
      copy[name] = decodeValue(new ByteReader(writer.take()))
    }
    return copy
  }
}

/** Adds the remedy to the TypeError of a write to a field that the sealed instance does not have. */
export function explainHandlerError(error: unknown, actor: string): unknown {
  const match = error instanceof TypeError ? /add property (\S+), object is not extensible/.exec(error.message) : null
  if (match === null) return error
  return new TypeError(`${actor}.${match[1]} is not a field of the class: give the field an initialiser`, {
    cause: error
  })
}
