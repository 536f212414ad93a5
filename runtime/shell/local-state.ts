/**
 * The local store as the tasks of one worker use it: their records in parts by stage and slot, so that a task that is moved or counted
 * anew finds what is there. Opening it keeps what is proven to lie on the way to the checkpoint (`checkpoint/store-parts.ts`), applies
 * what changed since, and loads the rest, by key group.
 *
 *   key in the store = part u32 · record key           list of parts = part 0
 *   of a recorded message = part u32 · kind · key group u16 · rest of its key: its own is unique in its key group only
 */
import type { Manifest } from '../../checkpoint/manifest.ts'
import { stageChanges, stageGroups, type GroupRecords } from '../../checkpoint/recovery.ts'
import { prefixDelete, type StateRecord } from '../../checkpoint/state-file.ts'
import {
  decodeParts,
  deltasSince,
  emptyList,
  encodeParts,
  moved,
  planLoad,
  type LoadPlan,
  type PartList,
  type Point,
  type StoreOrigin,
  type StorePart
} from '../../checkpoint/store-parts.ts'
import { afterPrefix, type StateStore, type StorePrefixDelete, type StoreWrite } from '../../checkpoint/state-store.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { isActorRecord, keyOfRecord, timersOfRecord } from '../core/entry.ts'
import type { StoreReader } from '../core/map-state.ts'
import { operatorKind, quarantineKind } from '../core/quarantine.ts'
import { isRecordedMessage, messageKind } from '../core/recorded-messages.ts'
import type { Amount, Restored } from '../core/worker-gauges.ts'
import { timerIndexKey } from '../core/timer-index.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import { keyGroupOf } from '../kernel/keys.ts'
import { reached } from '../kernel/marks.ts'

export type Write = StoreWrite | StorePrefixDelete

/** A keyed stage, and the slots of it that run here. */
export interface LocalStage {
  readonly index: number
  readonly name: string
  readonly slots: readonly number[]
}

export interface LocalSettings {
  readonly store: StateStore
  readonly origin: StoreOrigin
  readonly stages: readonly LocalStage[]
  /** What it is to equal; undefined: there is no checkpoint yet. */
  readonly head: { readonly manifest: Manifest; readonly hash: string } | undefined
  readonly storage: CheckpointStorage
  /** The manifest that was decided for an epoch, undefined when none is known. */
  readonly decided: (epoch: number) => Promise<string | undefined>
  /** Whether it is for nothing by now; asked between batches. */
  readonly isOver: () => boolean
}

const prefixBytes = 4
const listId = 0
const heldPage = 1024
/** What begins a job: nothing. */
const nothing: Point = { epoch: 0, hash: '' }

export class LocalState {
  readonly store: StateStore
  readonly report: Omit<Restored, 'durationMs'>
  private list: PartList
  private readonly origin: StoreOrigin
  /** Those that run here, by stage and slot. */
  private readonly ids = new Map<number, (number | undefined)[]>()
  private readonly own: ReadonlySet<number>

  private constructor(settings: LocalSettings, plan: LoadPlan, report: LocalState['report']) {
    this.store = settings.store
    this.origin = settings.origin
    this.list = plan.after
    this.report = report
    const own = [...plan.current, ...plan.behind, ...plan.fresh]
    this.own = new Set(own.map(each => each.id))
    for (const { index, name } of settings.stages) {
      const bySlot: (number | undefined)[] = []
      for (const part of own) if (part.stage === name) bySlot[part.slot] = part.id
      this.ids.set(index, bySlot)
    }
  }

  /** Throws what the store and the storage throw, and FENCED when it is over; a later try goes on from what is proven then. */
  static async open(settings: LocalSettings): Promise<LocalState> {
    const { plan, report } = await bring(settings)
    if (settings.isOver()) throw new CodedError('FENCED', 'the generation was over before its local store was ready')
    return new LocalState(settings, plan, report)
  }

  /**
   * Brings the slots to the checkpoint, as `open` does: first those that are there and lag, then each of the others, so that
   * what is loaded to its end is kept whatever happens to the rest.
   */
  static async catchUp(settings: LocalSettings): Promise<void> {
    const { fresh } = (await planned(settings)).plan
    const missing = new Set(fresh.map(part => part.slot))
    const only = (wanted: (slot: number) => boolean): LocalSettings => ({
      ...settings,
      stages: settings.stages.map(stage => ({ ...stage, slots: stage.slots.filter(wanted) }))
    })
    await bring(only(slot => !missing.has(slot)))
    for (const slot of missing) if (!settings.isOver()) await bring(only(each => each === slot))
  }

  /** Key of a record in the store. */
  keyOf(stage: number, keyGroup: number, key: Uint8Array): Uint8Array {
    return placed(this.idOf(stage, keyGroup % this.origin.slots), withinPart(keyGroup, key))
  }

  keyOfActor(stage: number, keyBytes: Uint8Array, key: Uint8Array): Uint8Array {
    return this.keyOf(stage, keyGroupOf(keyBytes, this.origin.keyGroups), key)
  }

  /** A state record as the store holds it: itself, and its timers in their order. */
  writes(stage: number, record: StateRecord): Generator<Write> {
    return recordWrites(this.idOf(stage, record.keyGroup % this.origin.slots), record)
  }

  /** Entries of one slot, their keys as records have them. */
  async scan(stage: number, slot: number, from: Uint8Array, to: Uint8Array, limit: number) {
    const id = this.idOf(stage, slot)
    const found = await this.store.scan(placed(id, from), placed(id, to), limit)
    return found.map(({ key, value }) => ({ key: key.subarray(prefixBytes), value }))
  }

  /** Records of a slot that stay in memory: recorded messages, and what is in quarantine. */
  async *held(stage: number, slot: number): AsyncGenerator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
    for await (const { key, value } of this.ofKind(stage, slot, messageKind))
      yield { key: Uint8Array.of(messageKind, ...key.subarray(3)), value }
    for (const kind of [quarantineKind, operatorKind]) yield* this.ofKind(stage, slot, kind)
  }

  private async *ofKind(stage: number, slot: number, kindByte: number) {
    const kind = Uint8Array.of(kindByte)
    for (let from = kind; ;) {
      const page = await this.scan(stage, slot, from, afterPrefix(kind), heldPage)
      yield* page
      const last = page.at(-1)
      if (last === undefined || page.length < heldPage) return
      from = Uint8Array.of(...last.key, 0)
    }
  }

  /** What tasks of a stage read by themselves, for their durable maps. */
  reader(stage: number): StoreReader {
    const { slots } = this.origin
    return {
      get: (keyGroup, key) => this.store.getSync(this.keyOf(stage, keyGroup, key)),
      scan: (keyGroup, from, to, limit) => this.scan(stage, keyGroup % slots, from, to, limit)
    }
  }

  /** Writes that bring the parts here from checkpoint to checkpoint. */
  async advance(to: Point, writes: Iterable<Write>): Promise<void> {
    const { before, after } = moved(this.list, this.own, to)
    await this.store.apply(between(before, writes, after))
    this.list = after
  }

  /** Clears what one part left behind; false when there is none. */
  async clearOne(): Promise<boolean> {
    const [id, ...gone] = this.list.gone
    if (id === undefined) return false
    const list = { ...this.list, gone }
    await this.store.apply([{ prefix: prefixOf(id) }, listWrite(list)])
    this.list = list
    return true
  }

  private idOf(stage: number, slot: number): number {
    const id = this.ids.get(stage)?.[slot]
    assert(id !== undefined, `slot ${slot} of stage ${stage} is not here`)
    return id
  }
}

/** What is to be done, and why the store is not kept, if it is not. */
async function planned(
  settings: LocalSettings
): Promise<{ readonly plan: LoadPlan; readonly why: string | undefined }> {
  const { stages, head } = settings
  const { list, why } = await readList(settings)
  const point = head === undefined ? nothing : { epoch: head.manifest.epoch, hash: head.hash }
  const proven = await prove(list, point, settings)
  return { plan: planLoad(list, { point, manifest: head?.manifest }, stages, proven), why }
}

async function bring(
  settings: LocalSettings
): Promise<{ readonly plan: LoadPlan; readonly report: LocalState['report'] }> {
  const { store } = settings
  const { plan, why } = await planned(settings)
  if (why !== undefined) {
    reached('local state: a store that is not kept')
    await store.apply(everything())
  }
  if (plan.spare.length > 0) reached('local state: parts that are kept for later')
  if (plan.current.length > 0) reached('local state: parts as the checkpoint has them')
  if (plan.behind.length > 0) reached('local state: parts that catch up')
  if (plan.refused.size > 0) reached('local state: parts that are refused')
  const changes = { records: 0, bytes: 0 }
  const whole = { records: 0, bytes: 0 }
  for await (const writes of loading(plan, settings, changes, whole)) {
    if (settings.isOver()) break
    await store.apply(writes)
  }
  const refused = [
    ...(store.lost === undefined ? [] : [`the store was damaged: ${store.lost}`]),
    ...(why === undefined ? [] : [`the store ${why}`]),
    ...[...plan.refused].map(([reason, count]) => `${count} part${count === 1 ? '' : 's'}: ${reason}`)
  ]
  const { current, behind, fresh } = plan
  return {
    plan,
    report: { kept: current.length, caughtUp: behind.length, fetched: fresh.length, changes, whole, refused }
  }
}

async function readList({ store, origin }: LocalSettings): Promise<{ list: PartList; why: string | undefined }> {
  const none = emptyList(origin)
  try {
    const [bytes] = await store.getMany([listKey])
    if (bytes === undefined) {
      const [any] = await store.scan(Uint8Array.of(0), Uint8Array.of(0xff), 1)
      return { list: none, why: any === undefined ? undefined : 'has no list of parts' }
    }
    const list = decodeParts(bytes, origin)
    return typeof list === 'string' ? { list: none, why: list } : { list, why: undefined }
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'CORRUPT') throw error
    return { list: none, why: `is damaged: ${error.message}` }
  }
}

/** Looks up what the parts claim to equal. */
async function prove({ parts }: PartList, head: Point, { decided }: LocalSettings): Promise<(point: Point) => boolean> {
  const hashes = new Map<number, string | undefined>([[head.epoch, head.hash]])
  for (const { at, to } of parts)
    for (const point of [at, to])
      if (point !== null && point.epoch < head.epoch && !hashes.has(point.epoch))
        hashes.set(point.epoch, await decided(point.epoch))
  return point => hashes.get(point.epoch) === point.hash
}

type Count = { -readonly [name in keyof Amount]: number }

function* counted(records: GroupRecords, count: Count): Generator<StateRecord> {
  for (const record of records) {
    count.records++
    count.bytes += record.key.length + (record.value?.length ?? 0)
    yield record
  }
}

/** What the plan needs of the checkpoint, a key group at a time, between its two lists. */
async function* loading(
  plan: LoadPlan,
  settings: LocalSettings,
  changes: Count,
  whole: Count
): AsyncGenerator<Iterable<Write>> {
  const { stages, head, storage, origin } = settings
  yield [listWrite(plan.before)]
  for (const { name } of stages) {
    const stored = head?.manifest.stages.find(each => each.name === name)
    if (head === undefined || stored === undefined) continue
    const fresh = bySlot(plan.fresh, name)
    const wanted = (slots: ReadonlyMap<number, number>) => (group: number) => slots.has(group % origin.slots)
    if (fresh.size > 0)
      for await (const records of stageGroups(storage, head.manifest, stored, wanted(fresh)))
        yield written(counted(records, whole), fresh, origin)
    for (const epoch of new Set(plan.behind.map(part => part.at?.epoch ?? 0))) {
      const behind = bySlot(
        plan.behind.filter(part => part.at?.epoch === epoch),
        name
      )
      const files = deltasSince(stored.files, epoch)
      if (behind.size === 0 || files.length === 0) continue
      for await (const records of stageChanges(storage, head.manifest, { name, files }, wanted(behind)))
        yield written(counted(records, changes), behind, origin)
    }
  }
  yield [listWrite(plan.after)]
}

function* written(
  records: Iterable<StateRecord>,
  idOfSlot: ReadonlyMap<number, number>,
  { slots }: StoreOrigin
): Generator<Write> {
  for (const record of records) yield* recordWrites(idOfSlot.get(record.keyGroup % slots) as number, record)
}

function bySlot(parts: readonly StorePart[], stage: string): Map<number, number> {
  return new Map(parts.filter(part => part.stage === stage).map(part => [part.slot, part.id]))
}

function* recordWrites(part: number, { keyGroup, key, value }: StateRecord): Generator<Write> {
  if (key[0] === prefixDelete) {
    yield { prefix: placed(part, key.subarray(1)) }
    return
  }
  yield { key: placed(part, withinPart(keyGroup, key)), value }
  if (value === undefined || !isActorRecord(key)) return
  for (const timer of timersOfRecord(value)) {
    const index = timerIndexKey({ ...timer, keyBytes: keyOfRecord(key) })
    yield { key: placed(part, index), value: new Uint8Array() }
  }
}

function* between(before: PartList, writes: Iterable<Write>, after: PartList): Generator<Write> {
  yield listWrite(before)
  yield* writes
  yield listWrite(after)
}

function placed(part: number, key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(prefixBytes + key.length)
  new DataView(bytes.buffer).setUint32(0, part)
  bytes.set(key, prefixBytes)
  return bytes
}

function withinPart(keyGroup: number, key: Uint8Array): Uint8Array {
  return isRecordedMessage(key) ? Uint8Array.of(messageKind, keyGroup >> 8, keyGroup & 0xff, ...key.subarray(1)) : key
}

const prefixOf = (part: number): Uint8Array => placed(part, new Uint8Array())
const listKey = prefixOf(listId)
const listWrite = (list: PartList): StoreWrite => ({ key: listKey, value: encodeParts(list) })

/** Deletes all there is: numbers of parts begin with any byte but the last, which would be the four thousand millionth. */
function* everything(): Generator<Write> {
  for (let first = 0; first < 0xff; first++) yield { prefix: Uint8Array.of(first) }
}
