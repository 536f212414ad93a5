/**
 * The outside of the explored code, as plain values: checkpoint storage with conditional creates, and a transactional sink with two
 * slots for each lineage. Every function answers a new value; nothing is changed in place.
 *
 * The storage also remembers what it ever accepted into the decision log (`decided`, `count`), which pruning does not shorten:
 * that is the truth against which the invariants of RELIABILITY.md, part B, are checked.
 */
import type { Decision } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import type { LedgerEntry } from '../../runtime/ports/publisher.ts'

export const slotCount = 2

/** `lineage`: absent, the first. */
export type StorageRequest =
  | { readonly op: 'create'; readonly lineage?: number; readonly name: string; readonly text: string }
  | { readonly op: 'read'; readonly lineage?: number; readonly name: string }
  | { readonly op: 'list'; readonly lineage?: number; readonly folder: string }
  | { readonly op: 'remove'; readonly lineage?: number; readonly names: readonly string[] }
  /** Those of which anything is stored. */
  | { readonly op: 'lineages'; readonly lineage?: number }
export type SinkRequest =
  /** `renews`: only if that producer is still the newest (KIP-360). */
  | { readonly op: 'initialise'; readonly slot: number; readonly id: string; readonly renews?: number }
  | { readonly op: 'ledger'; readonly slot: number }
  | {
      readonly op: 'publish'
      readonly slot: number
      readonly id: string
      readonly producer: number
      readonly records: readonly string[]
      readonly entry: LedgerEntry | undefined
    }
  /** Kafka's older transactions: records, then the entry, join what is open; `end` commits whatever is open then. */
  | {
      readonly op: 'add'
      readonly slot: number
      readonly id: string
      readonly producer: number
      readonly records: readonly string[]
      readonly entry?: LedgerEntry
    }
  | { readonly op: 'end'; readonly slot: number; readonly id: string; readonly producer: number }
export type Request = StorageRequest | SinkRequest
export type Reply = string | number | readonly string[] | { readonly text?: string } | { readonly entry?: LedgerEntry }

/** An outbox of one slot, as a manifest names it. */
export interface StoredOutbox {
  readonly file: { readonly name: string }
  readonly slot: number
  readonly epoch: number
  readonly chunks: readonly (readonly string[])[]
}
/** A file of state: all of it is the position. */
export interface StoredFile {
  readonly name: string
  readonly text: string
}
export interface StoredManifest {
  readonly epoch: number
  readonly generation: number
  readonly previous: string | null
  /** Inputs handled. */
  readonly position: number
  readonly stages: readonly { readonly files: readonly StoredFile[] }[]
  readonly outboxes: readonly StoredOutbox[]
  readonly ledgers: readonly { readonly slot: number; readonly epoch: number; readonly chunk: number }[]
  /** Of a fork: the very text that the real code made of it. */
  readonly real?: string
  /** Absent: the first. */
  readonly lineage?: number
}

/** What a decided epoch adds to each slot. */
interface DecidedEpoch {
  readonly epoch: number
  readonly manifest: string
  readonly position: number
  readonly files: readonly string[]
  readonly outboxes: readonly { readonly file: string; readonly chunks: readonly (readonly string[])[] }[]
}
/** Of one lineage. */
export interface Storage {
  readonly decisions: Readonly<Record<string, string>>
  readonly objects: Readonly<Record<string, string>>
  /** Decisions ever accepted. */
  readonly count: number
  readonly decided: readonly DecidedEpoch[]
  /** Newest generation that began. */
  readonly generation: number
  /** It has forgotten a decision: what comes after cannot be one line, but must not be seen in the sink either. */
  readonly forgot: boolean
  /** Newest generation in its log. */
  readonly newest: number
  /** Inputs that a checkpoint of another lineage had handled, of which this one began. */
  readonly from: number
  /** The lineage in which the job went on. */
  readonly into?: number
}
/** By lineage, from the first. */
export type Storages = readonly Storage[]
export interface Sink {
  /** Those of the first lineage, then those of the second, … */
  readonly slots: readonly {
    /** Newest producer of each transactional id. */
    readonly owners: Readonly<Record<string, number>>
    readonly records: readonly string[]
    readonly ledger?: LedgerEntry
    readonly open?: { readonly records: readonly string[]; readonly entry?: LedgerEntry }
  }[]
}

const emptyStorage: Storage = {
  decisions: {},
  objects: {},
  count: 0,
  decided: [],
  generation: 0,
  forgot: false,
  newest: 0,
  from: 0
}
export const emptyStorages = (lineages: number): Storages => Array.from({ length: lineages }, () => emptyStorage)
export const emptySink = (lineages: number): Sink => ({
  slots: Array.from({ length: lineages * slotCount }, () => ({ owners: {}, records: [] }))
})

/** Where the sink keeps a slot: each lineage has slots of its own. */
export function sinkSlot(lineage: number, slot: number): number {
  return (lineage - 1) * slotCount + slot
}

/** The slot as its owner numbers it. */
export function localSlot(request: Request): number {
  return 'slot' in request ? request.slot % slotCount : 0
}

export interface Executed<World> {
  readonly world: World
  readonly reply: Reply
  readonly violation?: string
}

export function isStorageRequest(request: Request): request is StorageRequest {
  return ['create', 'read', 'list', 'remove', 'lineages'].includes(request.op)
}

export function executeStorage(storages: Storages, request: StorageRequest): Executed<Storages> {
  if (request.op === 'lineages') {
    const there = storages.flatMap(({ decisions, objects }, i) =>
      Object.keys(decisions).length + Object.keys(objects).length > 0 ? String(i + 1) : []
    )
    return { world: storages, reply: there }
  }
  const lineage = request.lineage ?? 1
  const storage = storages[lineage - 1]
  if (storage === undefined) throw new RangeError(`the scope has no lineage ${lineage}`)
  const { world, reply, violation } = executeIn(storage, request, lineage > 1)
  const changed = world === storage ? storages : storages.with(lineage - 1, world)
  const bad = violation ?? (changed === storages ? undefined : brokenLineages(changed, lineage, storage))
  return { world: changed, reply, ...(bad === undefined ? {} : { violation: bad }) }
}

/** P6 and R14, when the log of a lineage grows. */
function brokenLineages(storages: Storages, lineage: number, before: Storage): string | undefined {
  const after = storages[lineage - 1] as Storage
  if (after.count === before.count) return undefined
  if (before.into !== undefined) return `P6: lineage ${lineage} goes on after it has ended into ${before.into}`
  if (after.generation > before.generation) {
    if (lineage > 1 && !storages.some(({ into }) => into === lineage))
      return `P6: a generation begins in lineage ${lineage}, into which no lineage has ended`
    const newest = Math.max(0, ...storages.slice(0, lineage - 1).map(each => each.newest))
    if (after.generation <= newest)
      return `P6: generation ${after.generation} of lineage ${lineage} begins after generation ${newest} of an older one`
  }
  const made = after.into === undefined ? undefined : storages[after.into - 1]
  if (after.into === undefined || made === undefined) return undefined
  const first = made.decided[0]
  if (first === undefined || made.objects[first.manifest] === undefined)
    return `P6: lineage ${lineage} ends into lineage ${after.into}, of which there is no checkpoint`
  if (first.files.length === 0 || first.files.some(file => made.objects[file] === undefined))
    return `P6: lineage ${after.into} begins with files that it does not have`
  return undefined
}

type InLineage = Exclude<StorageRequest, { readonly op: 'lineages' }>

function executeIn(storage: Storage, request: InLineage, forked: boolean): Executed<Storage> {
  switch (request.op) {
    case 'read': {
      const text = storage.decisions[request.name] ?? storage.objects[request.name]
      return { world: storage, reply: text === undefined ? {} : { text } }
    }
    case 'list': {
      if (request.folder === '*') return { world: storage, reply: Object.keys(storage.objects).sort() }
      const { folder } = request
      const names = Object.keys(folder === objectNames.decisions ? storage.decisions : storage.objects).sort()
      const below = names.filter(name => name.startsWith(`${folder}/`))
      return { world: storage, reply: below.map(name => name.slice(folder.length + 1)) }
    }
    case 'remove': {
      const gone = new Set(request.names)
      const rest = (all: Readonly<Record<string, string>>): Record<string, string> =>
        Object.fromEntries(Object.entries(all).filter(([name]) => !gone.has(name)))
      return {
        world: { ...storage, objects: rest(storage.objects), decisions: rest(storage.decisions) },
        reply: 'removed'
      }
    }
    case 'create':
      return create(storage, request.name, request.text, forked)
  }
}

function create(storage: Storage, name: string, text: string, forked: boolean): Executed<Storage> {
  if (!name.startsWith(`${objectNames.decisions}/`)) {
    if (storage.objects[name] !== undefined) return { world: storage, reply: 'exists' }
    return { world: { ...storage, objects: sorted({ ...storage.objects, [name]: text }) }, reply: 'created' }
  }
  if (storage.decisions[name] !== undefined) return { world: storage, reply: 'exists' }
  const added = { ...storage, decisions: sorted({ ...storage.decisions, [name]: text }) }
  const sequence = Number(name.slice(objectNames.decisions.length + 1))
  // Below the newest: its place was pruned. Whoever wrote it must find out; it is no part of the history.
  if (sequence < storage.count) return { world: added, reply: 'created' }
  const { decision } = JSON.parse(text) as { decision: Decision }
  const newest = Math.max(storage.newest, decision.generation)
  const accepted = { ...added, count: storage.count + 1, newest }
  if (storage.forgot && sequence > storage.count) return { world: added, reply: 'created' }
  if (sequence > storage.count)
    return { world: accepted, reply: 'created', violation: `S3: decision ${sequence} leaves a hole in the log` }
  if (decision.kind === 'leads') {
    const into = decision.ends?.into
    return { world: into === undefined ? accepted : { ...accepted, into }, reply: 'created' }
  }
  if (decision.kind === 'begins') return began(accepted, decision)
  return completed(accepted, decision, forked)
}

function began(storage: Storage, decision: Extract<Decision, { kind: 'begins' }>): Executed<Storage> {
  const newest = storage.decided.at(-1)?.epoch
  const result = { world: { ...storage, generation: decision.generation }, reply: 'created' }
  if (storage.forgot) return result
  if (decision.generation <= storage.generation)
    return { ...result, violation: `S3: generation ${decision.generation} begins twice` }
  if (decision.parent?.epoch !== newest)
    return {
      ...result,
      violation: `P5: generation ${decision.generation} begins from checkpoint ${decision.parent?.epoch}, though ${newest} is decided`
    }
  return result
}

function completed(
  storage: Storage,
  decision: Extract<Decision, { kind: 'completed' }>,
  forked: boolean
): Executed<Storage> {
  const { epoch, manifest: ref } = decision
  const result = { world: storage, reply: 'created' }
  const text = storage.objects[ref.name]
  // Whoever forked meanwhile may have cleared it away: it must be there when a lineage ends into this one.
  const isFirst = forked && epoch === 0
  if (text === undefined && isFirst) return result
  if (text === undefined) return { ...result, violation: `S4: epoch ${epoch} is decided without its manifest` }
  const manifest = JSON.parse(text) as StoredManifest
  const outboxes = Array.from({ length: slotCount }, (_, slot) => {
    const box = manifest.outboxes.find(each => each.slot === slot && each.epoch === epoch)
    return { file: box?.file.name ?? '', chunks: box?.chunks ?? [] }
  })
  const before = storage.decided.at(-1)
  const { position } = manifest
  const files = manifest.stages.flatMap(stage => stage.files.map(file => file.name))
  const from = epoch === 0 ? position : storage.from
  const decided = [...storage.decided, { epoch, manifest: ref.name, position, files, outboxes }]
  const world = { ...storage, from, decided }
  const violation =
    before !== undefined && epoch <= before.epoch
      ? `S15: epoch ${epoch} is decided after epoch ${before.epoch}`
      : (before?.manifest ?? null) !== manifest.previous
        ? `S3: epoch ${epoch} follows ${manifest.previous}, not ${before?.manifest}`
        : (brokenCut(world, manifest.position) ?? (isFirst ? undefined : missingFile(world, manifest)))
  return violation === undefined ? { world, reply: 'created' } : { world, reply: 'created', violation }
}

/** Each input up to the checkpoint's position once and in order, in every slot, over all decided epochs. */
function brokenCut(storage: Storage, position: number): string | undefined {
  for (let slot = 0; slot < slotCount; slot++) {
    const inputs = expected(storage, slot).map(record => Number(/\d+/.exec(record)?.[0]))
    const wanted = inputs.length === (position - storage.from) * recordsPerInput(slot)
    if (!wanted || inputs.some((input, i) => input !== storage.from + Math.floor(i / recordsPerInput(slot)) + 1))
      return `S2: the decided epochs of slot ${slot} hold the inputs ${inputs.join(' ')} at position ${position}`
  }
  return undefined
}

function missingFile(storage: Storage, manifest: StoredManifest): string | undefined {
  const files = [...manifest.stages.flatMap(stage => stage.files), ...manifest.outboxes.map(box => box.file)]
  const missing = files.find(file => storage.objects[file.name] === undefined)
  return missing && `S4: epoch ${manifest.epoch} is decided without ${missing.name}`
}

export function recordsPerInput(slot: number): number {
  return slot === 0 ? 2 : 1
}

export function executeSink(sink: Sink, request: SinkRequest): Executed<Sink> {
  const slot = sink.slots[request.slot] as Sink['slots'][number]
  const replaced = (changed: Sink['slots'][number]): Sink => ({ slots: sink.slots.with(request.slot, changed) })
  switch (request.op) {
    case 'initialise': {
      if (request.renews !== undefined && slot.owners[request.id] !== request.renews)
        return { world: sink, reply: 'fenced' }
      const owner = (slot.owners[request.id] ?? 0) + 1
      const { open: _aborted, ...rest } = slot
      return { world: replaced({ ...rest, owners: sorted({ ...slot.owners, [request.id]: owner }) }), reply: owner }
    }
    case 'ledger':
      return { world: sink, reply: slot.ledger === undefined ? {} : { entry: slot.ledger } }
    case 'publish':
      if (slot.owners[request.id] !== request.producer) return { world: sink, reply: 'fenced' }
      return commit(slot, request, replaced)
    case 'add': {
      if (slot.owners[request.id] !== request.producer) return { world: sink, reply: 'fenced' }
      const { entry } = request
      const records = [...(slot.open?.records ?? []), ...request.records]
      const open = { ...slot.open, records, ...(entry === undefined ? {} : { entry }) }
      return { world: replaced({ ...slot, open }), reply: 'added' }
    }
    case 'end': {
      if (slot.owners[request.id] !== request.producer) return { world: sink, reply: 'fenced' }
      // Asked again after a commit, the older protocol says yes.
      if (slot.open === undefined) return { world: sink, reply: 'published' }
      const { open, ...rest } = slot
      return commit(rest, { slot: request.slot, entry: undefined, ...open }, replaced)
    }
  }
}

function commit(
  slot: Sink['slots'][number],
  made: { readonly slot: number; readonly records: readonly string[]; readonly entry: LedgerEntry | undefined },
  replaced: (changed: Sink['slots'][number]) => Sink
): Executed<Sink> {
  const { ledger } = slot
  const { entry } = made
  const world = replaced({
    ...slot,
    records: [...slot.records, ...made.records],
    ...(entry === undefined ? {} : { ledger: entry })
  })
  const back =
    entry !== undefined &&
    ledger !== undefined &&
    (entry.epoch < ledger.epoch || (entry.epoch === ledger.epoch && entry.chunk < ledger.chunk))
  if (!back) return { world, reply: 'published' }
  return {
    world,
    reply: 'published',
    violation: `S6: the ledger of slot ${made.slot} goes back from epoch ${ledger.epoch}, chunk ${ledger.chunk} to epoch ${entry.epoch}, chunk ${entry.chunk}`
  }
}

/** F29: an entry expires, or its topic is deleted. */
export function loseLedger(sink: Sink, slot: number): Sink {
  const { ledger: _lost, ...rest } = sink.slots[slot] as Sink['slots'][number]
  return { slots: sink.slots.with(slot, rest) }
}

/** F60: the storage is put back to a time before the newest checkpoint was decided. What was ever decided stays the truth. */
export function loseDecisions(storages: Storages, sink: Sink): Storages | undefined {
  const storage = storages[0] ?? emptyStorage
  const newest = storage.decided.at(-1)?.epoch ?? 0
  if (newest === 0 || !sink.slots.some(slot => slot.ledger?.epoch === newest)) return undefined
  const kept = Object.entries(storage.decisions)
  const from = kept.findLastIndex(([, text]) => text.includes('"completed"'))
  const decisions = Object.fromEntries(kept.slice(0, from))
  return storages.with(0, { ...storage, decisions, count: from, forgot: true })
}

function expected(storage: Storage, slot: number): string[] {
  return storage.decided.flatMap(({ outboxes }) => outboxes[slot]?.chunks.flat() ?? [])
}

/** S1, S6, S14 and P6 for both together. */
export function violationOf(storages: Storages, sink: Sink): string | undefined {
  for (const [index, storage] of storages.entries()) {
    const isJobs = index === 0 || storages.some(({ into }) => into === index + 1)
    const lost = !isJobs ? undefined : storage.decided.at(-1)?.files.find(file => storage.objects[file] === undefined)
    if (lost !== undefined) return `S14: "${lost}" of the newest checkpoint of lineage ${index + 1} is deleted`
    for (let slot = 0; slot < slotCount; slot++) {
      const violation = slotViolation(index + 1, storage, slot, sink)
      if (violation !== undefined) return violation
    }
  }
  return undefined
}

function slotViolation(lineage: number, storage: Storage, number: number, sink: Sink): string | undefined {
  const slot = sink.slots[(lineage - 1) * slotCount + number] as Sink['slots'][number]
  const who = lineage === 1 ? `slot ${number}` : `slot ${number} of lineage ${lineage}`
  const head = storage.decided.at(-1)?.epoch ?? -1
  const wanted = expected(storage, number)
  const wrong = slot.records.findIndex((record, i) => record !== wanted[i])
  if (wrong >= 0) return `S1: ${who} shows ${slot.records.join(' ')}, decided is ${wanted.join(' ') || 'nothing'}`
  if (slot.ledger !== undefined && slot.ledger.epoch > Math.max(0, head))
    return `S6: the ledger of ${who} says epoch ${slot.ledger.epoch}, the newest decided is ${head}`
  if (storage.into !== undefined && slot.records.length < wanted.length)
    return `P6: lineage ${lineage} has ended, and ${who} shows ${slot.records.join(' ') || 'nothing'} of ${wanted.join(' ')}`
  let published = slot.records.length
  for (const { epoch, outboxes } of storage.decided) {
    const { file, chunks } = outboxes[number] ?? { file: '', chunks: [] }
    published -= chunks.flat().length
    if (published < 0 && storage.objects[file] === undefined)
      return `S14: the outbox of epoch ${epoch} is deleted, and ${who} has not published it`
  }
  return undefined
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
