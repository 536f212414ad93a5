/**
 * What may be deleted, as a complete plan before anything is. Deleting = state and outbox files first, manifests last, so that a
 * crash in between never leaves a manifest without its files.
 *
 * Invariants (S14)
 * 1. Nothing that a retained manifest names is deleted, nor the manifest.
 * 2. Savepoints are retained until they are dropped.
 * 3. An object of an epoch above the newest decided one may belong to a decision under way: it is left alone.
 */
import type { Manifest } from './manifest.ts'

/** Checkpoints kept besides savepoints: an older one serves when the newest turns out to be damaged. More: so much more is stored. */
export const retainedCheckpoints = 3

export interface Retained {
  /** Object name of the manifest. */
  readonly name: string
  readonly manifest: Manifest
}

export interface RetentionPlan {
  readonly files: readonly string[]
  readonly manifests: readonly string[]
}

export function filesOf(manifest: Manifest): string[] {
  return [
    ...manifest.stages.flatMap(stage => stage.files.map(file => file.name)),
    ...manifest.outboxes.map(ref => ref.file.name)
  ]
}

/**
 * @param retained newest first or last, savepoints included
 * @param stored object names that exist: state files, outboxes, manifests
 * @param epochOf epoch in an object's name, undefined for strays (deleted)
 */
export function planRetention(
  retained: readonly Retained[],
  stored: { readonly files: readonly string[]; readonly manifests: readonly string[] },
  epochOf: (name: string) => number | undefined
): RetentionPlan {
  const head = Math.max(0, ...retained.map(each => each.manifest.epoch))
  const kept = new Set(retained.flatMap(each => [each.name, ...filesOf(each.manifest)]))
  const gone = (name: string): boolean => !kept.has(name) && (epochOf(name) ?? 0) <= head
  return { files: stored.files.filter(gone), manifests: stored.manifests.filter(gone) }
}
