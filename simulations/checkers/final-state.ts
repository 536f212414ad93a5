/** The state of the last checkpoint of a run that finished is the model's, for every stage and key. */
import type { CheckpointStep, CheckpointVisitor, StageView } from './checkpoint-walk.ts'
import { answerOf } from './answer.ts'
import { few, type Evidence, type Violation } from './evidence.ts'
import { stateText } from './state-text.ts'

export class FinalState implements CheckpointVisitor {
  private readonly evidence: Evidence
  private last: readonly StageView[] = []
  private final = false

  constructor(evidence: Evidence) {
    this.evidence = evidence
  }

  visit({ stages, manifest }: CheckpointStep): void {
    this.last = stages
    this.final = manifest.final
  }

  end(): Violation[] {
    if (!this.evidence.finished) return []
    if (!this.final) return ['the run finished, but its last checkpoint is not final']
    const model = answerOf(this.evidence.workload)
    return few(
      this.last.flatMap(view => {
        const { index, name } = view.shape
        return [...new Set([...model.keysOf(index), ...view.keys])].flatMap(key => {
          const expected = model.stateOf(index, key)
          const stored = stateText(view.shape, view.stateOf(key))
          return expected === stored
            ? []
            : [`at the end, stage "${name}", key ${key} is ${stored ?? 'absent'}; it must be ${expected ?? 'absent'}`]
        })
      })
    )
  }
}
