/**
 * The lineages of one job: 1, and one more for each fork. The decision log of a lineage that is over says where the job went on, so
 * that the newest one is found by following the logs from the first; a lineage to which no log leads was left by a fork that was not
 * completed, and counts for nothing.
 *
 *   lineage 1  ─ 0 ─ 1 ─ 2 ─ 3 ─ ends into 2
 *                        └───────────────► lineage 2  ─ 0 (a copy of 2) ─ 1 ─ …
 */
import { CodedError } from '../runtime/kernel/errors.ts'
import { DecisionLog } from './decision-log.ts'
import type { CheckpointStorage } from './storage.ts'

export const firstLineage = 1

export interface Lineages {
  /** Those of which anything is stored, ascending. A hint only: may be stale. */
  list(): Promise<readonly number[]>
  storage(lineage: number): CheckpointStorage
}

export interface OpenLineage {
  readonly lineage: number
  readonly storage: CheckpointStorage
  readonly log: DecisionLog
}

/** From the first lineage to the newest one, which is the last. Throws CORRUPT; changes nothing. */
export async function followLineages(
  lineages: Lineages,
  nonce: () => string
): Promise<[OpenLineage, ...OpenLineage[]]> {
  const open = async (lineage: number): Promise<OpenLineage> => {
    const storage = lineages.storage(lineage)
    return { lineage, storage, log: await DecisionLog.open(storage, nonce) }
  }
  // Listed first: another lineage is there only after the first one's log was begun, which may happen at any time.
  const listed = await lineages.list()
  const chain: [OpenLineage, ...OpenLineage[]] = [await open(firstLineage)]
  if (chain[0].log.head === undefined && listed.some(each => each > firstLineage))
    throw new CodedError('CORRUPT', `lineage ${firstLineage} is missing, though lineage ${listed.at(-1)} is there`)
  for (let ends = chain[0].log.ends; ends !== undefined;) {
    const next = await open(ends.into)
    if (next.log.head === undefined || chain.some(each => each.lineage === next.lineage))
      throw new CodedError('CORRUPT', `lineage ${ends.into} is missing, though the job went on in it`)
    chain.push(next)
    ends = next.log.ends
  }
  return chain
}

export async function newestLineage(lineages: Lineages, nonce: () => string): Promise<OpenLineage> {
  const chain = await followLineages(lineages, nonce)
  return chain.at(-1) ?? chain[0]
}
