/**
 * One key of one stage, in memory: its instance (or its stored bytes, decoded at the first touch), and which epochs it is dirty in.
 * The stored record is `schema index · created · last event · timers · alarms · fields`.
 */
import type { Actor } from '../../actors/actor.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import { ByteReader, type ByteWriter, latin1OfBytes } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { encodeKey, type Key } from '../kernel/keys.ts'
import type { ParkedKey } from './quarantine.ts'
import type { TimerQueue } from './timer-queue.ts'

export class Entry {
  readonly key: Key
  readonly keyGroup: number
  private order: string | undefined = undefined
  instance: Actor | undefined = undefined
  /** Encoded fields not decoded yet. */
  stored: Pick<StoredEntry, 'reader' | 'schema'> | undefined = undefined
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
  /** It is in quarantine. */
  parked: ParkedKey | undefined = undefined

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

/** A stored record: its header, and its fields still encoded. */
export interface StoredEntry {
  readonly schema: StoredActorSchema
  readonly created: number
  readonly lastEvent: number
  readonly timers: readonly IndexedTimer[]
  /** Stands before the fields. */
  readonly reader: ByteReader
}

/** @param schemas of the stage, as the manifest has them */
export function readEntry(value: Uint8Array, schemas: readonly StoredActorSchema[]): StoredEntry {
  const { schemaIndex, ...read } = readHeader(value)
  const schema = schemas[schemaIndex]
  if (schema === undefined)
    throw new CodedError('CORRUPT', `a state record names schema ${schemaIndex}; the manifest has ${schemas.length}`)
  return { schema, ...read }
}

function readHeader(value: Uint8Array): Omit<StoredEntry, 'schema'> & { readonly schemaIndex: number } {
  const reader = new ByteReader(value)
  const schemaIndex = reader.varuint()
  const created = reader.f64()
  const lastEvent = reader.f64()
  const timers: IndexedTimer[] = []
  for (const clock of ['event', 'wall'] as const)
    for (let left = reader.varuint(); left > 0; left--) timers.push({ clock, name: reader.string(), at: reader.f64() })
  return { schemaIndex, created, lastEvent, timers, reader }
}

/** The timers in a record, whatever its fields are. */
export function timersOfRecord(value: Uint8Array): readonly IndexedTimer[] {
  return readHeader(value).timers
}

/** The instance in a record, without its timers. */
export function fieldsOfRecord(
  value: Uint8Array,
  schemas: readonly StoredActorSchema[],
  definition: ActorDefinition
): Actor {
  const { reader, schema } = readEntry(value, schemas)
  return definition.restore(reader, schema)
}

/** Arms the entry's timers and keeps its fields encoded. */
export function restoreEntry(
  entry: Entry,
  value: Uint8Array,
  schemas: readonly StoredActorSchema[],
  timers: Timers,
  alarms: Timers
): void {
  const stored = readEntry(value, schemas)
  entry.created = stored.created
  entry.lastEvent = stored.lastEvent
  for (const { clock, name, at } of stored.timers) {
    const queue = clock === 'event' ? timers : alarms
    queue.arm(entry, name, at)
  }
  entry.stored = { reader: stored.reader, schema: stored.schema }
  entry.sizeBytes = value.length
}
