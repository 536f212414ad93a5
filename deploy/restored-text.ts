/** What a beginning generation used again of the local store and what it read of the checkpoint, in a line for people. */
import type { Amount, Restored } from '../runtime/core/worker-gauges.ts'

const amount = ({ records, bytes }: Amount): string => `${records} records, ${(bytes / 1e6).toFixed(1)} MB`

/** Undefined: there was nothing to restore. */
export function restoredText(restored: Restored): string | undefined {
  const { kept, caughtUp, fetched, changes, whole, refused, durationMs } = restored
  if (kept + caughtUp + whole.records + refused.length === 0) return undefined
  const parts = [
    `parts kept ${kept}`,
    `caught up ${caughtUp}${caughtUp === 0 ? '' : ` (${amount(changes)})`}`,
    `fetched ${fetched}${fetched === 0 ? '' : ` (${amount(whole)})`}`
  ]
  const why = refused.length === 0 ? '' : `; not kept: ${refused.join('; ')}`
  return `state restored in ${(durationMs / 1000).toFixed(1)} s: ${parts.join(', ')}${why}`
}
