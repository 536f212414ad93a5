/** Tells when the latency goal of a job cannot be kept, and when it can be again; not of each checkpoint. */
import type { PaceGauges } from '../runtime/core/checkpoint-pace.ts'

export class LatencyNews {
  private kept = true

  /** @param pace undefined: somebody else leads now. Answers what is new, once. */
  look(pace: PaceGauges | undefined): { readonly kept: boolean; readonly text: string } | undefined {
    const goal = pace?.goal
    const kept = goal?.kept ?? true
    if (kept === this.kept) return undefined
    this.kept = kept
    if (pace === undefined || goal === undefined) return undefined
    const { latencyMs, share, expectedMs } = goal
    if (kept) return { kept, text: `the latency goal of ${latencyMs} ms is kept again` }
    return {
      kept,
      text: `the latency goal of ${latencyMs} ms cannot be kept: output is up to ${Math.round(expectedMs)} ms late. Checkpoints come each ${Math.round(pace.intervalMs)} ms, for what they take and their share of ${share}; look what makes them slow, or allow them more`
    }
  }
}
