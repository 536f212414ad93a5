/** Every output carries the trace context of the event that caused it, and of no other; those of timers and windows carry none. */
import { deadLettersName } from '../../runtime/core/topology.ts'
import { traceOf } from '../../runtime/kernel/trace-context.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { rowText } from '../workload/program.ts'
import { answerOf } from './answer.ts'
import { outputText } from './consistent-cut.ts'
import { few, type Evidence, type Violation } from './evidence.ts'

/** By text of the output; some texts come more than once. */
type Expected = Map<string, Set<string>>

export function outputTraces(evidence: Evidence): Violation[] {
  const { workload, publications, loose } = evidence
  const model = answerOf(workload)
  const expected = new Map<string, Expected>()
  for (const { name } of workload.shape.sinks) {
    const traces = model.traces.get(name) ?? []
    expected.set(name, expectedOf((model.rows.get(name) ?? []).map((row, i) => [rowText(row), traces[i] ?? ''])))
  }
  const letters = model.letters.map(
    ({ stage, key, event, trace }) => [`${stage}|${key ?? ''}|${event}`, trace] as const
  )
  expected.set(deadLettersName, expectedOf(letters))
  const found: Violation[] = []
  for (const { slot, records } of publications) found.push(...compare(slot.sink, expected.get(slot.sink), records))
  for (const [sink, records] of loose) found.push(...compare(sink, expected.get(sink), records))
  return few(found)
}

function expectedOf(outputs: readonly (readonly [text: string, trace: string])[]): Expected {
  const expected: Expected = new Map()
  for (const [text, trace] of outputs) {
    const known = expected.get(text)
    if (known === undefined) expected.set(text, new Set([trace]))
    else known.add(trace)
  }
  return expected
}

/** Whether the outputs are the right ones, others ask. */
function compare(sink: string, expected: Expected | undefined, records: readonly OutputRecord[]): Violation[] {
  if (expected === undefined) return []
  const found: Violation[] = []
  for (const { value, headers } of records) {
    const text = outputText(sink, value)
    const traces = expected.get(text)
    const trace = traceOf(headers)
    if (traces === undefined || traces.has(trace)) continue
    found.push(`sink "${sink}": ${text} carries "${trace}", not "${[...traces].join('" or "')}"`)
  }
  return found
}
