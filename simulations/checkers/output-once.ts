/**
 * Exactly-once output (S1): what each slot of a sink got is the concatenation of its outbox over the decided epochs, chunk for chunk and
 * byte for byte: no duplicate, no gap, nothing else.
 */
import { encodeHeaders } from '../../runtime/kernel/record-header.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { CheckpointStep, CheckpointVisitor, OutboxPart } from './checkpoint-walk.ts'
import { few, isSeal, slotText, type RunEvidence, type Publication, type Violation } from './evidence.ts'

export class OutputOnce implements CheckpointVisitor {
  private readonly evidence: RunEvidence
  private readonly parts = new Map<string, OutboxPart[]>()

  constructor(evidence: RunEvidence) {
    this.evidence = evidence
  }

  visit({ outbox }: CheckpointStep): void {
    for (const part of [...outbox].sort((a, b) => a.epoch - b.epoch || a.chunk - b.chunk)) {
      const name = slotText(part)
      const list = this.parts.get(name)
      if (list === undefined) this.parts.set(name, [part])
      else list.push(part)
    }
  }

  end(): Violation[] {
    const published = new Map<string, Publication[]>()
    for (const publication of this.evidence.publications) {
      const name = slotText(publication.slot)
      const list = published.get(name) ?? []
      published.set(name, list)
      const { entry, records } = publication
      if ((records.length > 0 || entry.epoch > 0) && !isSeal(list.at(-1), publication)) list.push(publication)
    }
    const names = new Set([...published.keys(), ...this.parts.keys()])
    return few([...names].flatMap(name => this.slot(name, this.parts.get(name) ?? [], published.get(name) ?? [])))
  }

  private slot(name: string, parts: readonly OutboxPart[], got: readonly Publication[]): Violation[] {
    for (const [i, { entry, records: unordered }] of got.entries()) {
      const records = byPartition(unordered)
      const part = parts[i]
      const found = `epoch ${entry.epoch}, chunk ${entry.chunk} with ${records.length} records`
      if (part === undefined)
        return [`${name}: publication ${i} is ${found}, which no checkpoint decided, or not again`]
      const expected = `epoch ${part.epoch}, chunk ${part.chunk} with ${part.records.length} records`
      if (part.epoch !== entry.epoch || part.chunk !== entry.chunk || part.records.length !== records.length)
        return [`${name}: publication ${i} is ${found}; decided is ${expected}`]
      const decided = byPartition(part.records)
      const differs = decided.findIndex((record, at) => !same(record, records[at] as OutputRecord))
      if (differs >= 0)
        return [
          `${name}: record ${differs} of ${found} is ${show(records[differs])}; decided is ${show(decided[differs])}`
        ]
    }
    if ((this.evidence.finished || this.evidence.ended === true) && got.length < parts.length) {
      const lost = parts[got.length] as OutboxPart
      return [
        `${name}: epoch ${lost.epoch}, chunk ${lost.chunk} with ${lost.records.length} records was never published`
      ]
    }
    return []
  }
}

/** A log keeps the order within a partition, and no other. */
function byPartition(records: readonly OutputRecord[]): OutputRecord[] {
  return [...records].sort((a, b) => a.partition - b.partition)
}

function same(a: OutputRecord, b: OutputRecord): boolean {
  return (
    a.partition === b.partition &&
    a.timestamp === b.timestamp &&
    sameBytes(a.key, b.key) &&
    sameBytes(a.value, b.value) &&
    sameBytes(encodeHeaders(a.headers), encodeHeaders(b.headers))
  )
}
function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
function show(record: OutputRecord | undefined): string {
  return record?.value === undefined ? 'nothing' : new TextDecoder().decode(record.value).slice(0, 200)
}
