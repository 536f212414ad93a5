/**
 * What was late stays late: each event of the stage of strays is in one window or told late, once; no window fires twice, but for each
 * event that comes while it is still kept, and then with all that it had; an event read after a checkpoint whose watermark had gone
 * past that is late, and none is late that no watermark can have left behind.
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
    const fired = new Map<string, readonly string[]>()
    const count = (id: string, where: string): void => {
      const other = counted.get(id)
      if (other !== undefined) found.push(`event ${id} came out twice: ${other} and ${where}`)
      counted.set(id, where)
    }
    for (const [value, sink] of this.outputs(strays))
      if (sink === strays.lateSink) count((JSON.parse(value) as { readonly id: string }).id, 'late')
      else {
        const { key, start, end, firing, ids } = JSON.parse(value) as StrayWindow
        const window = `the window of key ${key} from ${start} to ${end}`
        const before = fired.get(window)
        if (firing === 'late' ? strays.latenessMs === 0 : before !== undefined)
          found.push(`${window} fired ${before === undefined ? '' : 'twice, '}${firing}`)
        else if (firing === 'late' && ids.length !== (before?.length ?? 0) + 1)
          found.push(`${window} fired late with ${ids.length} events, after ${before?.length ?? 0}`)
        fired.set(window, ids)
        const known = new Set(before)
        for (const id of ids) if (!known.delete(id)) count(id, window)
        if (known.size > 0) found.push(`${window} fired again without ${[...known].join(', ')}`)
      }
    this.evidence.workload.inputs[strays.source]?.forEach((records, partition) =>
      records.forEach(({ record }, i) => {
        if (record === undefined) return
        const id = `${partition}/${i}`
        const where = counted.get(id)
        if (where === undefined) {
          if (this.evidence.finished) found.push(`event ${id} is in no window, and was not told late`)
        } else if (where !== 'late') found.push(...this.counted(strays, record, partition, i, where))
        else found.push(...this.mayBeLate(strays, record, partition, i))
      })
    )
    return found
  }

  private counted(strays: StraysShape, record: SourceRecord, partition: number, i: number, where: string): Violation[] {
    const until = keptUntil(strays, record)
    const last = this.checkpoints.findLast(({ before }) => before(partition) <= i)
    const watermark = last?.watermarkOf(record.key) ?? -Infinity
    return watermark < until
      ? []
      : [
          `event ${partition}/${i} is in ${where}, though it was read after checkpoint ${last?.epoch}, whose watermark was ${watermark}`
        ]
  }

  /** A watermark is behind the greatest time of each partition that has not ended, by the bound. */
  private mayBeLate(strays: StraysShape, record: SourceRecord, partition: number, i: number): Violation[] {
    const { inputs, shape } = this.evidence.workload
    const before = inputs[strays.source]?.[partition]?.slice(0, i) ?? []
    const greatest = before.reduce((most, each) => Math.max(most, each.timestamp), -Infinity)
    const most = greatest - (shape.sources[strays.source]?.boundMs ?? 0)
    const until = keptUntil(strays, record)
    return until <= most
      ? []
      : [
          `event ${partition}/${i} was told late, though its window is kept until ${until} and no watermark is above ${most}`
        ]
  }

  private *outputs({ sink, lateSink }: StraysShape): Generator<[string, string]> {
    for (const { slot, records } of this.evidence.publications)
      if (slot.sink === sink || slot.sink === lateSink)
        for (const { value } of records) yield [decoder.decode(value), slot.sink]
  }
}

/** When the window of an event is given up. */
const keptUntil = ({ sizeMs, latenessMs }: StraysShape, { at }: SourceRecord): number =>
  Math.floor(at / sizeMs) * sizeMs + sizeMs + latenessMs

function watermarkOf(manifest: Manifest, stage: string, key: string): number {
  const stored = manifest.stages.find(({ name }) => name === stage)
  if (stored?.finished === true) return Infinity
  return stored?.watermarks[keyGroupOf(encodeKey(key), manifest.keyGroups) % manifest.slots] ?? -Infinity
}
