/**
 * Which state files of a stage to merge, as a pure plan (size-tiered, as in LSM trees: O'Neil et al., 1996).
 *
 * Invariants
 * 1. A run is contiguous in the order of application, so that later records go on winning.
 * 2. Tombstones are dropped only by a run that begins at the first file.
 */
import type { StateFileRef } from './manifest.ts'

/** Files merged at once: fewer rewrite too often, more make a restore read many. */
const tierWidth = 8
/** Deltas are folded into the base once they outgrow half of it; below this size a base is not worth rewriting. */
const smallestRebaseBytes = 64 * 1024

export interface Run {
  readonly from: number
  /** Exclusive. */
  readonly to: number
  /** The result is a base: nothing older exists. */
  readonly base: boolean
}

/** @param limit most files a stage may have before something is merged in any case */
export function planCompaction(
  files: readonly Pick<StateFileRef, 'sizeBytes' | 'base'>[],
  limit: number
): Run | undefined {
  if (files.length < 2) return undefined
  const firstDelta = files.findIndex(file => !file.base)
  const bases = firstDelta < 0 ? files.length : firstDelta
  const bytes = (from: number, to: number): number =>
    files.slice(from, to).reduce((sum, file) => sum + file.sizeBytes, 0)
  const deltaBytes = bytes(bases, files.length)
  if (files.length - bases >= tierWidth && deltaBytes > Math.max(smallestRebaseBytes, bytes(0, bases) / 2))
    return { from: 0, to: files.length, base: true }
  let from = files.length
  let run = 0
  while (
    from > bases &&
    (files[from - 1] as { sizeBytes: number }).sizeBytes <= Math.max(2 * run, smallestRebaseBytes)
  ) {
    from--
    run += (files[from] as { sizeBytes: number }).sizeBytes
  }
  if (files.length - from >= tierWidth) return { from, to: files.length, base: from === 0 }
  if (files.length - bases > limit) return { from: bases, to: files.length, base: bases === 0 }
  return undefined
}
