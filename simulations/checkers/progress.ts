/**
 * From one checkpoint to the next nothing goes back: no position, no watermark of a partition, none of a slot. A stage that has
 * finished is not looked at any more: nothing comes to it, and a new generation may close loops once more.
 */
import type { Manifest } from '../../checkpoint/manifest.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Violation } from './evidence.ts'

export class Progress implements CheckpointVisitor {
  private readonly violations: Violation[] = []
  private readonly reached = new Map<string, number>()
  private readonly finished = new Set<string>()

  visit({ manifest }: CheckpointStep): void {
    for (const { name, finished } of manifest.stages) if (finished) this.finished.add(name)
    for (const [what, at] of this.placesOf(manifest)) {
      const before = this.reached.get(what) ?? -Infinity
      if (at < before) this.violations.push(`checkpoint ${manifest.epoch}: ${what} is ${at}, and was ${before} before`)
      this.reached.set(what, Math.max(at, before))
    }
  }

  end(): Violation[] {
    return few(this.violations)
  }

  private *placesOf({ sources, stages }: Manifest): Generator<[string, number]> {
    for (const { name, partitions } of sources)
      for (const { partition, position, watermark, finished } of partitions) {
        yield [`the position of source "${name}", partition ${partition}`, position]
        const reached = finished ? Infinity : (watermark ?? -Infinity)
        yield [`the watermark of source "${name}", partition ${partition}`, reached]
      }
    for (const { name, watermarks } of stages)
      if (!this.finished.has(name))
        for (const [slot, watermark] of watermarks.entries())
          yield [`the watermark of stage "${name}", slot ${slot}`, watermark ?? -Infinity]
  }
}
