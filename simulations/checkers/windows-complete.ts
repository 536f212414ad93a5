/**
 * Windows are complete: none is open at a checkpoint whose watermark has reached its end, each fires once with all its events, and
 * nothing is late, since the input keeps within its bounds.
 */
import { rowText, type Row } from '../workload/program.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { answerOf } from './answer.ts'
import { few, type Evidence, type Violation } from './evidence.ts'
import { openEnds } from './state-text.ts'

export class WindowsComplete implements CheckpointVisitor {
  private readonly evidence: Evidence
  private readonly violations: Violation[] = []

  constructor(evidence: Evidence) {
    this.evidence = evidence
  }

  visit({ manifest, stages }: CheckpointStep): void {
    for (const view of stages) {
      if (view.shape.kind !== 'window') continue
      for (const key of view.keys) {
        const watermark = view.watermarkOf(key, this.evidence.workload.shape)
        for (const end of openEnds(view.shape, view.stateOf(key)))
          if (end <= watermark)
            this.violations.push(
              `checkpoint ${manifest.epoch}, stage "${view.shape.name}", key ${key}: the window to ${end} is open though the watermark is ${watermark}`
            )
      }
    }
  }

  end(): Violation[] {
    return few([...this.violations, ...this.results()])
  }

  private results(): Violation[] {
    const { workload, publications, finished } = this.evidence
    const { lateSink } = workload.shape
    const found: Violation[] = []
    const times = new Map<string, number>()
    for (const { slot, records } of publications)
      for (const { value } of records) {
        const text = new TextDecoder().decode(value)
        if (slot.sink === lateSink) found.push(`stage "${slot.stage}" found an event late: ${text}`)
        else if (text.includes('"agg"')) count(times, `${slot.sink} ${rowText(JSON.parse(text) as Row)}`, 1)
      }
    if (!finished) return found
    for (const [sink, rows] of answerOf(workload).rows)
      if (workload.shape.sinks.some(({ name, delivery }) => name === sink && delivery === 'exactly-once'))
        for (const row of rows) if (row.agg !== undefined) count(times, `${sink} ${rowText(row)}`, -1)
    for (const [text, n] of times)
      if (n !== 0)
        found.push(`a window's result came out ${n > 0 ? `${n} times too often` : `${-n} times too seldom`}: ${text}`)
    return found
  }
}

function count(times: Map<string, number>, text: string, n: number): void {
  times.set(text, (times.get(text) ?? 0) + n)
}
