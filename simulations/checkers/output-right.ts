/** What came out in all is what the model says, per sink; of an at-least-once sink, each row once or more. */
import { rowText, type Row } from '../workload/program.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import { difference, outputText } from './consistent-cut.ts'
import { answerOf } from './answer.ts'
import { few, type Evidence, type Violation } from './evidence.ts'

export function outputRight(evidence: Evidence): Violation[] {
  if (!evidence.finished) return []
  const { workload, publications, loose } = evidence
  const model = answerOf(workload)
  const found: Violation[] = []
  for (const { name, delivery } of workload.shape.sinks) {
    const expected = (model.rows.get(name) ?? []).map(rowText)
    if (delivery === 'exactly-once') {
      const got = publications
        .filter(({ slot }) => slot.sink === name)
        .flatMap(({ records }) => records.map(({ value }) => outputText(name, value)))
      found.push(...difference(name, expected, got))
      continue
    }
    const got = new Set((loose.get(name) ?? []).map(({ value }) => outputText(name, value)))
    found.push(...difference(name, [...new Set(expected)], [...got]))
  }
  return few(found)
}

/** Each event that fails on purpose, and each malformed record, is one dead letter; nothing else is. */
export function deadLettersRight(evidence: Evidence): Violation[] {
  if (!evidence.finished) return []
  const expected = answerOf(evidence.workload).letters.map(({ stage, key, event }) => `${stage}|${key ?? ''}|${event}`)
  const got = evidence.publications
    .filter(({ slot }) => slot.sink === deadLettersName)
    .flatMap(({ records }) => records.map(({ value }) => outputText(deadLettersName, value)))
  return few(difference(deadLettersName, expected, got))
}

/** Rows of one producer (a key of a stage, a partition of a source) on one leg and of one key come out in the order in which it made them. */
export function outputInOrder(evidence: Evidence): Violation[] {
  const found: Violation[] = []
  const last = new Map<string, { readonly seq: number; readonly id: string }>()
  const { alarmSink, lateSink } = evidence.workload.shape
  for (const { slot, records } of evidence.publications) {
    if ([alarmSink, lateSink, deadLettersName].includes(slot.sink)) continue
    for (const { value } of records) {
      const { id, from, seq, key, leg } = JSON.parse(new TextDecoder().decode(value)) as Row
      if (from === '') continue
      const producer = `${slot.sink} ${from} ${leg} ${key}`
      const before = last.get(producer)
      if (before !== undefined && seq <= before.seq)
        found.push(
          `sink "${slot.sink}": row ${id} with number ${seq} of ${from} comes after row ${before.id} with number ${before.seq}`
        )
      last.set(producer, { seq, id })
    }
  }
  return few(found)
}
