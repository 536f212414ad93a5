/** Event time never goes back: neither for the key groups of a slot nor for a partition, from one decided checkpoint to the next. */
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Violation } from './evidence.ts'

export class WatermarksMonotone implements CheckpointVisitor {
  private readonly violations: Violation[] = []
  private readonly reached = new Map<string, number>()

  visit({ manifest }: CheckpointStep): void {
    for (const { name, watermarks, finished } of manifest.stages)
      if (!finished) watermarks.forEach((time, slot) => this.see(manifest.epoch, `stage "${name}", slot ${slot}`, time))
    for (const { name, partitions } of manifest.sources)
      for (const { partition, watermark } of partitions)
        this.see(manifest.epoch, `source "${name}", partition ${partition}`, watermark)
  }

  end(): Violation[] {
    return few(this.violations)
  }

  private see(epoch: number, where: string, time: number | null): void {
    const now = time ?? -Infinity
    const before = this.reached.get(where) ?? -Infinity
    if (now < before)
      this.violations.push(`checkpoint ${epoch}: the watermark of ${where} went back from ${before} to ${now}`)
    this.reached.set(where, Math.max(now, before))
  }
}
