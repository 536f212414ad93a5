/** Codecs of event values. Data from outside is validated: `json(schema)` takes a Standard Schema (zod and others). */
import type { ValueCodec } from './connectors.ts'
import { decoderOf, Nullable, type FieldsOf, type FieldType, type FieldTypes } from './json-fields.ts'
import { writeJson } from './json-writer.ts'

/** https://standardschema.dev, version 1. */
export interface StandardSchema<I = unknown, O = I> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- results differ between vendors; checked where read
    readonly validate: (value: unknown) => any
    readonly types?: { readonly input: I; readonly output: O } | undefined
  }
}
export type Checked<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

export interface Codec<T> extends ValueCodec {
  decode(bytes: Uint8Array): T
  encode(value: T): Uint8Array
}

/** What a codec reads: `type Order = Decoded<typeof order>`. */
export type Decoded<C extends Codec<unknown>> = ReturnType<C['decode']>

const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

interface Issue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What the schema makes of a value; throws a TypeError that lists what is wrong with it. */
export function validated(schema: StandardSchema, value: unknown): unknown {
  const result = schema['~standard'].validate(value) as { readonly issues?: readonly Issue[]; readonly value?: unknown }
  if (result instanceof Promise)
    throw new TypeError('the schema validates asynchronously, which a source cannot wait for')
  if (result.issues === undefined) return result.value
  const sentences = result.issues.map(issue => {
    const path = (issue.path ?? []).map(part => String(typeof part === 'object' ? part.key : part)).join('.')
    return path === '' ? issue.message : `${path}: ${issue.message}`
  })
  throw new TypeError(sentences.join('; '))
}

function jsonText(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw new TypeError(`json: a ${typeof value} has no JSON`)
  return text
}

interface Json {
  /** JSON, unchecked: what is read is taken for a `T`. */
  <T>(): Codec<T>
  /** JSON, checked by the schema when read. */
  <S extends StandardSchema>(schema: S): Codec<Checked<S>>
  /**
   * JSON objects of which only the declared fields are read, and checked. What else stands in them is passed over, which takes less
   * time; but all of it must be JSON. What is taken, and the values that come of it, are those of JSON.parse: of two fields with the same name the last.
   *
   * A field is a `'number'`, an `'integer'` (within ±(2^53 - 1), so that none was rounded), a `'string'`, a `'boolean'`, `'json'` (whatever there is) or
   * an object of fields; `json.nullable(type)` is one of them or null. One whose name is declared with a `?` behind it may be missing, and is then missing
   * in the value. Where a declared field is missing otherwise, or is of another type, there is a TypeError, which names all of them.
   *
   * Writes whatever it is given, as `json<T>()` does: fields that are not declared, too.
   */
  fields<F extends FieldTypes>(types: F): Codec<FieldsOf<F>>
  /** In `json.fields`: a value of that type, or null. */
  nullable<T extends FieldType>(type: T): Nullable<T>
}

function checkedJson(schema?: StandardSchema): Codec<unknown> {
  return {
    name: 'json',
    decode(bytes) {
      const value: unknown = JSON.parse(decoder.decode(bytes))
      return schema === undefined ? value : validated(schema, value)
    },
    encode: value => encoder.encode(jsonText(value)),
    encodeTo(value, to) {
      // JSON.stringify escapes lone surrogates, so its text is well formed.
      if (!to.append(value, writeJson)) to.utf8(jsonText(value))
    }
  }
}

const more: Pick<Json, 'fields' | 'nullable'> = {
  fields: types => ({ ...json(), decode: decoderOf(types) as never }),
  nullable: type => new Nullable(type)
}
export const json = Object.assign(checkedJson, more) as Json

/** UTF-8 text. */
export function text(): Codec<string> {
  return { name: 'text', decode: bytes => decoder.decode(bytes), encode: value => encoder.encode(value) }
}

/** Bytes as they are. */
export function bytes(): Codec<Uint8Array> {
  return { name: 'bytes', decode: value => value.slice(), encode: value => value.slice() }
}
