/** The checkpoint that `--restore` names: a savepoint of any lineage of the job, or a checkpoint that is kept in the newest one. */
import { CodedError } from '../runtime/kernel/errors.ts'
import type { Completed } from './decision-log.ts'
import type { OpenLineage } from './lineages.ts'
import { decodeManifest, type Manifest } from './manifest.ts'
import { readHead, type StoredCheckpoint } from './recovery.ts'
import type { CheckpointStorage } from './storage.ts'

export interface RestorePoint extends StoredCheckpoint {
  readonly lineage: number
  readonly storage: CheckpointStorage
}

export interface NamedSavepoint {
  readonly name: string
  readonly lineage: number
  readonly epoch: number
  readonly manifest: { readonly name: string; readonly hash: string }
}

const appendsNothing = (): string => 'reader'

/** Newest first. Of a lineage that is over, those whose files somebody deleted are still named. */
export async function savepointsOf(chain: readonly OpenLineage[], job: string): Promise<NamedSavepoint[]> {
  const found: NamedSavepoint[] = []
  for (const { lineage, storage } of chain.toReversed()) {
    // Read anew: whoever leads may have gone on since the chain was followed, and deleted what was the newest then.
    const { head } = await readHead(storage, job, appendsNothing)
    if (head === undefined) continue
    const { manifest, name, hash } = head
    const here = [
      ...manifest.savepointNames.map(each => ({
        name: each,
        lineage,
        epoch: manifest.epoch,
        manifest: { name, hash }
      })),
      ...manifest.savepoints.map(({ name, epoch, manifest }) => ({ name, lineage, epoch, manifest }))
    ]
    found.push(...here.sort((a, b) => b.epoch - a.epoch || (a.name < b.name ? -1 : 1)))
  }
  return found
}

/** @param text name of a savepoint, or number of a checkpoint. Throws NOT_FOUND, naming what there is. */
export async function findRestorePoint(
  chain: readonly OpenLineage[],
  job: string,
  text: string
): Promise<RestorePoint> {
  const newest = chain.at(-1)
  const savepoints = await savepointsOf(chain, job)
  const kept = newest === undefined ? [] : await stillThere(newest)
  const decided = kept.find(each => String(each.epoch) === text)
  const savepoint =
    savepoints.find(each => each.name === text) ??
    savepoints.find(each => each.lineage === newest?.lineage && String(each.epoch) === text)
  const place =
    savepoint ?? (decided === undefined || newest === undefined ? undefined : { ...decided, lineage: newest.lineage })
  const from = chain.find(each => each.lineage === place?.lineage)
  const bytes = place === undefined ? undefined : await from?.storage.read(place.manifest.name)
  if (place === undefined || from === undefined || bytes === undefined)
    throw new CodedError(
      'NOT_FOUND',
      `job "${job}" has no savepoint or checkpoint "${text}"; ${whatThereIs(savepoints, kept)}`
    )
  const { name, hash } = place.manifest
  return {
    name,
    hash,
    manifest: ofJob(decodeManifest(bytes, hash, name), job),
    lineage: from.lineage,
    storage: from.storage
  }
}

function ofJob(manifest: Manifest, job: string): Manifest {
  if (manifest.job === job) return manifest
  throw new CodedError('FOREIGN_CHECKPOINT', `the checkpoint is of job "${manifest.job}", not "${job}"`)
}

async function stillThere({ log, storage }: OpenLineage): Promise<Completed[]> {
  const found: Completed[] = []
  for (const decision of log.completed(Infinity))
    if ((await storage.read(decision.manifest.name)) !== undefined) found.push(decision)
  return found
}

function whatThereIs(savepoints: readonly NamedSavepoint[], kept: readonly Completed[]): string {
  const named = savepoints.map(({ name, lineage, epoch }) => `${name} (checkpoint ${epoch} of lineage ${lineage})`)
  const numbers = kept.map(({ epoch }) => epoch)
  const list = (what: string, items: readonly unknown[]): string => `${what} ${items.join(', ') || 'none'}`
  return `there are the savepoints ${list('', named).trim()}, and ${list('the checkpoints', numbers)}`
}
