/**
 * What a run left behind, for the checkers: recorded by the world (or by a real run), never by the code under test.
 * All of one job and one lineage, but for `past`. Structural on purpose: a run that cannot know a part leaves it empty, and what needs it says nothing.
 */
import type { Decision } from '../../checkpoint/decision-log.ts'
import type { LedgerEntry, SlotName } from '../../runtime/ports/publisher.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { Workload } from '../workload/index.ts'

/** Times are the world's own, and grow: what came later has no smaller one. */
export interface DecisionEvidence {
  readonly sequence: number
  readonly decision: Decision
  readonly atMs: number
}

/** One operation on checkpoint storage, in the order in which the store carried them out; reads and lists may be left out. */
export interface StorageEvent {
  readonly atMs: number
  readonly who: string
  readonly operation: 'create' | 'read' | 'read-range' | 'list' | 'remove'
  readonly name: string
  /** What was done; only `created` and `removed` changed the store. */
  readonly outcome: 'created' | 'exists' | 'removed' | 'found' | 'missing' | 'refused'
}

/** One committed transaction of an exactly-once sink; of its ledger entry 0, without records. */
export interface Publication {
  readonly slot: SlotName
  readonly entry: LedgerEntry
  readonly records: readonly OutputRecord[]
  readonly atMs: number
}

/** Whose the slot is now, or that its lineage ends: the entry that stood in it again, without records, by a newer generation. */
export function isSeal(before: Publication | undefined, { entry, records }: Publication): boolean {
  if (before === undefined || records.length > 0) return false
  const { epoch, chunk, generation } = before.entry
  return entry.epoch === epoch && entry.chunk === chunk && entry.generation > generation
}

/** A producer of a slot was initialised: older ones are silent from now on. */
export interface Fencing {
  readonly slot: SlotName
  readonly generation: number
  /** How many publications had been committed, in all sinks, when it happened. */
  readonly after: number
  /** When it was asked for and when the answer came, as numbers that grow over all of them: in between it happened. */
  readonly asked: number
  readonly answered: number
  readonly atMs: number
}

export interface LimitEvidence {
  readonly name: string
  readonly limit: number
  readonly greatest: number
}

/** A position of a source that the world was told, in the order in which it became visible. */
export interface ToldPosition {
  readonly source: string
  readonly partition: number
  readonly position: number
  readonly atMs: number
  /** Epoch of the output in whose transaction it was told; undefined: it was told alone. */
  readonly along?: number | undefined
}

/** Of a run of any job. */
export interface RunEvidence {
  /** Lineages that have ended: the job went back to an older checkpoint. Absent: none. */
  readonly past?: readonly RunEvidence[]
  /** Default 1. */
  readonly lineage?: number
  /** Checkpoint 0 is a copy of that one. */
  readonly origin?: { readonly lineage: number; readonly epoch: number }
  /** The job went on in another lineage: all that this one had decided is published, and nobody cleans up here any more. */
  readonly ended?: true
  /** Every decision ever made, pruned ones too, by sequence. */
  readonly decisions: readonly DecisionEvidence[]
  /** An object as it was created, though it was deleted since; undefined: it never was, or nobody kept it. */
  readonly readObject: (name: string) => Uint8Array | undefined
  /** Names of the objects that are there at the end. */
  readonly storedAtEnd: readonly string[]
  readonly storageHistory: readonly StorageEvent[]
  /** In the order of their commits, all sinks. */
  readonly publications: readonly Publication[]
  /** What at-least-once sinks got, in order. */
  readonly loose: ReadonlyMap<string, readonly OutputRecord[]>
  readonly fencings: readonly Fencing[]
  /** Absent: nobody was told anything. */
  readonly told?: readonly ToldPosition[]
  readonly limits: readonly LimitEvidence[]
  /** No fault is injected from then on; default 0. What a fault may have hidden from a cleaner is not asked for before. */
  readonly calmFromMs?: number
  /** The run got to its end: everything handled, decided and published. */
  readonly finished: boolean
  /** If not: sentences that say what it waits for. */
  readonly waitingFor: readonly string[]
  /** How many records of a partition lie before a position; default: the position itself. */
  readonly recordsBefore?: (source: string, partition: number, position: number) => number
}

/** Of a run whose right answer a model knows. */
export interface Evidence extends RunEvidence {
  readonly workload: Workload
}

/**
 * What the job made of its input in the end: of each lineage from which it went on elsewhere, what it did up to that checkpoint; all of
 * the last one. What was published after such a checkpoint was published as well, and counts for nothing here.
 */
export function alongTheJob(evidence: Evidence): Evidence {
  const all = [...(evidence.past ?? []), evidence]
  const way: { readonly lineage: RunEvidence; readonly upTo: number }[] = []
  for (let [at, upTo]: [RunEvidence | undefined, number] = [evidence, Infinity]; at !== undefined;) {
    way.unshift({ lineage: at, upTo })
    const { origin }: RunEvidence = at
    upTo = origin?.epoch ?? 0
    at = all.find(({ lineage = 1 }) => lineage === origin?.lineage)
  }
  return {
    ...evidence,
    decisions: way.flatMap(({ lineage, upTo }) =>
      lineage.decisions.filter(({ decision }) => decision.kind === 'completed' && decision.epoch <= upTo)
    ),
    publications: way.flatMap(({ lineage, upTo }) => lineage.publications.filter(({ entry }) => entry.epoch <= upTo)),
    // No two objects have one name, but for decisions.
    readObject: name => {
      for (const { lineage } of way) {
        const found = lineage.readObject(name)
        if (found !== undefined) return found
      }
      return undefined
    }
  }
}

/** One sentence: what, where, expected, found. */
export type Violation = string

/** Of a list that may be long, the first few. */
export function few(violations: Violation[], most = 5): Violation[] {
  if (violations.length <= most) return violations
  return [...violations.slice(0, most), `… and ${violations.length - most} more like the last`]
}

export const slotText = ({ sink, stage, slot }: Pick<SlotName, 'sink' | 'stage' | 'slot'>): string =>
  `sink "${sink}", stage "${stage}", slot ${slot}`
