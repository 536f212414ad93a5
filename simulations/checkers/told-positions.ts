/**
 * What the world is told of the sources is true: each position is one of a decided checkpoint, no earlier than its decision, and not along
 * with the output of an older one; it never goes back; and when the job has ended, while nothing was in the way, it is that of the last checkpoint.
 */
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type RunEvidence, type Violation } from './evidence.ts'

/** Less than a job that has ended goes on telling what it could not tell. */
const triesMs = 5_000

export class ToldPositions implements CheckpointVisitor {
  private readonly evidence: RunEvidence
  private readonly decidedAt = new Map<number, number>()
  /** Which epoch each position of a partition was first decided with, and when, by partition. */
  private readonly known = new Map<string, Map<number, { readonly epoch: number; readonly atMs: number }>>()
  private readonly last = new Map<string, number>()
  private endedAt = -Infinity

  constructor(evidence: RunEvidence) {
    this.evidence = evidence
    for (const { decision, atMs } of evidence.decisions)
      if (decision.kind === 'completed') this.decidedAt.set(decision.epoch, atMs)
  }

  visit({ manifest, completed }: CheckpointStep): void {
    const atMs = this.decidedAt.get(completed.epoch) ?? Infinity
    this.endedAt = atMs
    for (const { name, partitions } of manifest.sources)
      for (const { partition, position } of partitions) {
        const key = `source "${name}", partition ${partition}`
        const positions = this.known.get(key) ?? new Map<number, { epoch: number; atMs: number }>()
        this.known.set(key, positions)
        if (!positions.has(position)) positions.set(position, { epoch: completed.epoch, atMs })
        this.last.set(key, position)
      }
  }

  end(): Violation[] {
    const { told, finished, calmFromMs } = this.evidence
    if (told === undefined) return []
    const found: Violation[] = []
    const newest = new Map<string, number>()
    for (const { source, partition, position, atMs, along } of told) {
      const key = `source "${source}", partition ${partition}`
      const first = this.known.get(key)?.get(position)
      if (first === undefined) found.push(`${key}: ${position} was told, which is of no decided checkpoint`)
      else if (first.atMs > atMs)
        found.push(`${key}: ${position} was told at ${atMs} ms, before it was decided at ${first.atMs} ms`)
      else if (along !== undefined && along < first.epoch)
        found.push(`${key}: ${position} of epoch ${first.epoch} was told along with the output of epoch ${along}`)
      const before = newest.get(key)
      if (before !== undefined && position < before) found.push(`${key}: ${position} was told after ${before}`)
      newest.set(key, position)
    }
    if (finished && this.endedAt + triesMs >= (calmFromMs ?? 0))
      for (const [key, position] of this.last)
        if (newest.get(key) !== position)
          found.push(`${key}: the job has ended at ${position}, and what was told last is ${newest.get(key)}`)
    return few(found)
  }
}
