/**
 * The outside of the explored code, as plain values: checkpoint storage with conditional creates, and a transactional sink of two
 * slots. Every function answers a new value; nothing is changed in place.
 *
 * The storage also remembers what it ever accepted into the decision log (`decided`, `count`), which pruning does not shorten:
 * that is the truth against which the invariants of RELIABILITY.md, part B, are checked.
 */
import type { Decision } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import type { LedgerEntry } from '../../runtime/ports/publisher.ts'

export const slotCount = 2

export type StorageRequest =
  | { readonly op: 'create'; readonly name: string; readonly text: string }
  | { readonly op: 'read'; readonly name: string }
  | { readonly op: 'list'; readonly folder: string }
  | { readonly op: 'remove'; readonly names: readonly string[] }
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
export interface StoredManifest {
  readonly epoch: number
  readonly generation: number
  readonly previous: string | null
  /** Inputs handled. */
  readonly position: number
  readonly stages: readonly []
  readonly outboxes: readonly StoredOutbox[]
  readonly ledgers: readonly { readonly slot: number; readonly epoch: number; readonly chunk: number }[]
}

/** What a decided epoch adds to each slot. */
interface DecidedEpoch {
  readonly epoch: number
  readonly manifest: string
  readonly outboxes: readonly { readonly file: string; readonly chunks: readonly (readonly string[])[] }[]
}
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
}
export interface Sink {
  readonly slots: readonly {
    /** Newest producer of each transactional id. */
    readonly owners: Readonly<Record<string, number>>
    readonly records: readonly string[]
    readonly ledger?: LedgerEntry
    readonly open?: { readonly records: readonly string[]; readonly entry?: LedgerEntry }
  }[]
}

export const emptyStorage: Storage = { decisions: {}, objects: {}, count: 0, decided: [], generation: 0, forgot: false }
export const emptySink: Sink = { slots: Array.from({ length: slotCount }, () => ({ owners: {}, records: [] })) }

export interface Executed<World> {
  readonly world: World
  readonly reply: Reply
  readonly violation?: string
}

export function isStorageRequest(request: Request): request is StorageRequest {
  return ['create', 'read', 'list', 'remove'].includes(request.op)
}

export function executeStorage(storage: Storage, request: StorageRequest): Executed<Storage> {
  switch (request.op) {
    case 'read': {
      const text = storage.decisions[request.name] ?? storage.objects[request.name]
      return { world: storage, reply: text === undefined ? {} : { text } }
    }
    case 'list': {
      if (request.folder === '*') return { world: storage, reply: Object.keys(storage.objects).sort() }
      const names = Object.keys(storage.decisions).sort()
      return { world: storage, reply: names.map(name => name.slice(objectNames.decisions.length + 1)) }
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
      return create(storage, request.name, request.text)
  }
}

function create(storage: Storage, name: string, text: string): Executed<Storage> {
  if (!name.startsWith(`${objectNames.decisions}/`)) {
    if (storage.objects[name] !== undefined) return { world: storage, reply: 'exists' }
    return { world: { ...storage, objects: sorted({ ...storage.objects, [name]: text }) }, reply: 'created' }
  }
  if (storage.decisions[name] !== undefined) return { world: storage, reply: 'exists' }
  const added = { ...storage, decisions: sorted({ ...storage.decisions, [name]: text }) }
  const sequence = Number(name.slice(objectNames.decisions.length + 1))
  // Below the newest: its place was pruned. Whoever wrote it must find out; it is no part of the history.
  if (sequence < storage.count) return { world: added, reply: 'created' }
  const accepted = { ...added, count: storage.count + 1 }
  if (storage.forgot && sequence > storage.count) return { world: added, reply: 'created' }
  if (sequence > storage.count)
    return { world: accepted, reply: 'created', violation: `S3: decision ${sequence} leaves a hole in the log` }
  const { decision } = JSON.parse(text) as { decision: Decision }
  if (decision.kind === 'leads') return { world: accepted, reply: 'created' }
  if (decision.kind === 'begins') return began(accepted, decision)
  return completed(accepted, decision)
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

function completed(storage: Storage, decision: Extract<Decision, { kind: 'completed' }>): Executed<Storage> {
  const { epoch, manifest: ref } = decision
  const result = { world: storage, reply: 'created' }
  const text = storage.objects[ref.name]
  if (text === undefined) return { ...result, violation: `S4: epoch ${epoch} is decided without its manifest` }
  const manifest = JSON.parse(text) as StoredManifest
  const outboxes = Array.from({ length: slotCount }, (_, slot) => {
    const box = manifest.outboxes.find(each => each.slot === slot && each.epoch === epoch)
    return { file: box?.file.name ?? '', chunks: box?.chunks ?? [] }
  })
  const before = storage.decided.at(-1)
  const world = { ...storage, decided: [...storage.decided, { epoch, manifest: ref.name, outboxes }] }
  const violation =
    before !== undefined && epoch <= before.epoch
      ? `S15: epoch ${epoch} is decided after epoch ${before.epoch}`
      : (before?.manifest ?? null) !== manifest.previous
        ? `S3: epoch ${epoch} follows ${manifest.previous}, not ${before?.manifest}`
        : (brokenCut(world, manifest.position) ?? missingFile(world, manifest))
  return violation === undefined ? { world, reply: 'created' } : { world, reply: 'created', violation }
}

/** Each input up to the checkpoint's position once and in order, in every slot, over all decided epochs. */
function brokenCut(storage: Storage, position: number): string | undefined {
  for (let slot = 0; slot < slotCount; slot++) {
    const inputs = expected(storage, slot).map(record => Number(/\d+/.exec(record)?.[0]))
    const wanted = inputs.length === position * recordsPerInput(slot)
    if (!wanted || inputs.some((input, i) => input !== Math.floor(i / recordsPerInput(slot)) + 1))
      return `S2: the decided epochs of slot ${slot} hold the inputs ${inputs.join(' ')} at position ${position}`
  }
  return undefined
}

function missingFile(storage: Storage, manifest: StoredManifest): string | undefined {
  const missing = manifest.outboxes.find(box => storage.objects[box.file.name] === undefined)
  return missing && `S4: epoch ${manifest.epoch} is decided without ${missing.file.name}`
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
export function loseDecisions(storage: Storage, sink: Sink): Storage | undefined {
  const newest = storage.decided.at(-1)?.epoch ?? 0
  if (newest === 0 || !sink.slots.some(slot => slot.ledger?.epoch === newest)) return undefined
  const kept = Object.entries(storage.decisions)
  const from = kept.findLastIndex(([, text]) => text.includes('"completed"'))
  return { ...storage, decisions: Object.fromEntries(kept.slice(0, from)), count: from, forgot: true }
}

function expected(storage: Storage, slot: number): string[] {
  return storage.decided.flatMap(({ outboxes }) => outboxes[slot]?.chunks.flat() ?? [])
}

/** S1, S6 and S14 for both together. */
export function violationOf(storage: Storage, sink: Sink): string | undefined {
  const head = storage.decided.at(-1)?.epoch ?? -1
  for (const [index, slot] of sink.slots.entries()) {
    const wanted = expected(storage, index)
    const wrong = slot.records.findIndex((record, i) => record !== wanted[i])
    if (wrong >= 0)
      return `S1: slot ${index} shows ${slot.records.join(' ')}, decided is ${wanted.join(' ') || 'nothing'}`
    if (slot.ledger !== undefined && slot.ledger.epoch > Math.max(0, head))
      return `S6: the ledger of slot ${index} says epoch ${slot.ledger.epoch}, the newest decided is ${head}`
    let published = slot.records.length
    for (const { epoch, outboxes } of storage.decided) {
      const { file, chunks } = outboxes[index] ?? { file: '', chunks: [] }
      published -= chunks.flat().length
      if (published < 0 && storage.objects[file] === undefined)
        return `S14: the outbox of epoch ${epoch} is deleted, and slot ${index} has not published it`
    }
  }
  return undefined
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
