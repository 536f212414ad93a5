/**
 * The language in which Kafka's messages are written down here: data, interpreted by `codec.ts`.
 *
 * A field exists in the versions `from`…`until`; elsewhere it has its value `otherwise`. A field with a `tag` stands in the tagged section of
 * flexible versions. The order of fields is the order on the wire.
 */
export type Kind = 'int8' | 'int16' | 'int32' | 'int64' | 'bool' | 'string' | 'bytes' | 'uuid' | 'list' | 'struct'

export interface Schema {
  readonly kind: Kind
  /** Strings, bytes and lists: null from this version on. */
  readonly nullableFrom?: number
  readonly of?: Schema
  readonly fields?: Readonly<Record<string, Schema>>
  readonly from?: number
  readonly until?: number
  readonly tag?: number
  /** Value where the field does not exist, and where a tagged field is absent. */
  readonly otherwise?: unknown
}

/** A schema whose values have the type T. */
export interface Type<T> extends Schema {
  readonly as?: T
}

export type ValueOf<S> = S extends Type<infer T> ? T : never

export const int8: Type<number> = { kind: 'int8', otherwise: 0 }
export const int16: Type<number> = { kind: 'int16', otherwise: 0 }
export const int32: Type<number> = { kind: 'int32', otherwise: 0 }
/** As a number: Kafka's offsets, times and ids stay below 2^53; others are refused. */
export const int64: Type<number> = { kind: 'int64', otherwise: 0 }
export const bool: Type<boolean> = { kind: 'bool', otherwise: false }
export const string: Type<string> = { kind: 'string', otherwise: '' }
/** Sixteen bytes. */
export const uuid: Type<Uint8Array> = { kind: 'uuid', otherwise: new Uint8Array(16) }
export const bytes: Type<Uint8Array> = { kind: 'bytes', otherwise: new Uint8Array(0) }

export const nullable = <T>(type: Type<T>, from = 0): Type<T | null> => ({
  ...(type as Schema),
  nullableFrom: from,
  otherwise: null
})

export const list = <T>(of: Type<T>): Type<readonly T[]> => ({ kind: 'list', of, otherwise: [] })

export const struct = <F extends Readonly<Record<string, Schema>>>(
  fields: F
): Type<{ readonly [K in keyof F]: ValueOf<F[K]> }> => ({ kind: 'struct', fields })

/** The field exists from this version on. */
export const since = <T>(from: number, type: Type<T>, otherwise?: T): Type<T> => ({
  ...type,
  from,
  ...(otherwise === undefined ? {} : { otherwise })
})

export const until = <T>(last: number, type: Type<T>): Type<T> => ({ ...type, until: last })

export const tagged = <T>(tag: number, from: number, type: Type<T>, otherwise?: T): Type<T> => ({
  ...since(from, type, otherwise),
  tag
})

/** One request and its reply. */
export interface Api<Q, P> {
  readonly key: number
  /** Versions that are spoken here. */
  readonly versions: readonly [min: number, max: number]
  /** The first version with compact lengths and tagged fields. */
  readonly flexibleFrom: number
  readonly request: Type<Q>
  readonly reply: Type<P>
}

export const api = <Q, P>(
  key: number,
  versions: readonly [number, number],
  flexibleFrom: number,
  request: Type<Q>,
  reply: Type<P>
): Api<Q, P> => ({ key, versions, flexibleFrom, request, reply })
