/** What the registry of the tests keeps: schemas by number, versions of subjects, and what goes with what. */
import avsc from 'avsc'

export interface Reference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

export interface KeptSchema {
  readonly schema: string
  /** Others than Avro are kept, and nothing is known of them. */
  readonly schemaType: string
  readonly references: readonly Reference[]
}

interface Version {
  readonly version: number
  readonly id: number
  deleted: boolean
}

export class Refusal extends Error {
  readonly status: number
  readonly code: number

  constructor(status: number, code: number, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export const levels = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE'
]
const kinds = ['JSON', 'AVRO', 'PROTOBUF']

export class RegistrySubjects {
  readonly schemas = new Map<number, KeptSchema>()
  /** Oldest first. */
  readonly versions = new Map<string, Version[]>()
  /** By subject; that of '' holds for the others. */
  readonly levels = new Map([['', 'BACKWARD']])

  names(deleted: boolean): string[] {
    return [...this.versions.keys()].filter(name => this.of(name, deleted).length > 0)
  }

  of(subject: string, deleted = false): readonly Version[] {
    return (this.versions.get(subject) ?? []).filter(each => deleted || !each.deleted)
  }

  /** At least one. */
  some(subject: string, deleted = false): readonly Version[] {
    const found = this.of(subject, deleted)
    if (found.length === 0) throw new Refusal(404, 40401, `Subject '${subject}' not found.`)
    return found
  }

  version(subject: string, named: string, deleted = false): Version {
    const latest = named === 'latest' || named === '-1'
    if (!latest && !/^[1-9]\d*$/.test(named))
      throw new Refusal(422, 42202, `The specified version '${named}' is not a valid version id.`)
    const all = this.some(subject, deleted)
    const found = latest ? all.at(-1) : all.find(({ version }) => String(version) === named)
    if (found === undefined) throw new Refusal(404, 40402, `Version ${named} not found.`)
    return found
  }

  schema(id: number): KeptSchema {
    const found = this.schemas.get(id)
    if (found === undefined) throw new Refusal(404, 40403, 'Schema not found')
    return found
  }

  described(subject: string, { version, id }: Version): object {
    return { subject, version, id, ...shown(this.schema(id)) }
  }

  lookUp(subject: string, schema: KeptSchema, deleted: boolean): Version {
    const found = this.some(subject, deleted).findLast(({ id }) => same(this.schema(id), schema))
    if (found === undefined) throw new Refusal(404, 40403, 'Schema not found')
    return found
  }

  register(subject: string, schema: KeptSchema): number {
    const known = this.of(subject).find(each => same(this.schema(each.id), schema))
    if (known !== undefined) return known.id
    const [why] = this.problems(subject, schema, undefined)
    if (why !== undefined)
      throw new Refusal(
        409,
        409,
        `Schema being registered is incompatible with an earlier schema for subject "${subject}": ${why}`
      )
    // One schema has one number, under whatever subjects.
    const id = [...this.schemas].find(([, each]) => same(each, schema))?.[0] ?? this.schemas.size + 1
    this.schemas.set(id, schema)
    const before = this.versions.get(subject) ?? []
    this.versions.set(subject, [...before, { version: (before.at(-1)?.version ?? 0) + 1, id, deleted: false }])
    return id
  }

  /** Why it does not go with that version, or, as the level wants it, with the newest or with all. */
  problems(subject: string, schema: KeptSchema, version: Version | undefined): string[] {
    const level = this.levels.get(subject) ?? this.levels.get('') ?? ''
    const all = this.of(subject)
    const against = level.endsWith('_TRANSITIVE') ? all : version === undefined ? all.slice(-1) : [version]
    return against.flatMap(({ id }) => {
      const other = this.schema(id)
      if (level === 'NONE') return []
      if (other.schemaType !== schema.schemaType) return [`${schema.schemaType} after ${other.schemaType}`]
      return [
        ...(level.startsWith('FORWARD') ? [] : this.unreadable(schema, other)),
        ...(level.startsWith('BACKWARD') ? [] : this.unreadable(other, schema))
      ]
    })
  }

  private unreadable(reader: KeptSchema, writer: KeptSchema): string[] {
    if (reader.schemaType !== 'AVRO') return []
    try {
      this.typeOf(reader).createResolver(this.typeOf(writer))
      return []
    } catch (error) {
      return [(error as Error).message]
    }
  }

  /** Numbers of those that refer to it. */
  referring(subject: string, { version }: Version): number[] {
    const used = new Set(this.names(false).flatMap(name => this.of(name).map(({ id }) => id)))
    return [...this.schemas]
      .filter(([, { references }]) => references.some(each => each.subject === subject && each.version === version))
      .map(([id]) => id)
      .filter(id => used.has(id))
  }

  delete(subject: string, named: string | undefined, permanent: boolean): readonly Version[] {
    const all = this.some(subject, true)
    const chosen = named === undefined ? all : [this.version(subject, named, true)]
    const what = named === undefined ? `Subject '${subject}'` : `Subject '${subject}' Version ${named}`
    const codes = named === undefined ? [40404, 40405] : [40406, 40407]
    for (const each of chosen)
      if (this.referring(subject, each).length > 0)
        throw new Refusal(422, 42206, `One or more references exist to the schema of version ${each.version}.`)
    if (permanent) {
      if (chosen.some(({ deleted }) => !deleted))
        throw new Refusal(404, codes[1] as number, `${what} was not deleted first before being permanently deleted`)
      const left = all.filter(each => !chosen.includes(each))
      if (left.length > 0) this.versions.set(subject, left)
      else this.versions.delete(subject)
      return chosen
    }
    const fresh = chosen.filter(({ deleted }) => !deleted)
    if (fresh.length === 0) throw new Refusal(404, codes[0] as number, `${what} was soft deleted`)
    for (const each of fresh) each.deleted = true
    return fresh
  }

  /** The schema that a request holds. */
  parsed(text: string): KeptSchema {
    const { schema, schemaType = 'AVRO', references } = asked(text)
    if (typeof schema !== 'string') throw new Refusal(422, 422, 'schema: a text is wanted')
    if (typeof schemaType !== 'string' || !kinds.includes(schemaType))
      throw new Refusal(422, 422, `schemaType: ${kinds.join(', ')} are known`)
    const kept = { schema, schemaType, references: (references ?? []) as Reference[] }
    try {
      if (schemaType === 'AVRO') this.typeOf(kept)
      else if (schemaType === 'JSON') JSON.parse(schema)
    } catch (error) {
      throw new Refusal(422, 42201, `Invalid ${schemaType} schema. Error: ${(error as Error).message}`)
    }
    return { ...kept, schema: schemaType === 'PROTOBUF' ? schema : JSON.stringify(JSON.parse(schema)) }
  }

  private typeOf({ schema, references }: KeptSchema, registry: Record<string, avsc.Type> = {}): avsc.Type {
    for (const { subject, version } of references)
      this.typeOf(this.schema(this.version(subject, String(version)).id), registry)
    return avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, { registry })
  }
}

/** What a body holds. */
export function asked(text: string): Readonly<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>
  } catch {
    // As said below.
  }
  throw new Refusal(422, 422, 'the body is no JSON object')
}

/** As it is answered: what goes without saying is left out. */
export const shown = ({ schema, schemaType, references }: KeptSchema): object => ({
  schema,
  ...(schemaType === 'AVRO' ? {} : { schemaType }),
  ...(references.length === 0 ? {} : { references })
})

/** The order of keys says nothing. */
const sorted = (text: string): string =>
  JSON.stringify(JSON.parse(text), (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value
  )

function same(a: KeptSchema, b: KeptSchema): boolean {
  if (a.schemaType !== b.schemaType || JSON.stringify(a.references) !== JSON.stringify(b.references)) return false
  return a.schemaType === 'PROTOBUF' ? a.schema === b.schema : sorted(a.schema) === sorted(b.schema)
}
