/**
 * The entries of durable maps in one task, as layers of writes over what is stored.
 *
 *   journal (of a handler) ─commit─► dirty ─seal n─► sealed ─decided n─► unapplied ─► the store
 *                                      ▲                │ abandoned n
 *                                      └────────────────┘
 *
 * Without a store a table of everything takes the place of the store, and writes go through to it at once.
 * A record's key is kind · actor's key · field · map key, so that an actor's entries lie side by side, in order.
 *
 * Invariants
 * 1. A read sees the newest layer that says something: a value, a deletion, or that everything older was cleared.
 * 2. Sealing is O(1); the values of a sealed layer never change.
 */
import type { DurableMapBackend, MapRange } from '../../actors/definition-types.ts'
import {
  compareMapKeys,
  decodeMapKey,
  mapEntryBytes,
  readMapEntry,
  writeMapEntry,
  writeMapKey,
  type MapEntry,
  type MapKey
} from '../../actors/map-entries.ts'
import { prefixDelete, type StateFileWriter } from '../../checkpoint/state-file.ts'
import { afterPrefix } from '../../checkpoint/state-store.ts'
import { ByteWriter, bytesOfLatin1, concatBytes, latin1OfBytes } from '../kernel/bytes.ts'
import { assert } from '../kernel/errors.ts'
import { writeEscaped } from '../kernel/ordered-bytes.ts'
import type { Entry } from './entry.ts'

/** Reads of the local store by a record's key, within one key group. */
export interface StoreReader {
  get(keyGroup: number, key: Uint8Array): Uint8Array | undefined
  scan(
    keyGroup: number,
    from: Uint8Array,
    to: Uint8Array,
    limit: number
  ): Promise<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>
}

/** Kind byte of map records in state files and stores. */
const mapKind = 0x6d

/** A byte string as latin1, which makes it a key of a Map. */
type Text = string
type Entries = Map<MapKey, MapEntry>

interface FieldLayer {
  readonly keyGroup: number
  /** Everything older is gone. */
  cleared: boolean
  readonly values: Map<MapKey, MapEntry | undefined>
}
/** By the part of a record's key before the map key. */
type Layer = Map<Text, FieldLayer>

/** One map of one actor. */
interface Place {
  readonly prefix: Text
  readonly keyGroup: number
}

interface Page {
  readonly found: Entries
  readonly last: MapKey | undefined
}

interface Sealed {
  readonly layer: Layer
  /** Writes a record at each step. */
  readonly rest: Iterator<void>
  done: boolean
}

export function isMapRecord(key: Uint8Array): boolean {
  return key[0] === mapKind
}

export class MapState {
  private readonly store: StoreReader | undefined
  private readonly now: () => number
  private readonly table = new Map<Text, Entries>()
  private dirty: Layer = new Map()
  private dirtyBytes = 0
  private sealed: Sealed | undefined
  private readonly unapplied: { readonly epoch: number; readonly layer: Layer }[] = []
  private readonly backends = new Map<Entry, Backend[]>()
  private readonly scratch = new ByteWriter(256)

  constructor(store: StoreReader | undefined, now: () => number) {
    this.store = store
    this.now = now
  }

  // ---- what actors see

  backend(entry: Entry, field: string): DurableMapBackend {
    const prefix = this.prefixOf(entry, field)
    const made = new Backend(this, prefix, entry.keyGroup, this.now)
    const all = this.backends.get(entry)
    if (all === undefined) this.backends.set(entry, [made])
    else all.push(made)
    return made
  }

  /** The handler succeeded: what it wrote counts. */
  commit(entry: Entry): void {
    for (const backend of this.backends.get(entry) ?? []) {
      if (backend.journal.size === 0) continue
      for (const [key, value] of backend.journal) this.write(entry, backend.prefix, key, value)
      backend.journal.clear()
    }
  }

  /** The handler failed: it wrote nothing. */
  discard(entry: Entry): void {
    for (const backend of this.backends.get(entry) ?? []) backend.journal.clear()
  }

  /** The actor leaves memory; its entries stay. */
  release(entry: Entry): void {
    this.backends.delete(entry)
  }

  /** The actor is gone: so is everything in its maps. */
  clear(entry: Entry, fields: readonly string[]): void {
    this.backends.delete(entry)
    for (const field of fields) {
      const prefix = this.prefixOf(entry, field)
      this.table.delete(prefix)
      this.dirty.set(prefix, { keyGroup: entry.keyGroup, cleared: true, values: new Map() })
      this.dirtyBytes += prefix.length
    }
  }

  read({ prefix, keyGroup }: Place, key: MapKey): MapEntry | undefined {
    if (this.store === undefined) return this.table.get(prefix)?.get(key)
    for (const layer of this.newestFirst()) {
      const field = layer.get(prefix)
      if (field?.values.has(key) === true) return field.values.get(key)
      if (field?.cleared === true) return undefined
    }
    return this.store.get(keyGroup, recordKey(prefix, key))
  }

  /** Entries of the range, in no order, up to `last`; undefined = that is all. */
  async page({ prefix, keyGroup }: Place, range: MapRange, limit: number): Promise<Page> {
    if (this.store === undefined)
      return {
        found: new Map([...(this.table.get(prefix) ?? [])].filter(([key]) => within(range, key))),
        last: undefined
      }
    // Taken before the store is read: what moves into the store meanwhile is then seen at least once.
    const overlay = new Map<MapKey, MapEntry | undefined>()
    let cleared = false
    for (const layer of [...this.newestFirst()].reverse()) {
      const field = layer.get(prefix)
      if (field === undefined) continue
      if (field.cleared) {
        overlay.clear()
        cleared = true
      }
      for (const [key, value] of field.values) if (within(range, key)) overlay.set(key, value)
    }
    const { begin, end } = bounds(prefix, range)
    const stored = cleared ? [] : await this.store.scan(keyGroup, begin, end, limit)
    const found: Entries = new Map(
      stored.map(({ key, value }) => [decodeMapKey(key.subarray(prefix.length)), value] as const)
    )
    const last = stored.length < limit ? undefined : [...found.keys()].at(-1)
    for (const [key, value] of overlay) {
      if (value === undefined) found.delete(key)
      else if (last === undefined || compareMapKeys(key, last) <= 0) found.set(key, value)
    }
    return { found, last }
  }

  // ---- records

  restoreRecord(key: Uint8Array, value: Uint8Array): void {
    const end = fieldEnd(key)
    const prefix = latin1OfBytes(key.subarray(0, end))
    let values = this.table.get(prefix)
    if (values === undefined) this.table.set(prefix, (values = new Map<MapKey, MapEntry>()))
    values.set(decodeMapKey(key.subarray(end)), readMapEntry(value))
  }

  // ---- snapshots

  get pendingBytes(): number {
    return this.dirtyBytes
  }

  seal(writer: StateFileWriter): void {
    assert(this.sealed === undefined, 'one epoch in flight')
    const layer = this.dirty
    this.dirty = new Map()
    this.dirtyBytes = 0
    this.sealed = { layer, rest: records(layer, writer), done: false }
  }

  /** Writes up to `limit` sealed records; true when all are written. */
  encodeSome(limit: number): boolean {
    const { sealed } = this
    if (sealed === undefined || sealed.done) return true
    for (let i = 0; i < limit; i++) {
      if (sealed.rest.next().done === true) return (sealed.done = true)
    }
    return false
  }

  decided(epoch: number): void {
    const { sealed } = this
    this.sealed = undefined
    if (this.store !== undefined && sealed !== undefined && sealed.layer.size > 0)
      this.unapplied.push({ epoch, layer: sealed.layer })
  }

  applied(epoch: number): void {
    while ((this.unapplied[0]?.epoch ?? Infinity) <= epoch) this.unapplied.shift()
  }

  abandon(): void {
    const { sealed } = this
    this.sealed = undefined
    for (const [prefix, older] of sealed?.layer ?? []) {
      const newer = this.dirty.get(prefix)
      if (newer?.cleared === true) continue
      for (const [key, value] of newer?.values ?? []) older.values.set(key, value)
      this.dirty.set(prefix, older)
    }
  }

  private *newestFirst(): Generator<Layer> {
    yield this.dirty
    if (this.sealed !== undefined) yield this.sealed.layer
    for (let i = this.unapplied.length - 1; i >= 0; i--) yield (this.unapplied[i] as { layer: Layer }).layer
  }

  private write(entry: Entry, prefix: Text, key: MapKey, value: MapEntry | undefined): void {
    let field = this.dirty.get(prefix)
    if (field === undefined)
      this.dirty.set(prefix, (field = { keyGroup: entry.keyGroup, cleared: false, values: new Map() }))
    field.values.set(key, value)
    this.dirtyBytes += prefix.length + mapEntryBytes(key, value)
    if (this.store !== undefined) return
    let values = this.table.get(prefix)
    if (values === undefined) this.table.set(prefix, (values = new Map<MapKey, MapEntry>()))
    if (value === undefined) values.delete(key)
    else values.set(key, value)
  }

  private prefixOf(entry: Entry, field: string): Text {
    this.scratch.reset()
    this.scratch.u8(mapKind)
    writeEscaped(entry.keyBytes, this.scratch)
    writeEscaped(new TextEncoder().encode(field), this.scratch)
    return latin1OfBytes(this.scratch.view())
  }
}

class Backend implements DurableMapBackend {
  readonly prefix: Text
  readonly keyGroup: number
  readonly journal = new Map<MapKey, MapEntry | undefined>()
  private readonly state: MapState
  readonly now: () => number

  constructor(state: MapState, prefix: Text, keyGroup: number, now: () => number) {
    this.state = state
    this.prefix = prefix
    this.keyGroup = keyGroup
    this.now = now
  }

  get(key: MapKey): MapEntry | undefined {
    const written = this.journal.get(key)
    return written !== undefined || this.journal.has(key) ? written : this.state.read(this, key)
  }
  set(key: MapKey, entry: MapEntry): void {
    this.journal.set(key, entry)
  }
  delete(key: MapKey): void {
    this.journal.set(key, undefined)
  }
  async entries(
    range: MapRange,
    limit: number
  ): Promise<{ readonly entries: readonly (readonly [MapKey, MapEntry])[]; readonly last: MapKey | undefined }> {
    const { found, last } = await this.state.page(this, range, limit)
    for (const [key, value] of this.journal) {
      if (!within(range, key) || (last !== undefined && compareMapKeys(key, last) > 0)) continue
      if (value === undefined) found.delete(key)
      else found.set(key, value)
    }
    return { entries: [...found].sort(([a], [b]) => compareMapKeys(a, b)), last }
  }
}

function within({ from, after, to }: MapRange, key: MapKey): boolean {
  if (from !== undefined && compareMapKeys(key, from) < 0) return false
  if (after !== undefined && compareMapKeys(key, after) <= 0) return false
  return to === undefined || compareMapKeys(key, to) < 0
}

const keyScratch = new ByteWriter(256)
const valueScratch = new ByteWriter(256)

function recordKey(prefix: Text, key: MapKey): Uint8Array {
  keyScratch.reset()
  keyScratch.bytes(bytesOfLatin1(prefix))
  writeMapKey(key, keyScratch)
  return keyScratch.take()
}

/** The same as keys of records: from the first on, to the second left out. */
function bounds(prefix: Text, { from, after, to }: MapRange): { readonly begin: Uint8Array; readonly end: Uint8Array } {
  const prefixBytes = bytesOfLatin1(prefix)
  const end = to === undefined ? afterPrefix(prefixBytes) : recordKey(prefix, to)
  // Nothing lies between a key and the same with a zero byte behind it.
  if (after !== undefined) return { begin: concatBytes([recordKey(prefix, after), Uint8Array.of(0)]), end }
  return { begin: from === undefined ? prefixBytes : recordKey(prefix, from), end }
}

function* records(layer: Layer, writer: StateFileWriter): Generator<void> {
  for (const [prefix, { keyGroup, cleared, values }] of layer) {
    const prefixBytes = bytesOfLatin1(prefix)
    if (cleared) yield writer.add(keyGroup, concatBytes([Uint8Array.of(prefixDelete), prefixBytes]), undefined)
    for (const [key, value] of values) {
      keyScratch.reset()
      keyScratch.bytes(prefixBytes)
      writeMapKey(key, keyScratch)
      if (value === undefined) {
        yield writer.add(keyGroup, keyScratch.view(), undefined)
        continue
      }
      valueScratch.reset()
      writeMapEntry(value, valueScratch)
      yield writer.addFrom(keyGroup, keyScratch, valueScratch)
    }
  }
}

/** Where the map key begins: behind two terminators. */
function fieldEnd(key: Uint8Array): number {
  let terminators = 0
  for (let i = 1; i < key.length - 1; i++) {
    if (key[i] !== 0) continue
    i++
    if (key[i] === 0 && ++terminators === 2) return i + 1
  }
  return key.length
}
