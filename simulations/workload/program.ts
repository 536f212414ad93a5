/**
 * Events that are small programs, and what flows between the stages of a workload.
 *
 * The right answer is unique under any legal interleaving, because every operation is one of these:
 * - it commutes (counters, sums, shared entries of the map);
 * - it belongs to an *owner*, the path on which its program came, and what came on one path stays in order;
 * - it is an event-time timer with a name of its own, touched only by its owner's programs of an earlier event time;
 * - it is an alarm, of which only is said that it rings at most once.
 *
 * Every item carries a weight; a handler divides it among what it sends, emits, arms and stores, and keeps the rest.
 */
export type Op =
  /** Register of the owner: `r = r × 31 + v`, which tells orders apart. */
  | { readonly op: 'set'; readonly v: number }
  | { readonly op: 'emit'; readonly w: number; readonly v: number }
  | { readonly op: 'send'; readonly to: number; readonly item: Program }
  /** To the stage's second output. */
  | { readonly op: 'next'; readonly item: Program }
  | { readonly op: 'arm'; readonly name: string; readonly after: number; readonly program: Program }
  | { readonly op: 'cancel'; readonly name: string }
  | { readonly op: 'alarm'; readonly name: string; readonly after: number; readonly w: number }
  /** Adds weight to an entry of the durable map. */
  | { readonly op: 'put'; readonly name: string; readonly w: number }
  /** Takes an entry's weight out again; only its owner does. */
  | { readonly op: 'take'; readonly name: string }
  /** Emits all that the key holds and forgets it. Only keys that one program made for itself do so; `entries` are its map's. */
  | { readonly op: 'close'; readonly v: number; readonly entries: readonly string[] }
  | { readonly op: 'sleep'; readonly ms: number }
  | { readonly op: 'throw' }

export interface Program {
  readonly id: string
  readonly key: string
  /** '' = on a path that does not keep order. */
  readonly owner: string
  readonly w: number
  readonly v: number
  readonly ops: readonly Op[]
}

/** What flows. `seq` grows along one `from` towards one receiver; `from` is '' where nothing is promised. */
export interface Item extends Program {
  readonly from: string
  readonly seq: number
  /** Of a window's result: count, sum of hashes, greatest, least. */
  readonly agg?: readonly number[]
}

/** What a sink gets. */
export interface Row {
  readonly id: string
  readonly from: string
  readonly seq: number
  readonly key: string
  readonly w: number
  readonly v: number
  readonly leg: number
  readonly agg?: readonly number[]
}

/** A source's record, as JSON. */
export interface SourceRecord extends Program {
  readonly at: number
  readonly partition: number
  readonly seq: number
  readonly lane: number
}

/** A window of the stage of strays, as its sink gets it. */
export interface StrayWindow {
  readonly key: string
  readonly start: number
  readonly end: number
  readonly firing: 'early' | 'on-time' | 'late'
  readonly ids: readonly string[]
  readonly from: ''
  readonly w: 0
}

/** FNV-1a: what is summed up to tell sets of ids apart. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

export function addHash(sum: number, text: string): number {
  return (sum + hashOf(text)) >>> 0
}

/** Registers keep what their owner set, in order. */
export function nextRegister(before: number, v: number): number {
  return (Math.imul(before, 31) + v) | 0
}

/** Everything about a row but its place in its producer's order, which only order checks look at. */
export function rowText(row: Row): string {
  const { id, from, key, w, v, leg, agg } = row
  return JSON.stringify([leg, key, id, from, w, v, agg ?? null])
}
