/**
 * Every decided checkpoint is a consistent cut (S2, S5): its state, and what it added to the outboxes, are precisely the effect of the
 * records before the positions that its manifest names, with the timers and windows that its watermarks have reached. The last one
 * of a run that finished is the final state.
 *
 * Of a checkpoint that recorded messages under way it says nothing, but the next one without has to make up for it. Of a job whose
 * loops may arm timers behind the watermark it says nothing; `weights.ts` looks at all.
 */
import { rowText, type Item, type Row } from '../workload/program.ts'
import type { Model } from '../workload/model.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import { recordsBefore } from './positions.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Evidence, type Violation } from './evidence.ts'
import { stateText } from './state-text.ts'

const decoder = new TextDecoder()

export class ConsistentCut implements CheckpointVisitor {
  private readonly evidence: Evidence
  private readonly model: Model
  private readonly violations: Violation[] = []
  private readonly taken = new Map<string, number>()
  /** Since the last checkpoint that was compared. */
  private readonly changed: Set<string>[]
  private added = new Map<string, string[]>()
  private over = false

  constructor(evidence: Evidence) {
    this.evidence = evidence
    this.model = evidence.workload.model()
    this.over = evidence.workload.shape.lateTimers
    this.changed = evidence.workload.shape.stages.map(() => new Set<string>())
  }

  visit(step: CheckpointStep): void {
    if (this.over) return
    for (const { sink, records } of step.outbox)
      for (const { value } of records) append(this.added, sink, outputText(sink, value))
    for (const { shape, changed } of step.stages) for (const key of changed) this.changed[shape.index]?.add(key)
    if (step.stages.some(({ recorded }) => recorded.size > 0)) return
    const { shape } = this.evidence.workload
    this.model.feed(recordsBefore(this.evidence, step.manifest))
    this.model.settle((stage, key) => step.stages[stage.index]?.watermarkOf(key, shape) ?? -Infinity)
    const found = [...this.states(step), ...this.outputs()]
    this.violations.push(...few(found).map(text => `checkpoint ${step.manifest.epoch}: ${text}`))
    // What follows from a wrong cut is wrong too, and tells nothing.
    this.over = found.length > 0
  }

  end(): Violation[] {
    return this.violations
  }

  private states({ stages }: CheckpointStep): Violation[] {
    const found: Violation[] = []
    for (const view of stages) {
      const { index } = view.shape
      const keys = new Set([...this.model.takeTouched(index), ...(this.changed[index] ?? [])])
      this.changed[index]?.clear()
      for (const key of keys) {
        const expected = this.model.stateOf(index, key)
        const stored = stateText(view.shape, view.stateOf(key))
        if (expected !== stored)
          found.push(
            `stage "${view.shape.name}", key ${key} is ${stored ?? 'absent'}; the records before it make it ${expected ?? 'absent'}`
          )
      }
    }
    return found
  }

  private outputs(): Violation[] {
    const found: Violation[] = []
    const { added } = this
    this.added = new Map()
    for (const { name, delivery } of this.evidence.workload.shape.sinks)
      if (delivery === 'exactly-once')
        found.push(
          ...difference(name, this.next(name, this.model.rows.get(name) ?? [], rowText), added.get(name) ?? [])
        )
    const letters = this.next(
      deadLettersName,
      this.model.letters,
      ({ stage, key, event }) => `${stage}|${key ?? ''}|${event}`
    )
    found.push(...difference(deadLettersName, letters, added.get(deadLettersName) ?? []))
    return found
  }

  /** What the model made since the checkpoint before. */
  private next<T>(name: string, all: readonly T[], text: (each: T) => string): string[] {
    const from = this.taken.get(name) ?? 0
    this.taken.set(name, all.length)
    return all.slice(from).map(text)
  }
}

function append(lists: Map<string, string[]>, name: string, text: string): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, [text])
  else list.push(text)
}

/** A row of a sink, or a dead letter, as the model writes it. */
export function outputText(sink: string, value: Uint8Array | undefined): string {
  if (sink !== deadLettersName) return rowText(JSON.parse(decoder.decode(value)) as Row)
  const { stage, key, event } = JSON.parse(decoder.decode(value)) as {
    readonly stage: string
    readonly key?: string
    readonly event: string | Item
  }
  return `${stage}|${key ?? ''}|${typeof event === 'string' ? event : event.id}`
}

/** Of two multisets. */
export function difference(sink: string, expected: readonly string[], got: readonly string[]): Violation[] {
  const counts = new Map<string, number>()
  for (const text of expected) counts.set(text, (counts.get(text) ?? 0) + 1)
  for (const text of got) counts.set(text, (counts.get(text) ?? 0) - 1)
  const found: Violation[] = []
  for (const [text, n] of counts)
    if (n > 0) found.push(`sink "${sink}" lacks ${times(n)}${text}`)
    else if (n < 0) found.push(`sink "${sink}" has ${times(-n)}${text} too much`)
  return found
}

const times = (n: number): string => (n === 1 ? '' : `${n} × `)
