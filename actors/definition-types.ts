/**
 * What the runtime knows about an actor class after it was probed: how to make, store, restore and roll back an instance.
 * Made by `defineActor(Class)` in `definition.ts`, once per stage when the job is built.
 */
import type { Actor, ActorClass } from './actor.ts'
import type { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import type { MapEntry, MapKey } from './map-entries.ts'

/** What the manifest stores about an actor, so that other code can say whether it takes the state. */
export interface StoredActorSchema {
  readonly actor: string
  readonly version: number
  /** In stored order. `kind` is what the probe instance held: 'number' | 'string' | 'map' | 'object' | … | 'durableMap'. */
  readonly fields: readonly { readonly name: string; readonly kind: string }[]
  /** Text of the Avro schema by which they are stored; absent: one after the other. */
  readonly avro?: string
}

/** Holds what an instance looked like before a handler ran; opaque. */
export type PreImage = { readonly __preImage: unknown }

/** Keys between `from` (it included) or `after` (it left out) and `to` (left out). */
export interface MapRange {
  readonly from: MapKey | undefined
  readonly after: MapKey | undefined
  readonly to: MapKey | undefined
}

/** What backs a durableMap field of one instance; supplied by the runtime. */
export interface DurableMapBackend {
  /** Sees the writes buffered in this handler. */
  get(key: MapKey): MapEntry | undefined
  set(key: MapKey, entry: MapEntry): void
  delete(key: MapKey): void
  /** Entries in order; more of them after `last`, if it is there. */
  entries(
    range: MapRange,
    limit: number
  ): Promise<{
    readonly entries: readonly (readonly [MapKey, MapEntry])[]
    readonly last: MapKey | undefined
  }>
  /** Wall clock for TTL, ms. */
  now(): number
}

export interface ActorDefinition {
  readonly actorClass: ActorClass<Actor>
  /** Stored identity. */
  readonly name: string
  readonly schema: StoredActorSchema
  /** Names of side outputs. */
  readonly outputs: readonly string[]
  /** Field names that hold a durableMap. */
  readonly durableMaps: readonly string[]
  readonly ttl:
    { readonly afterMs: number; readonly since: 'last-event' | 'created'; readonly clock: 'event' | 'wall' } | undefined
  /** `new Class()`, sealed. */
  create(): Actor
  /** Binds every durableMap field; called once after create or restore when the class has any. */
  bind(instance: Actor, backendOf: (field: string) => DurableMapBackend): void
  /** Appends the encoding of all fields (durableMap fields excepted). Throws CodedError VALUE_NOT_STORABLE / STATE_TOO_LARGE naming the path. */
  encode(instance: Actor, into: ByteWriter): void
  /**
   * `new Class()`, sealed, fields assigned; migrates when `stored` is another version. Reads to the end of its fields.
   * Throws CodedError CORRUPT, never runs stored names as code, never sets `__proto__`.
   */
  restore(from: ByteReader, stored: StoredActorSchema): Actor
  /** Why this class cannot take state of `stored`: one sentence per field, naming actor and field; [] = it can. */
  accepts(stored: StoredActorSchema): readonly string[]
  /** Cheap picture of all fields, taken before a handler of a stage that goes on after errors. */
  preImage(instance: Actor): PreImage
  /** Puts the fields back; the instance is then as it was. */
  rollback(instance: Actor, image: PreImage): void
  /** Plain copy of the fields for people (`state get`, the driver). */
  snapshot(instance: Actor): Record<string, unknown>
}
