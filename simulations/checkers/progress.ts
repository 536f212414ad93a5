/**
 * From one checkpoint to the next nothing goes back: no position, no watermark of a partition or of a slot, no end of a stage. A job
 * that is begun again after its final checkpoint, to publish what that left, may close its loops again.
 */
import type { Manifest } from '../../checkpoint/manifest.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Violation } from './evidence.ts'

export class Progress implements CheckpointVisitor {
  private readonly violations: Violation[] = []
  private readonly reached = new Map<string, number>()
  private final = false

  visit({ manifest }: CheckpointStep): void {
    if (this.final) this.reached.clear()
    this.final = manifest.final
    for (const [what, at] of placesOf(manifest)) {
      const before = this.reached.get(what) ?? -Infinity
      if (at < before) this.violations.push(`checkpoint ${manifest.epoch}: ${what} is ${at}, and was ${before} before`)
      this.reached.set(what, Math.max(at, before))
    }
  }

  end(): Violation[] {
    return few(this.violations)
  }
}

const timeOf = (watermark: number | null, ended: boolean): number => (ended ? Infinity : (watermark ?? -Infinity))

function* placesOf({ sources, stages }: Manifest): Generator<[string, number]> {
  for (const { name, partitions } of sources)
    for (const { partition, position, watermark, finished } of partitions) {
      yield [`the position of source "${name}", partition ${partition}`, position]
      yield [`the watermark of source "${name}", partition ${partition}`, timeOf(watermark, finished)]
    }
  for (const { name, watermarks, finished } of stages)
    for (const [slot, watermark] of watermarks.entries())
      yield [`the watermark of stage "${name}", slot ${slot}`, timeOf(watermark, finished)]
}
