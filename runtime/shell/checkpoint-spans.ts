/** One span for each checkpoint of a leader, from the first trigger to its decision; told of each as often as one likes. */
import { epochHere, type Manifest } from '../../checkpoint/manifest.ts'
import type { CheckpointSpan, Tracing } from '../ports/telemetry.ts'

export class CheckpointSpans {
  private readonly job: string
  private readonly tracing: Tracing | undefined
  private generation = 0
  /** The newest epoch that was triggered in the generation. */
  private epoch = 0
  private open: CheckpointSpan | undefined

  constructor(job: string, tracing: Tracing | undefined) {
    this.job = job
    this.tracing = tracing
  }

  triggered(generation: number, epoch: number): void {
    if (this.tracing === undefined || (generation === this.generation && epoch <= this.epoch)) return
    this.open?.end('abandoned')
    this.generation = generation
    this.epoch = epoch
    this.open = this.tracing.checkpoint(this.job, generation, epoch)
  }

  abandoned(upTo: number): void {
    if (upTo >= this.epoch) this.end('abandoned')
  }

  completed(manifest: Manifest): void {
    if (manifest.epoch === this.epoch) this.end('completed', addedBytes(manifest))
  }

  private end(how: 'completed' | 'abandoned', sizeBytes?: number): void {
    this.open?.end(how, sizeBytes)
    this.open = undefined
  }
}

/** State that the checkpoint wrote itself. */
export function addedBytes({ stages, epoch }: Manifest): number {
  return stages.reduce(
    (sum, stage) => sum + stage.files.reduce((all, file) => all + (epochHere(file) === epoch ? file.sizeBytes : 0), 0),
    0
  )
}
