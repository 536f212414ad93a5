/**
 * Actors with a time to live are forgotten when it is over, by event time, and not before: at each checkpoint without messages under
 * way, each key holds what the events since it was last forgotten make it; every event was told with the count that it makes.
 */
import { defineActor } from '../../actors/definition.ts'
import { fleetingText, FleetingModel, type FleetingRow } from '../workload/fleeting.ts'
import type { FleetingShape } from '../workload/shape.ts'
import { StageView, type CheckpointStep, type CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Evidence, type Violation } from './evidence.ts'
import { recordsBefore } from './positions.ts'

export class Forgotten implements CheckpointVisitor {
  private readonly evidence: Evidence
  private readonly shape: FleetingShape | undefined
  private readonly violations: Violation[] = []
  private readonly parts: { readonly view: StageView<FleetingShape>; readonly model: FleetingModel } | undefined
  /** Keys to be compared at the next checkpoint that can be. */
  private readonly due = new Set<string>()

  constructor(evidence: Evidence) {
    this.evidence = evidence
    const { shape, job, inputs } = evidence.workload
    this.shape = shape.fleeting
    const node = job.plan.nodes.filter(each => each.kind === 'actor').find(({ name }) => name === shape.fleeting?.name)
    if (this.shape === undefined || node === undefined) return
    const view = new StageView(this.shape, defineActor(node.actor, node.name))
    this.parts = { view, model: new FleetingModel(this.shape, inputs) }
  }

  visit({ manifest }: CheckpointStep): void {
    if (this.parts === undefined || this.violations.length > 0) return
    const { view, model } = this.parts
    view.advance(manifest, file => this.evidence.readObject(file.name))
    for (const key of view.changed) this.due.add(key)
    if (view.recorded.size > 0) return
    for (const key of model.feed(recordsBefore(this.evidence, manifest))) this.due.add(key)
    for (const key of this.due) {
      const watermark = view.watermarkOf(key, this.evidence.workload.shape)
      const expected = model.stateOf(key, watermark)
      const fields = view.stateOf(key)?.fields as { readonly count: number; readonly hash: number } | undefined
      const stored = fields === undefined ? undefined : fleetingText(fields)
      if (expected !== stored)
        this.violations.push(
          `checkpoint ${manifest.epoch}, stage "${view.shape.name}", key ${key}: it holds ${stored ?? 'nothing'} at watermark ${watermark}; it must hold ${expected ?? 'nothing'}`
        )
      // What is forgotten is so until an event comes.
      if (stored === undefined) this.due.delete(key)
    }
  }

  end(): Violation[] {
    const { shape } = this
    return shape === undefined ? [] : few([...this.violations, ...this.told(shape)])
  }

  private told({ sink }: FleetingShape): Violation[] {
    const { finished, publications, workload } = this.evidence
    const model = new FleetingModel(this.shape as FleetingShape, workload.inputs)
    model.feed(() => Infinity)
    const found: Violation[] = []
    const told = new Set<string>()
    for (const { slot, records } of publications)
      for (const { value } of slot.sink === sink ? records : []) {
        const row = JSON.parse(new TextDecoder().decode(value)) as FleetingRow
        const expected = JSON.stringify(model.rows.get(row.id))
        if (JSON.stringify(row) !== expected)
          found.push(`sink "${sink}" has ${JSON.stringify(row)}; it must be ${expected}`)
        if (told.has(row.id)) found.push(`sink "${sink}" has event ${row.id} twice`)
        told.add(row.id)
      }
    if (finished) for (const id of model.rows.keys()) if (!told.has(id)) found.push(`sink "${sink}" lacks event ${id}`)
    return found
  }
}
