/** The manifest of checkpoint *n*: every file that makes it up, with its hash. JSON, so that it can be read without Cairn. */
import { sha256Hex } from '../runtime/kernel/checksum.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { LoopStep } from './loop-ends.ts'

export const manifestFormat = 3

export interface FileRef {
  readonly name: string
  readonly sizeBytes: number
  readonly sha256: string
}
export interface StateFileRef extends FileRef {
  /** As it says of itself; see `epochHere`. */
  readonly epoch: number
  readonly records: number
  /** Part of a full image: nothing older says anything about its key groups. */
  readonly base: boolean
  /** It was copied from that lineage by a fork, and says so of itself. */
  readonly lineage?: number
  /** It was copied from that job, for a replay that begins there, and says so of itself. */
  readonly job?: string
}
/** The epoch of this lineage up to which a file tells: what a fork has copied was there from the beginning, whatever its number was where it came from. */
export const epochHere = ({ epoch, lineage }: Pick<StateFileRef, 'epoch' | 'lineage'>): number =>
  lineage === undefined ? epoch : 0
export interface OutboxChunk {
  readonly offset: number
  readonly length: number
  readonly records: number
  /** The final chunk of its slot in its epoch. */
  readonly last: boolean
}
export interface OutboxSection {
  readonly sink: string
  readonly slot: number
  readonly chunks: readonly OutboxChunk[]
}
export interface OutboxRef {
  readonly stage: string
  readonly task: number
  readonly epoch: number
  readonly file: FileRef
  readonly sections: readonly OutboxSection[]
}
export interface PartitionPosition {
  readonly partition: number
  readonly name: string
  readonly position: number
  readonly greatestTime: number | null
  readonly watermark: number | null
  readonly finished: boolean
}
export interface StageManifest {
  readonly name: string
  /** Stored actor schemas, append-only: a record carries its index. */
  readonly schemas: readonly unknown[]
  /** Reached by each slot's key groups, so that what was late stays late when tasks are counted anew; null = none yet. */
  readonly watermarks: readonly (number | null)[]
  readonly finished: boolean
  /** In the order in which they apply: later ones win. */
  readonly files: readonly StateFileRef[]
}
export interface Savepoint {
  readonly name: string
  readonly epoch: number
  readonly manifest: { readonly name: string; readonly hash: string }
}
export interface Manifest {
  readonly format: number
  readonly job: string
  readonly lineage: number
  readonly generation: number
  readonly epoch: number
  readonly previous: { readonly epoch: number; readonly hash: string } | null
  /** Of the first checkpoint of a forked lineage: the checkpoint that it is a copy of. */
  readonly parent?: { readonly lineage: number; readonly epoch: number; readonly hash: string }
  /** The input ended and everything was handled. */
  readonly final: boolean
  /** Names under which this very checkpoint is a savepoint. */
  readonly savepointNames: readonly string[]
  /** Earlier savepoints; retention leaves them alone. */
  readonly savepoints: readonly Savepoint[]
  readonly keyGroups: number
  readonly slots: number
  readonly parallelism: number
  readonly stages: readonly StageManifest[]
  /** What it means for loops whose input has ended. */
  readonly loops?: readonly LoopStep[]
  readonly sources: readonly { readonly name: string; readonly partitions: readonly PartitionPosition[] }[]
  /** Every outbox not yet known to be published. */
  readonly outboxes: readonly OutboxRef[]
  /** Slots that have ever been written, with what is known to be published. */
  readonly ledgers: readonly {
    readonly sink: string
    readonly stage: string
    readonly slot: number
    readonly epoch: number
    readonly chunk: number
  }[]
}

/** It is one of that name, or there was one before it. */
export function hasSavepoint(manifest: Manifest | undefined, name: string): boolean {
  if (manifest === undefined) return false
  return manifest.savepointNames.includes(name) || manifest.savepoints.some(each => each.name === name)
}

/** Every partition had been read to its end. */
export function inputEnded({ sources }: Manifest): boolean {
  return sources.every(({ partitions }) => partitions.every(({ finished }) => finished))
}

export function encodeManifest(manifest: Manifest): { readonly bytes: Uint8Array; readonly hash: string } {
  const bytes = new TextEncoder().encode(JSON.stringify(manifest))
  return { bytes, hash: sha256Hex(bytes) }
}

/** Verifies the hash that the decision names, then the format. */
export function decodeManifest(bytes: Uint8Array, hash: string, name: string): Manifest {
  if (sha256Hex(bytes) !== hash)
    throw new CodedError('CORRUPT', `manifest "${name}": its SHA-256 is not the decided one`)
  let manifest: Manifest | null
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes)) as Manifest
  } catch (cause) {
    throw new CodedError('CORRUPT', `manifest "${name}" is no JSON`, { cause })
  }
  if (typeof manifest !== 'object' || !Number.isSafeInteger(manifest?.format))
    throw new CodedError('CORRUPT', `"${name}" is no manifest`)
  if (manifest.format > manifestFormat)
    throw new CodedError(
      'FORMAT_NEWER',
      `manifest "${name}" is of format ${manifest.format}; this Cairn reads up to ${manifestFormat}`
    )
  if (manifest.format < manifestFormat)
    throw new CodedError(
      'FORMAT_OLDER',
      `manifest "${name}" is of format ${manifest.format}; this Cairn reads format ${manifestFormat}`
    )
  const lists = ['savepointNames', 'savepoints', 'stages', 'sources', 'outboxes', 'ledgers'] as const
  const numbers = ['lineage', 'generation', 'epoch', 'keyGroups', 'slots', 'parallelism'] as const
  const wrong = [
    ...lists.filter(field => !Array.isArray(manifest[field])),
    ...numbers.filter(field => !Number.isSafeInteger(manifest[field]))
  ]
  if (wrong.length > 0) throw new CodedError('CORRUPT', `manifest "${name}" has no ${wrong.join(', ')}`)
  return manifest
}
