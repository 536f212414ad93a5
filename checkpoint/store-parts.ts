/**
 * What a local store holds, by its own account: its parts, one for each stage and slot, and which checkpoint each part equals. The
 * account is one value of the store, written before and after what it tells of, so that a store that outlives its process can be
 * judged: what is proven is kept, and only the deltas since are applied; everything else is made anew.
 *
 *   list: part is loading ─► records of the checkpoint ─► list: at n
 *   list: at n, to m      ─► records of n+1 … m        ─► list: at m         n ─► a crash in between ─► at n, to m: some of it may be there
 *
 * Invariants
 * 1. A part `at` n, without `to`, equals checkpoint n. With `to` m, it equals m once all that changed after n up to m was applied again.
 * 2. A part counts only if both lie on the line of decisions that leads to the head, by epoch and hash of the manifest: one of another
 *    job or lineage, of an epoch that was given up, or newer than the head, is gone.
 * 3. The number of a part is never used again: what a part that is gone left behind is met by nobody.
 */
import { assert } from '../runtime/kernel/errors.ts'
import { crc32 } from '../runtime/kernel/checksum.ts'
import { epochHere, type Manifest, type StateFileRef } from './manifest.ts'

/** Raised when the keys or values of a store change: an older store is made anew. */
const layout = 1

/** A checkpoint. */
export interface Point {
  readonly epoch: number
  /** Of its manifest. */
  readonly hash: string
}

export interface StorePart {
  /** Stands before each of its keys. */
  readonly id: number
  readonly stage: string
  readonly slot: number
  /** Null while it is being loaded. */
  readonly at: Point | null
  readonly to: Point | null
}

export interface StoreOrigin {
  readonly job: string
  readonly lineage: number
  readonly keyGroups: number
  readonly slots: number
}

export interface PartList extends StoreOrigin {
  /** The next part's number. */
  readonly next: number
  readonly parts: readonly StorePart[]
  /** Numbers of parts whose entries may still be there. */
  readonly gone: readonly number[]
}

export const emptyList = (origin: StoreOrigin): PartList => ({ ...origin, next: 1, parts: [], gone: [] })

/** Parts as rows; checkpoints apart, because many parts share one. */
interface Stored extends Omit<PartList, 'parts'> {
  readonly points: readonly Point[]
  readonly parts: readonly (readonly [id: number, stage: string, slot: number, at: number, to: number])[]
}

export function encodeParts(list: PartList): Uint8Array {
  const points: Point[] = []
  const indexOf = (point: Point | null): number => {
    if (point === null) return -1
    const known = points.findIndex(each => isPoint(each, point))
    return known >= 0 ? known : points.push(point) - 1
  }
  const parts = list.parts.map(({ id, stage, slot, at, to }) => [id, stage, slot, indexOf(at), indexOf(to)] as const)
  const text = JSON.stringify({ ...list, parts, points } satisfies Stored)
  return new TextEncoder().encode(JSON.stringify([layout, crc32(new TextEncoder().encode(text)), text]))
}

/** The list, or why it is none of this job; never throws. */
export function decodeParts(bytes: Uint8Array, origin: StoreOrigin): PartList | string {
  let stored: Stored
  try {
    const [version, crc, text] = JSON.parse(new TextDecoder().decode(bytes)) as [number, number, string]
    if (version !== layout) return `is of layout ${version}, not ${layout}`
    if (crc32(new TextEncoder().encode(text)) !== crc) return 'has a list of parts that fails its checksum'
    stored = JSON.parse(text) as Stored
  } catch {
    return 'has a list of parts that cannot be read'
  }
  for (const field of ['job', 'lineage', 'keyGroups', 'slots'] as const)
    if (stored[field] !== origin[field]) return `is of ${field} ${stored[field]}, not ${origin[field]}`
  const { points, ...rest } = stored
  const parts = stored.parts.map(([id, stage, slot, at, to]) => ({
    id,
    stage,
    slot,
    at: points[at] ?? null,
    to: points[to] ?? null
  }))
  return { ...rest, parts }
}

/** A stage as the head has it, and which slots of it are wanted here. */
export interface WantedStage {
  readonly name: string
  readonly slots: readonly number[]
}

export interface LoadPlan {
  /** What to do, by part; its new number if it is loaded anew. */
  readonly current: readonly StorePart[]
  readonly behind: readonly StorePart[]
  readonly fresh: readonly StorePart[]
  /** Not wanted here now and still of use: its slot may come back. */
  readonly spare: readonly StorePart[]
  /** To be written before anything else: fresh parts are loading, parts that lag are on their way. */
  readonly before: PartList
  /** To be written when all of it is done. */
  readonly after: PartList
  /** Why parts are not kept, with how many. */
  readonly refused: ReadonlyMap<string, number>
}

/** Deltas that bring what equals `from` up to the head. */
export const deltasSince = (files: readonly StateFileRef[], from: number): StateFileRef[] =>
  files.filter(file => epochHere(file) > from)

/**
 * @param head what the parts are to equal
 * @param proven whether a checkpoint lies on the line that leads to the head
 */
export function planLoad(
  list: PartList,
  head: { readonly point: Point; readonly manifest: Pick<Manifest, 'stages'> | undefined },
  wanted: readonly WantedStage[],
  proven: (point: Point) => boolean
): LoadPlan {
  const { point, manifest } = head
  const filesOf = (stage: string): readonly StateFileRef[] =>
    manifest?.stages.find(each => each.name === stage)?.files ?? []
  const refused = new Map<string, number>()
  const gone = new Set(list.gone)
  const usable = new Map<string, StorePart>()
  for (const part of list.parts) {
    const why = refusal(part, filesOf(part.stage), proven)
    if (why === undefined) usable.set(place(part), part)
    else {
      refused.set(why, (refused.get(why) ?? 0) + 1)
      gone.add(part.id)
    }
  }
  let { next } = list
  const [current, behind, fresh]: [StorePart[], StorePart[], StorePart[]] = [[], [], []]
  for (const { name, slots } of wanted)
    for (const slot of slots) {
      const part = usable.get(place({ stage: name, slot }))
      usable.delete(place({ stage: name, slot }))
      if (part === undefined) fresh.push({ id: next++, stage: name, slot, at: null, to: null })
      else if (part.to === null && isPoint(part.at, point)) current.push(part)
      else behind.push({ ...part, to: point })
    }
  const spare = [...usable.values()]
  const before = { ...list, next, parts: [...current, ...behind, ...fresh, ...spare], gone: [...gone] }
  const reached = [...current, ...behind, ...fresh].map(part => ({ ...part, at: point, to: null }))
  return { current, behind, fresh, spare, before, after: { ...before, parts: [...reached, ...spare] }, refused }
}

function refusal(
  { at, to }: StorePart,
  files: readonly StateFileRef[],
  proven: (point: Point) => boolean
): string | undefined {
  if (at === null) return 'was not loaded to its end'
  if (!proven(at) || (to !== null && !proven(to))) return 'equals no checkpoint that leads to the newest'
  // A full image is newer: it tells of no deletion. Or the stage was given up and began anew; or it was empty then.
  if (!files.some(file => epochHere(file) <= at.epoch)) return 'is so old that nothing of its time is left'
  return undefined
}

/** Parts on their way to the checkpoint, and there. Spare ones stay where they are. */
export function moved(list: PartList, ids: ReadonlySet<number>, to: Point): { before: PartList; after: PartList } {
  const parts = (change: Partial<StorePart>): StorePart[] =>
    list.parts.map(part => (ids.has(part.id) ? { ...part, ...change } : part))
  for (const { id, at } of list.parts) assert(!ids.has(id) || at !== null, `part ${id} is used before it is loaded`)
  return { before: { ...list, parts: parts({ to }) }, after: { ...list, parts: parts({ at: to, to: null }) } }
}

const place = ({ stage, slot }: Pick<StorePart, 'stage' | 'slot'>): string => `${slot} ${stage}`
const isPoint = (a: Point | null, b: Point): boolean => a !== null && a.epoch === b.epoch && a.hash === b.hash
