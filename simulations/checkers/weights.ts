/**
 * Weight is neither made nor lost (S2, S5): at every decided checkpoint, what state, timers, windows and recorded messages hold, and
 * what was put into outboxes so far, is what the records before it brought. Needs no order of events, so it holds with messages in
 * flight too.
 */
import { deadLettersName } from '../../runtime/core/topology.ts'
import type { Item, Row } from '../workload/program.ts'
import type { CheckpointStep, CheckpointVisitor, StageView } from './checkpoint-walk.ts'
import { few, type Evidence, type Violation } from './evidence.ts'
import { recordsBefore } from './positions.ts'
import { weightOf } from './state-text.ts'

const decoder = new TextDecoder()

export class Weights implements CheckpointVisitor {
  private readonly evidence: Evidence
  private readonly violations: Violation[] = []
  /** By stage, by key. */
  private readonly held: Map<string, number>[]
  private inState = 0
  private out = 0
  /** Of the first n records of each partition. */
  private readonly prefixes: number[][][]

  constructor(evidence: Evidence) {
    this.evidence = evidence
    const { shape, inputs } = evidence.workload
    this.held = shape.stages.map(() => new Map<string, number>())
    this.prefixes = inputs.map(partitions =>
      partitions.map(records => {
        let sum = 0
        return [0, ...records.map(({ record }) => (sum += record?.w ?? 0))]
      })
    )
  }

  visit(step: CheckpointStep): void {
    for (const view of step.stages) this.weigh(view)
    for (const { sink, records } of step.outbox) for (const { value } of records) this.out += outputWeight(sink, value)
    let recorded = 0
    for (const view of step.stages) for (const item of view.recorded.values()) recorded += item.w
    const before = recordsBefore(this.evidence, step.manifest)
    let brought = 0
    this.prefixes.forEach((partitions, source) =>
      partitions.forEach(
        (sums, partition) => (brought += sums[Math.min(before(source, partition), sums.length - 1)] ?? 0)
      )
    )
    const found = this.inState + this.out + recorded
    if (found !== brought)
      this.violations.push(
        `checkpoint ${step.manifest.epoch}: state holds ${this.inState}, outboxes got ${this.out}, ${recorded} is in flight: ${found} in all; the records before it brought ${brought}`
      )
  }

  end(): Violation[] {
    return few(this.violations)
  }

  private weigh(view: StageView): void {
    const held = this.held[view.shape.index] as Map<string, number>
    for (const key of view.changed) {
      const w = weightOf(view.shape, view.stateOf(key))
      this.inState += w - (held.get(key) ?? 0)
      held.set(key, w)
    }
  }
}

/** Of a row, or of the event in a dead letter. */
function outputWeight(sink: string, value: Uint8Array | undefined): number {
  const row = JSON.parse(decoder.decode(value)) as Row & { readonly event?: string | Item }
  if (sink !== deadLettersName) return row.w
  return typeof row.event === 'object' ? row.event.w : 0
}
