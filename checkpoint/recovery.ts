/** What a starting job reads: the decision log, the newest completed checkpoints, and the records of each stage. */
import { CodedError } from '../runtime/kernel/errors.ts'
import { DecisionLog, type Completed } from './decision-log.ts'
import { decodeManifest, type Manifest, type StageManifest, type StateFileRef } from './manifest.ts'
import { objectNames } from './object-names.ts'
import { planRetention, type Retained } from './retention.ts'
import type { StateRecord } from './state-file.ts'
import { mergedGroups } from './state-reader.ts'
import type { CheckpointStorage } from './storage.ts'

/** A completed checkpoint. */
export interface StoredCheckpoint {
  /** Object name of the manifest. */
  readonly name: string
  readonly manifest: Manifest
  readonly hash: string
}

export interface Recovered {
  readonly log: DecisionLog
  readonly head: StoredCheckpoint | undefined
}

/** Throws CORRUPT, FORMAT_NEWER or FOREIGN_CHECKPOINT; changes nothing. */
export async function readHead(storage: CheckpointStorage, job: string, nonce: () => string): Promise<Recovered> {
  for (;;) {
    const log = await DecisionLog.open(storage, nonce)
    if (log.head === undefined) return { log, head: undefined }
    try {
      return { log, head: await readCheckpoint(storage, job, log.head) }
    } catch (error) {
      // Whoever leads may have gone on meanwhile and deleted it.
      if ((await DecisionLog.open(storage, nonce)).head?.epoch === log.head.epoch) throw error
    }
  }
}

/** Throws CORRUPT, FORMAT_NEWER, FOREIGN_CHECKPOINT or RECOVERY_HALTED. */
export async function readCheckpoint(
  storage: CheckpointStorage,
  job: string,
  decision: Completed
): Promise<StoredCheckpoint> {
  const { name, hash } = decision.manifest
  const bytes = await storage.read(name)
  if (bytes === undefined)
    throw new CodedError('RECOVERY_HALTED', `manifest "${name}" of epoch ${decision.epoch} is missing`)
  const manifest = decodeManifest(bytes, hash, name)
  if (manifest.job !== job)
    throw new CodedError('FOREIGN_CHECKPOINT', `the checkpoint is of job "${manifest.job}", not "${job}"`)
  return { name, manifest, hash }
}

/** The newest decided checkpoints that are still there, newest first, and every savepoint. */
export async function readRetained(
  storage: CheckpointStorage,
  log: DecisionLog,
  head: Manifest,
  most: number
): Promise<Retained[]> {
  const wanted = new Map<string, string>()
  for (const { manifest } of [...log.completed(most), ...head.savepoints]) wanted.set(manifest.name, manifest.hash)
  const retained: Retained[] = []
  for (const [name, hash] of wanted) {
    const bytes = await storage.read(name)
    if (bytes !== undefined) retained.push({ name, manifest: decodeManifest(bytes, hash, name) })
  }
  return retained
}

/** Records of one key group. */
export type GroupRecords = Iterable<StateRecord>

/** Live records of a stage, one by one; of those key groups that are wanted. */
export async function* stageRecords(
  storage: CheckpointStorage,
  manifest: Pick<Manifest, 'job' | 'lineage'>,
  stage: StageManifest,
  wanted: (keyGroup: number) => boolean = () => true
): AsyncGenerator<StateRecord> {
  for await (const records of stageGroups(storage, manifest, stage, wanted)) yield* records
}

/** The same a key group at a time: much cheaper where there are many. */
export async function* stageGroups(
  storage: CheckpointStorage,
  manifest: Pick<Manifest, 'job' | 'lineage'>,
  stage: Pick<StageManifest, 'name' | 'files'>,
  wanted: (keyGroup: number) => boolean
): AsyncGenerator<GroupRecords> {
  const origin = { job: manifest.job, lineage: manifest.lineage, stage: stage.name }
  for await (const { records } of mergedGroups(storage, stage.files, origin, false, { wanted })) yield records
}

/** What changed in a stage by these files, deletions included: applied to what was before them, it makes what is behind them. */
export async function* stageChanges(
  storage: CheckpointStorage,
  manifest: Pick<Manifest, 'job' | 'lineage'>,
  stage: { readonly name: string; readonly files: readonly StateFileRef[] },
  wanted: (keyGroup: number) => boolean
): AsyncGenerator<GroupRecords> {
  const origin = { job: manifest.job, lineage: manifest.lineage, stage: stage.name }
  for await (const { records } of mergedGroups(storage, stage.files, origin, true, { wanted })) yield records
}

/** Deletes what no retained manifest names: left by a crash, an abandoned epoch, or a checkpoint that is not retained any more. */
export async function collect(storage: CheckpointStorage, retained: readonly Retained[]): Promise<number> {
  const below = async (folder: string): Promise<string[]> =>
    (await storage.list(folder)).map(name => `${folder}/${name}`)
  const files = (await Promise.all(objectNames.fileFolders.map(below))).flat()
  const plan = planRetention(retained, { files, manifests: await below(objectNames.manifests) }, objectNames.epochOf)
  for (const name of [...plan.files, ...plan.manifests]) await storage.remove(name)
  return plan.files.length + plan.manifests.length
}
