/** What a starting job reads: the decision log, the newest completed checkpoint, and the records of each stage. */
import { sha256Hex } from '../runtime/kernel/checksum.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { DecisionLog } from './decision-log.ts'
import { decodeManifest, type FileRef, type Manifest, type StageManifest } from './manifest.ts'
import { readStateFile, type StateRecord } from './state-file.ts'
import type { CheckpointStorage } from './storage.ts'

export interface Recovered {
  readonly log: DecisionLog
  readonly head: { readonly manifest: Manifest; readonly hash: string } | undefined
}

/** Throws CORRUPT, FORMAT_NEWER or FOREIGN_CHECKPOINT; changes nothing. */
export async function readHead(storage: CheckpointStorage, job: string, nonce: () => string): Promise<Recovered> {
  const log = await DecisionLog.open(storage, nonce)
  const decision = log.head
  if (decision === undefined) return { log, head: undefined }
  const { name, hash } = decision.manifest
  const bytes = await storage.read(name)
  if (bytes === undefined)
    throw new CodedError('RECOVERY_HALTED', `manifest "${name}" of epoch ${decision.epoch} is missing`)
  const manifest = decodeManifest(bytes, hash, name)
  if (manifest.job !== job)
    throw new CodedError('FOREIGN_CHECKPOINT', `the checkpoint is of job "${manifest.job}", not "${job}"`)
  return { log, head: { manifest, hash } }
}

/** The whole file, verified against the hash that the manifest names. */
export async function readVerified(storage: CheckpointStorage, file: FileRef, epoch: number): Promise<Uint8Array> {
  const bytes = await storage.read(file.name)
  if (bytes === undefined) throw new CodedError('RECOVERY_HALTED', `file "${file.name}" of epoch ${epoch} is missing`)
  if (bytes.length !== file.sizeBytes || sha256Hex(bytes) !== file.sha256)
    throw new CodedError(
      'CORRUPT',
      `file "${file.name}" of epoch ${epoch} is not the one that was checkpointed: size or SHA-256 differ`
    )
  return bytes
}

/** The live records of a stage: later files win, tombstones gone. */
export async function loadStage(storage: CheckpointStorage, stage: StageManifest): Promise<Iterable<StateRecord>> {
  const live = new Map<string, StateRecord>()
  for (const file of stage.files)
    for (const record of readStateFile(await readVerified(storage, file, file.epoch), file.name)) {
      const id = Buffer.from(record.key).toString('latin1')
      if (record.value === undefined) live.delete(id)
      else live.set(id, record)
    }
  return live.values()
}
