/**
 * What was late stays late: each event of the stage of strays is in one window or told late, once; no window fires twice; and an event
 * read after a checkpoint whose watermark had reached the end of its window is late.
 */
import type { SourceRecord, StrayWindow } from '../workload/program.ts'
import type { StraysShape } from '../workload/shape.ts'
import { encodeKey, keyGroupOf } from '../../runtime/kernel/keys.ts'
import type { Manifest } from '../../checkpoint/manifest.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Evidence, type Violation } from './evidence.ts'
import { recordsBefore } from './positions.ts'

const decoder = new TextDecoder()

export class Strays implements CheckpointVisitor {
  private readonly evidence: Evidence
  private readonly checkpoints: {
    readonly epoch: number
    readonly before: (partition: number) => number
    readonly watermarkOf: (key: string) => number
  }[] = []

  constructor(evidence: Evidence) {
    this.evidence = evidence
  }

  visit({ manifest }: CheckpointStep): void {
    const { strays } = this.evidence.workload.shape
    if (strays === undefined) return
    const before = recordsBefore(this.evidence, manifest)
    this.checkpoints.push({
      epoch: manifest.epoch,
      before: partition => before(strays.source, partition),
      watermarkOf: key => watermarkOf(manifest, strays.name, key)
    })
  }

  end(): Violation[] {
    const { strays } = this.evidence.workload.shape
    return strays === undefined ? [] : few(this.problems(strays))
  }

  private problems(strays: StraysShape): Violation[] {
    const found: Violation[] = []
    /** By id: where it came out. */
    const counted = new Map<string, string>()
    const fired = new Set<string>()
    const count = (id: string, where: string): void => {
      const other = counted.get(id)
      if (other !== undefined) found.push(`event ${id} came out twice: ${other} and ${where}`)
      counted.set(id, where)
    }
    for (const [value, sink] of this.outputs(strays))
      if (sink === strays.lateSink) count((JSON.parse(value) as { readonly id: string }).id, 'late')
      else {
        const { key, start, end, ids } = JSON.parse(value) as StrayWindow
        const window = `the window of key ${key} from ${start} to ${end}`
        if (fired.has(window)) found.push(`${window} fired twice`)
        fired.add(window)
        for (const id of ids) count(id, window)
      }
    this.evidence.workload.inputs[strays.source]?.forEach((records, partition) =>
      records.forEach(({ record }, i) => {
        if (record === undefined) return
        const id = `${partition}/${i}`
        const where = counted.get(id)
        if (where === undefined) {
          if (this.evidence.finished) found.push(`event ${id} is in no window, and was not told late`)
        } else if (where !== 'late') found.push(...this.counted(strays, record, partition, i, where))
      })
    )
    return found
  }

  private counted(strays: StraysShape, record: SourceRecord, partition: number, i: number, where: string): Violation[] {
    const end = Math.floor(record.at / strays.sizeMs) * strays.sizeMs + strays.sizeMs
    const last = this.checkpoints.findLast(({ before }) => before(partition) <= i)
    const watermark = last?.watermarkOf(record.key) ?? -Infinity
    return watermark < end
      ? []
      : [
          `event ${partition}/${i} is in ${where}, though it was read after checkpoint ${last?.epoch}, whose watermark was ${watermark}`
        ]
  }

  private *outputs({ sink, lateSink }: StraysShape): Generator<[string, string]> {
    for (const { slot, records } of this.evidence.publications)
      if (slot.sink === sink || slot.sink === lateSink)
        for (const { value } of records) yield [decoder.decode(value), slot.sink]
  }
}

function watermarkOf(manifest: Manifest, stage: string, key: string): number {
  const stored = manifest.stages.find(({ name }) => name === stage)
  if (stored?.finished === true) return Infinity
  return stored?.watermarks[keyGroupOf(encodeKey(key), manifest.keyGroups) % manifest.slots] ?? -Infinity
}
