/**
 * What the runtime knows about an actor class after it was probed: how to make, store, restore and roll back an instance.
 * Made by `defineActor(Class)` in `definition.ts`, once per stage when the job is built.
 */
import type { Actor, ActorClass } from './actor.ts'
import type { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'

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

/** What backs a durableMap field of one instance; supplied by the runtime, keyed by the codec's encoding of the map key. */
export interface DurableMapBackend {
  /** Encoded value, or undefined. Sees the writes buffered in this handler. */
  get(mapKey: Uint8Array): Uint8Array | undefined
  set(mapKey: Uint8Array, value: Uint8Array): void
  delete(mapKey: Uint8Array): void
  /** Entries with from ≤ key < to in order; more of them from `next` on. */
  entries(
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
    limit: number
  ): Promise<{
    readonly entries: readonly (readonly [Uint8Array, Uint8Array])[]
    readonly next: Uint8Array | undefined
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
