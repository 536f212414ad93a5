/**
 * One key of one stage, in memory: its instance (or its stored bytes, decoded at the first touch), and which epochs it is dirty in.
 * The stored record is `schema index · created · last event · timers · alarms · fields`.
 */
import type { Actor } from '../../actors/actor.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import { ByteReader, type ByteWriter, latin1OfBytes } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { encodeKey, type Key } from '../kernel/keys.ts'
import type { TimerQueue } from './timer-queue.ts'

export class Entry {
  readonly key: Key
  readonly keyGroup: number
  private order: string | undefined = undefined
  instance: Actor | undefined = undefined
  /** Encoded fields not decoded yet. */
  stored: { readonly reader: ByteReader; readonly schema: StoredActorSchema } | undefined = undefined
  /** Seal sequence (of its task) in which it was last touched; 0 = never. */
  dirtySequence = 0
  /** Newest seal whose image of it was written. */
  encodedSequence = 0
  created = 0
  lastEvent = 0
  /** Of its last encoding, for the budgets. */
  sizeBytes = 0
  /** Used since the evicting hand passed. */
  recent = true
  /** Timers that the stored record may have indexed in the local store; kept in store mode only. */
  indexed: readonly IndexedTimer[] | undefined = undefined
  /** A promise of its handler is pending; later events wait in `mailbox`. */
  busy = false
  forgotten = false
  mailbox: (() => void)[] | undefined = undefined
  /** Timers and alarms that fell due while it was busy. */
  due: IndexedTimer[] | undefined = undefined

  constructor(key: Key, keyGroup: number) {
    this.key = key
    this.keyGroup = keyGroup
  }

  /** Made anew at each call: kept, they would cost more memory than many an actor. */
  get keyBytes(): Uint8Array {
    return encodeKey(this.key)
  }

  /** Breaks ties between timers of one instant, the same way in every run. */
  get orderKey(): string {
    return (this.order ??= latin1OfBytes(this.keyBytes))
  }
}

export interface IndexedTimer {
  readonly clock: 'event' | 'wall'
  readonly at: number
  readonly name: string
}

/** Kind byte of actor records in state files and stores. */
export const actorKind = 0x61

export function recordKey(keyBytes: Uint8Array): Uint8Array {
  const key = new Uint8Array(keyBytes.length + 1)
  key[0] = actorKind
  key.set(keyBytes, 1)
  return key
}

export function keyOfRecord(key: Uint8Array): Uint8Array {
  if (key[0] !== actorKind) throw new CodedError('CORRUPT', `a state record of unknown kind ${key[0]}`)
  return key.subarray(1)
}

export function isActorRecord(key: Uint8Array): boolean {
  return key[0] === actorKind
}

type Timers = TimerQueue<Entry>

export function encodeEntry(
  entry: Entry,
  definition: ActorDefinition,
  schemaIndex: number,
  timers: Timers,
  alarms: Timers,
  into: ByteWriter
): void {
  into.varuint(schemaIndex)
  into.f64(entry.created)
  into.f64(entry.lastEvent)
  encodeTimers(timers, entry, into)
  encodeTimers(alarms, entry, into)
  if (entry.instance !== undefined) definition.encode(entry.instance, into)
  else if (entry.stored !== undefined) {
    const reader = entry.stored.reader
    into.bytes(new ByteReader(reader.source, reader.offset).bytes(reader.remaining))
  }
}

function encodeTimers(queue: Timers, entry: Entry, into: ByteWriter): void {
  if (!queue.hasTimers(entry)) return into.varuint(0)
  const armed = queue.timersOf(entry)
  into.varuint(armed.length)
  for (const timer of armed) {
    into.string(timer.name)
    into.f64(timer.at)
  }
}

/** The timers in an encoded record, without decoding its fields. */
export function timersOfRecord(value: Uint8Array): IndexedTimer[] {
  const reader = new ByteReader(value)
  reader.varuint()
  reader.f64()
  reader.f64()
  const found: IndexedTimer[] = []
  for (const clock of ['event', 'wall'] as const) {
    const count = reader.varuint()
    for (let i = 0; i < count; i++) {
      const name = reader.string()
      found.push({ clock, name, at: reader.f64() })
    }
  }
  return found
}

/** Arms the entry's timers and keeps its fields encoded. */
export function restoreEntry(
  entry: Entry,
  value: Uint8Array,
  schemas: readonly StoredActorSchema[],
  timers: Timers,
  alarms: Timers
): void {
  const reader = new ByteReader(value)
  const index = reader.varuint()
  const schema = schemas[index]
  if (schema === undefined)
    throw new CodedError('CORRUPT', `a state record names schema ${index}; the manifest has ${schemas.length}`)
  entry.created = reader.f64()
  entry.lastEvent = reader.f64()
  for (const queue of [timers, alarms]) {
    const count = reader.varuint()
    for (let i = 0; i < count; i++) {
      const name = reader.string()
      queue.arm(entry, name, reader.f64())
    }
  }
  entry.stored = { reader, schema }
  entry.sizeBytes = value.length
}

/** The instance in a record, without its timers. */
export function fieldsOfRecord(
  value: Uint8Array,
  schemas: readonly StoredActorSchema[],
  definition: ActorDefinition
): Actor {
  const reader = new ByteReader(value)
  const schema = schemas[reader.varuint()]
  if (schema === undefined) throw new CodedError('CORRUPT', 'a state record names a schema that the manifest lacks')
  reader.f64()
  reader.f64()
  for (let queue = 0; queue < 2; queue++)
    for (let left = reader.varuint(); left > 0; left--) {
      reader.string()
      reader.f64()
    }
  return definition.restore(reader, schema)
}
