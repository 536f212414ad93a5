/**
 * What the world is told of the sources is true: each position is one of a decided checkpoint, no earlier than its decision; it never goes
 * back; and when the job has ended, while nothing was in the way, it is that of the last checkpoint.
 */
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type RunEvidence, type Violation } from './evidence.ts'

/** Less than a job that has ended goes on telling what it could not tell. */
const triesMs = 5_000

export class ToldPositions implements CheckpointVisitor {
  private readonly evidence: RunEvidence
  private readonly decidedAt = new Map<number, number>()
  /** When each position of a partition was first decided, by partition. */
  private readonly known = new Map<string, Map<number, number>>()
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
        const positions = this.known.get(key) ?? new Map<number, number>()
        this.known.set(key, positions)
        if (!positions.has(position)) positions.set(position, atMs)
        this.last.set(key, position)
      }
  }

  end(): Violation[] {
    const { told, finished, calmFromMs } = this.evidence
    if (told === undefined) return []
    const found: Violation[] = []
    const newest = new Map<string, number>()
    for (const { source, partition, position, atMs } of told) {
      const key = `source "${source}", partition ${partition}`
      const decidedAt = this.known.get(key)?.get(position)
      if (decidedAt === undefined) found.push(`${key}: ${position} was told, which is of no decided checkpoint`)
      else if (decidedAt > atMs)
        found.push(`${key}: ${position} was told at ${atMs} ms, before it was decided at ${decidedAt} ms`)
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
