/**
 * The state of one keyed task: its entries, timers, what is dirty, what is sealed, and which entries may leave memory.
 *
 *   dirty ──seal n──► sealed ──encoded──► handed over ──decided n──► clean ──applied to the store──► may be evicted
 *     ▲                                       │ abandoned n
 *     └───────────────────────────────────────┘
 *
 * Without a store everything stays in memory. With one, memory holds the hot entries, and of the others' timers the near future.
 *
 * Invariants
 * 1. Sealing is O(1): the dirty list is swapped for an empty one.
 * 2. An entry dirty in the sealed epoch is encoded before a later event touches it (copy on touch).
 * 3. What an abandoned epoch had sealed is dirty again.
 * 4. An entry leaves memory only when the store holds its newest record, it has no timer in the near future, no handler of it is
 *    in flight, and no read of the store is under way (which could bring back an older record).
 */
import type { Actor } from '../../actors/actor.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import type { QuarantineLimit } from '../../actors/plan.ts'
import { StateFileWriter } from '../../checkpoint/state-file.ts'
import { ByteWriter } from '../kernel/bytes.ts'
import { assert } from '../kernel/errors.ts'
import { decodeKey, encodeKey, keyGroupOf, keyIdentity, writeKey, type Key } from '../kernel/keys.ts'
import { actorKind, encodeEntry, Entry, keyOfRecord, recordKey, restoreEntry, type IndexedTimer } from './entry.ts'
import { HeldTimers } from './held-timers.ts'
import { isMapRecord, MapState, type StoreReader } from './map-state.ts'
import { isRecordedMessage, RecordedMessages, type Message } from './recorded-messages.ts'
import { isQuarantineRecord, Quarantine } from './quarantine.ts'
import { StoredTimers, type LoadedEntry, type TimerPage } from './stored-timers.ts'
import { timerIndexKey, timerOfIndexKey, type TimerPlace } from './timer-index.ts'
import { TimerQueue, type Timer } from './timer-queue.ts'

export interface TaskStateSettings {
  readonly definition: ActorDefinition
  /** Schemas of stored records; the class's own is among them, at `schemaIndex`. */
  readonly schemas: readonly StoredActorSchema[]
  readonly schemaIndex: number
  readonly keyGroups: number
  /** Bytes of hot entries to keep; undefined = everything stays in memory. */
  readonly cacheBytes: number | undefined
  /** Point reads of the store for durable maps; undefined = everything stays in memory. */
  readonly reader: StoreReader | undefined
  readonly now: () => number
  /** Absent: named for the actor, with the usual limit. */
  readonly quarantine?: { readonly stage: string; readonly limit: QuarantineLimit | undefined } | undefined
}

interface Sealed {
  readonly epoch: number
  readonly sequence: number
  readonly entries: Entry[]
  readonly writer: StateFileWriter
  /** Index keys that the store must drop when it takes this epoch. */
  readonly unindexed: Uint8Array[]
  readonly forgotten: Entry[]
  next: number
  /** Messages under way are still added. */
  recording: boolean
  arranged: boolean
  handedOver: boolean
}

/** A decided epoch that the store does not hold yet. */
interface Unapplied {
  readonly epoch: number
  readonly sequence: number
  /** Stay in memory until the store has lost them too: else a read would bring them back. */
  readonly forgotten: readonly Entry[]
  readonly bytes: number
}

export interface StateSnapshot {
  readonly epoch: number
  readonly writer: StateFileWriter | undefined
  readonly unindexed: readonly Uint8Array[]
}

const clocks = ['event', 'wall'] as const

/** Objects, map slots and timers of an instance, beyond its encoded bytes; measured on small actors. */
const entryOverheadBytes = 400
/** One in so many touched entries is measured: more would cost time, fewer notice too late how large they are. */
const sampleEvery = 64
/** Entries looked at by one call of `evict`: more would hold up the events. */
const evictionSlice = 8192
/** Records laid out in a slice when a delta is arranged by key group. */
const arrangeSlice = 2048

export class TaskState {
  readonly entries = new Map<string | number, Entry>()
  readonly timers = new TimerQueue<Entry>()
  readonly alarms = new TimerQueue<Entry>()
  readonly settings: TaskStateSettings
  readonly maps: MapState
  readonly messages = new RecordedMessages()
  readonly quarantine: Quarantine
  readonly held = new HeldTimers({ event: this.timers, wall: this.alarms })
  /** A read of the store is under way. */
  reading = false
  private readonly scratch = new ByteWriter(1024)
  private readonly keyScratch = new ByteWriter(256)
  /** Counts seals; what entries remember instead of epochs, so that sealing touches none of them. */
  private sequence = 1
  private appliedSequence = 0
  private dirty: Entry[] = []
  private dirtyBytes = 0
  private sealed: Sealed | undefined
  /** Decided epochs that the store has not taken yet. */
  private readonly unapplied: Unapplied[] = []
  /** The store has taken them while a read was under way. */
  private leaving: Unapplied[] = []
  private unappliedBytes = 0
  private staleIndex: Uint8Array[] = []
  private readonly stored = new StoredTimers()
  private hotBytes = 0
  /** Of an encoded entry, lately. */
  private usualBytes = 0
  private hand: IterableIterator<Entry> | undefined
  /** Entries looked at since one was let go: after two rounds it waits for something that may let more go. */
  private fruitless = 0

  constructor(settings: TaskStateSettings) {
    this.settings = settings
    this.maps = new MapState(settings.reader, settings.now)
    this.quarantine = new Quarantine(settings.quarantine?.stage ?? settings.definition.name, settings.quarantine?.limit)
  }

  get cold(): boolean {
    return this.settings.cacheBytes !== undefined
  }

  // ---- entries

  restoreRecord(key: Uint8Array, value: Uint8Array): void {
    if (isMapRecord(key)) this.maps.restoreRecord(key, value)
    else if (isRecordedMessage(key)) this.messages.restore(key, value, this.settings.keyGroups)
    else if (isQuarantineRecord(key)) this.quarantine.restore(key, value, this.settings.keyGroups)
    else this.bring(keyOfRecord(key), value)
  }

  /** Every record was: parked keys stay in memory, with their timers held. */
  restored(): void {
    this.quarantine.restored(key => {
      const [keyBytes, known] = [encodeKey(key), this.entries.get(keyIdentity(key))]
      if (known !== undefined) return known
      const { reader, keyGroups } = this.settings
      const value = reader?.get(keyGroupOf(keyBytes, keyGroups), recordKey(keyBytes))
      const entry = this.bring(keyBytes, value)
      entry.forgotten = value === undefined
      return entry
    })
    for (const { entry } of this.quarantine.keys.values()) if (entry !== undefined) this.held.hold(entry)
  }

  private bring(keyBytes: Uint8Array, value: Uint8Array | undefined): Entry {
    const decoded = decodeKey(keyBytes)
    const entry = new Entry(decoded, keyGroupOf(keyBytes, this.settings.keyGroups))
    if (value !== undefined) restoreEntry(entry, value, this.settings.schemas, this.timers, this.alarms)
    this.hotBytes += entry.sizeBytes + entryOverheadBytes
    if (this.cold) entry.indexed = this.armed(entry)
    this.entries.set(keyIdentity(decoded), entry)
    return entry
  }

  /** A new entry; how large it is is not known until it is encoded, so it counts as a usual one. */
  add(key: Key, identity: string | number): Entry {
    const entry = new Entry(key, keyGroupOf(encodeKey(key), this.settings.keyGroups))
    entry.sizeBytes = this.usualBytes
    this.hotBytes += entry.sizeBytes + entryOverheadBytes
    this.entries.set(identity, entry)
    return entry
  }

  hydrate(entry: Entry): Actor {
    if (entry.instance !== undefined) return entry.instance
    const { definition } = this.settings
    const { stored } = entry
    entry.instance = stored === undefined ? definition.create() : definition.restore(stored.reader, stored.schema)
    entry.stored = undefined
    if (definition.durableMaps.length > 0) definition.bind(entry.instance, field => this.maps.backend(entry, field))
    return entry.instance
  }

  /** It has fields: it was created and not forgotten since. */
  exists(entry: Entry): boolean {
    return entry.instance !== undefined || entry.stored !== undefined
  }

  arm(entry: Entry, clock: 'event' | 'wall', name: string, at: number): void {
    this.held.of(clock, entry).arm(entry, name, at)
  }

  cancel(entry: Entry, name: string): void {
    for (const clock of clocks) this.held.of(clock, entry).cancel(entry, name)
  }

  drop(entry: Entry): void {
    for (const clock of clocks) this.held.of(clock, entry).forget(entry)
    entry.instance = undefined
    entry.stored = undefined
    const { durableMaps } = this.settings.definition
    if (durableMaps.length > 0) this.maps.clear(entry, durableMaps)
  }

  /** Call before anything about an entry changes. */
  touch(entry: Entry): void {
    entry.recent = true
    if (entry.dirtySequence === this.sequence) return
    const sealed = this.sealed
    if (sealed !== undefined && entry.dirtySequence === sealed.sequence && entry.encodedSequence !== sealed.sequence)
      this.encode(entry, sealed)
    entry.dirtySequence = this.sequence
    if (this.dirty.push(entry) % sampleEvery === 0) this.sample()
    this.dirtyBytes += entry.sizeBytes + entryOverheadBytes
  }

  /** Measures an entry touched before, so that new ones are not taken for empty: memory must stay within its limit. */
  private sample(): void {
    const entry = this.dirty[this.dirty.length - 2]
    if (entry?.instance === undefined || entry.busy) return
    this.scratch.reset()
    this.settings.definition.encode(entry.instance, this.scratch)
    const bytes = this.scratch.length
    this.usualBytes = this.usualBytes === 0 ? bytes : Math.round(this.usualBytes + (bytes - this.usualBytes) / 8)
    if (bytes <= entry.sizeBytes) return
    this.hotBytes += bytes - entry.sizeBytes
    this.dirtyBytes += (bytes - entry.sizeBytes) * sampleEvery
    entry.sizeBytes = bytes
  }

  // ---- reading what is not in memory

  /** Key bytes among keys [from, to) that must be read before they are handled. */
  missing(keys: readonly Key[], from: number, to: number): Uint8Array[] {
    const missing = new Map<string | number, Uint8Array>()
    for (let i = from; i < to; i++) {
      const key = keys[i] as Key
      const identity = keyIdentity(key)
      const entry = this.entries.get(identity)
      if (entry === undefined) missing.set(identity, encodeKey(key))
      else entry.recent = true
    }
    return [...missing.values()]
  }

  loaded(entries: readonly LoadedEntry[]): void {
    this.reading = false
    for (const { keyBytes, value } of entries)
      if (!this.entries.has(keyIdentity(decodeKey(keyBytes)))) this.bring(keyBytes, value)
    for (const { forgotten, sequence } of this.leaving) this.removeForgotten(forgotten, sequence)
    this.leaving = []
  }

  /** Where to go on reading stored timers, undefined when all that are due at `upTo` are in memory. */
  pageWanted(clock: 'event' | 'wall', upTo: number): { readonly after: Uint8Array | undefined } | undefined {
    this.stored.extend(clock, upTo)
    if (!this.cold || !this.stored.unknown(clock, upTo)) return undefined
    const first = this.queueOf(clock).peek()
    // What is in memory up to the boundary fires first: a page more would only cost memory.
    if (first !== undefined && first.at <= upTo && !this.beyond(clock, first)) return undefined
    return { after: this.stored.cursor(clock) }
  }

  pageLoaded(page: TimerPage): void {
    this.fruitless = 0
    this.loaded(page.entries)
    let last: TimerPlace | undefined
    for (const key of page.index) {
      last = timerOfIndexKey(key)
      const entry = this.entries.get(keyIdentity(decodeKey(last.keyBytes)))
      if (entry === undefined || !this.isArmed(entry, last)) this.staleIndex.push(key)
    }
    this.stored.read(page.clock, page.upTo, last, page.nextAt, page.index.at(-1))
  }

  /** Takes the first timer of the clock that is due, as far as stored ones are known. */
  popDue(clock: 'event' | 'wall', upTo: number): Timer<Entry> | undefined {
    this.stored.extend(clock, upTo)
    const queue = this.queueOf(clock)
    const first = queue.peek()
    if (first === undefined || first.at > upTo || this.beyond(clock, first)) return undefined
    // A sealed image that is not encoded yet still has the timer.
    this.touch(first.keyId)
    return queue.popDue(upTo)
  }

  /** When to look for due alarms again: those beyond the boundary may be in the store only. */
  nextAlarmAt(): number | undefined {
    const next = this.alarms.nextAt()
    return this.cold ? Math.min(next ?? Infinity, this.stored.alarmsUpTo) : next
  }

  private beyond(clock: 'event' | 'wall', timer: Timer<Entry>): boolean {
    if (!this.cold) return false
    return this.stored.beyond(clock, { at: timer.at, orderKey: timer.keyId.orderKey, name: timer.name })
  }

  private queueOf(clock: 'event' | 'wall'): TimerQueue<Entry> {
    return clock === 'event' ? this.timers : this.alarms
  }

  private isArmed(entry: Entry, place: TimerPlace): boolean {
    return this.held
      .of(place.clock, entry)
      .timersOf(entry)
      .some(timer => timer.name === place.name && timer.at === place.at)
  }

  private armed(entry: Entry): IndexedTimer[] {
    return clocks.flatMap(clock =>
      this.held
        .of(clock, entry)
        .timersOf(entry)
        .map(({ at, name }) => ({ clock, at, name }))
    )
  }

  // ---- snapshots

  /** Something is dirty since the last seal. */
  get changed(): boolean {
    return this.dirty.length > 0 || this.quarantine.changed
  }
  /** A sealed epoch is not handed over yet, and waits for nobody else. */
  get sealing(): boolean {
    const { sealed } = this
    if (sealed === undefined || sealed.handedOver) return false
    return !(sealed.recording && sealed.next === sealed.entries.length)
  }
  get pendingBytes(): number {
    return (
      this.dirtyBytes +
      (this.sealed?.writer.sizeBytes ?? 0) +
      this.unappliedBytes +
      this.maps.pendingBytes +
      this.quarantine.pendingBytes
    )
  }

  /** @param recording messages are to be added until `recorded` */
  seal(epoch: number, recording = false): void {
    assert(this.sealed === undefined, 'one epoch in flight')
    this.sealed = {
      epoch,
      sequence: this.sequence,
      entries: this.dirty,
      writer: new StateFileWriter(),
      unindexed: this.staleIndex,
      forgotten: [],
      next: 0,
      recording,
      arranged: false,
      handedOver: false
    }
    this.messages.seal(this.sealed.writer)
    this.maps.seal(this.sealed.writer)
    this.quarantine.seal(this.sealed.writer)
    this.dirty = []
    this.dirtyBytes = 0
    this.staleIndex = []
    this.sequence++
  }

  /** A message that was under way when the sealed epoch was sealed. */
  record(keyGroup: number, message: Message): void {
    assert(this.sealed?.recording === true, 'a message recorded for no epoch')
    this.messages.record(this.sealed.writer, keyGroup, message)
  }

  /** Nothing more was under way. */
  recorded(): void {
    if (this.sealed !== undefined) this.sealed.recording = false
  }

  /** Encodes up to `limit` sealed entries; once all are, arranges them for the file. */
  encodeSome(limit: number): void {
    const sealed = this.sealed
    if (sealed === undefined || sealed.arranged) return
    const end = Math.min(sealed.entries.length, sealed.next + limit)
    for (; sealed.next < end; sealed.next++) {
      const entry = sealed.entries[sealed.next] as Entry
      if (entry.encodedSequence !== sealed.sequence) this.encode(entry, sealed)
    }
    if (sealed.next === sealed.entries.length && this.maps.encodeSome(limit) && !sealed.recording)
      sealed.arranged = sealed.writer.arrange(arrangeSlice)
  }

  private encode(entry: Entry, sealed: Sealed): void {
    entry.encodedSequence = sealed.sequence
    const before = entry.indexed
    if (entry.forgotten) {
      if (before !== undefined) this.unindex(entry, before, [], sealed)
      if (this.cold) entry.indexed = []
      sealed.forgotten.push(entry)
      sealed.writer.add(entry.keyGroup, recordKey(entry.keyBytes), undefined)
      return
    }
    this.scratch.reset()
    const { definition, schemaIndex } = this.settings
    const [timers, alarms] = [this.held.of('event', entry), this.held.of('wall', entry)]
    encodeEntry(entry, definition, schemaIndex, timers, alarms, this.scratch)
    this.hotBytes += this.scratch.length - entry.sizeBytes
    entry.sizeBytes = this.scratch.length
    this.keyScratch.reset()
    this.keyScratch.u8(actorKind)
    writeKey(entry.key, this.keyScratch)
    sealed.writer.addFrom(entry.keyGroup, this.keyScratch, this.scratch)
    if (!this.cold) return
    const now = this.armed(entry)
    if (before !== undefined) this.unindex(entry, before, now, sealed)
    entry.indexed = now
  }

  private unindex(entry: Entry, before: readonly IndexedTimer[], now: readonly IndexedTimer[], sealed: Sealed): void {
    for (const old of before)
      if (!now.some(timer => timer.clock === old.clock && timer.at === old.at && timer.name === old.name))
        sealed.unindexed.push(timerIndexKey({ ...old, keyBytes: entry.keyBytes }))
  }

  /** The finished snapshot of the sealed epoch, once; undefined while it is not ready. */
  takeSnapshot(): StateSnapshot | undefined {
    const sealed = this.sealed
    if (sealed === undefined || !sealed.arranged || sealed.handedOver) return undefined
    sealed.handedOver = true
    const empty = sealed.writer.records === 0 && sealed.unindexed.length === 0
    return { epoch: sealed.epoch, writer: empty ? undefined : sealed.writer, unindexed: sealed.unindexed }
  }

  decided(epoch: number): void {
    const sealed = this.sealed
    assert(sealed?.epoch === epoch, `decided epoch ${epoch} is not the sealed one`)
    this.sealed = undefined
    this.maps.decided(epoch)
    this.messages.decided()
    this.quarantine.decided()
    const { sequence, forgotten } = sealed
    if (!this.cold) return this.removeForgotten(forgotten, sequence)
    const bytes = sealed.writer.sizeBytes
    this.unapplied.push({ epoch, sequence, forgotten, bytes })
    this.unappliedBytes += bytes
  }

  /** The changes of the sealed epoch join the current one. */
  abandon(epoch: number): void {
    const sealed = this.sealed
    if (sealed === undefined || sealed.epoch > epoch) return
    this.sealed = undefined
    this.maps.abandon()
    this.messages.abandon()
    this.quarantine.abandon()
    this.staleIndex = [...sealed.unindexed, ...this.staleIndex]
    for (const entry of sealed.entries) {
      if (entry.dirtySequence === this.sequence) continue
      entry.dirtySequence = this.sequence
      this.dirty.push(entry)
      this.dirtyBytes += entry.sizeBytes + entryOverheadBytes
    }
  }

  /** The store holds everything up to this epoch. */
  applied(epoch: number): void {
    this.fruitless = 0
    this.maps.applied(epoch)
    for (let next = this.unapplied[0]; next !== undefined && next.epoch <= epoch; next = this.unapplied[0]) {
      this.unapplied.shift()
      this.appliedSequence = next.sequence
      this.unappliedBytes -= next.bytes
      if (this.reading) this.leaving.push(next)
      else this.removeForgotten(next.forgotten, next.sequence)
    }
  }

  /** Those that were not touched again since. */
  private removeForgotten(entries: readonly Entry[], sequence: number): void {
    for (const entry of entries) if (entry.dirtySequence === sequence && entry.parked === undefined) this.remove(entry)
  }

  // ---- eviction

  /** Lets clean entries go while the hot ones take more than their budget; a second-chance clock over all entries. */
  evict(): void {
    const budget = this.settings.cacheBytes
    if (budget === undefined || this.reading || this.hotBytes <= budget) return
    for (let looked = 0; looked < evictionSlice && this.hotBytes > budget * 0.9; looked++) {
      if (this.fruitless > 2 * this.entries.size) return
      this.hand ??= this.entries.values()
      const step = this.hand.next()
      this.fruitless++
      if (step.done === true) this.hand = undefined
      else if (step.value.recent) step.value.recent = false
      else if (this.evictable(step.value)) this.letGo(step.value)
    }
  }

  private letGo(entry: Entry): void {
    this.fruitless = 0
    for (const clock of clocks) for (const { at } of this.queueOf(clock).timersOf(entry)) this.stored.left(clock, at)
    this.timers.forget(entry)
    this.alarms.forget(entry)
    this.remove(entry)
  }

  private evictable(entry: Entry): boolean {
    if (entry.dirtySequence > this.appliedSequence || entry.busy || entry.mailbox !== undefined) return false
    if (entry.parked !== undefined) return false
    for (const clock of clocks)
      for (const timer of this.queueOf(clock).timersOf(entry)) if (!this.beyond(clock, timer)) return false
    return true
  }

  private remove(entry: Entry): void {
    this.maps.release(entry)
    if (!this.entries.delete(keyIdentity(entry.key))) return
    this.hotBytes -= entry.sizeBytes + entryOverheadBytes
  }
}
