/**
 * Timers and alarms fire once: no actor ever saw one that it had not armed; at every checkpoint each one that an actor counts on is
 * stored with it, at its time, and no other; none is over that its watermark has passed.
 */
import type { ActorFields } from '../workload/normal-state.ts'
import type { CheckpointStep, CheckpointVisitor, KeyState, StageView } from './checkpoint-walk.ts'
import { few, type Evidence, type Violation } from './evidence.ts'

export class TimersOnce implements CheckpointVisitor {
  private readonly evidence: Evidence
  private readonly violations: Violation[] = []
  private last: readonly StageView[] = []

  constructor(evidence: Evidence) {
    this.evidence = evidence
  }

  visit({ manifest, stages }: CheckpointStep): void {
    this.last = stages
    for (const view of stages)
      if (view.shape.kind === 'actor')
        for (const key of view.changed)
          for (const text of this.problems(view, key))
            this.violations.push(`checkpoint ${manifest.epoch}, stage "${view.shape.name}", key ${key}: ${text}`)
  }

  end(): Violation[] {
    return few([...this.violations, ...this.rang()])
  }

  private problems(view: StageView, key: string): string[] {
    const state = view.stateOf(key)
    if (state?.fields === undefined) return []
    const { violation, pending, alarms } = state.fields as unknown as ActorFields
    const found: string[] = violation === '' ? [] : [violation]
    const watermark = view.watermarkOf(key, this.evidence.workload.shape)
    for (const [name, { at }] of pending) {
      if (!stored(state, 'event', name, at)) found.push(`timer ${name} of ${at} is not stored with it`)
      // On a cycle a timer may be armed behind the watermark, and fires with the next one.
      if (at <= watermark && !this.evidence.workload.shape.lateTimers)
        found.push(`timer ${name} of ${at} has not fired though the watermark is ${watermark}`)
    }
    for (const name of alarms.keys())
      if (!stored(state, 'wall', name)) found.push(`alarm ${name} is not stored with it`)
    for (const { clock, name, at } of state.timers)
      if (clock === 'event' ? pending.get(name)?.at !== at : !alarms.has(name))
        found.push(`${clock === 'event' ? 'timer' : 'alarm'} ${name} of ${at} is stored though it is not armed`)
    return found
  }

  /** What rang has told its sink once, and nothing else has. */
  private rang(): Violation[] {
    const { evidence } = this
    const { alarmSink } = evidence.workload.shape
    if (alarmSink === undefined || !evidence.finished) return []
    const told = new Map<string, number>()
    for (const { slot, records } of evidence.publications)
      if (slot.sink === alarmSink)
        for (const { value } of records) {
          const { id } = JSON.parse(new TextDecoder().decode(value)) as { readonly id: string }
          told.set(id, (told.get(id) ?? 0) + 1)
        }
    const found: Violation[] = []
    for (const view of this.last)
      for (const key of view.keys)
        for (const name of (view.stateOf(key)?.fields as Partial<ActorFields> | undefined)?.rang ?? []) {
          const times = told.get(name) ?? 0
          told.delete(name)
          if (times !== 1) found.push(`alarm ${name} of key ${key} rang, and sink "${alarmSink}" has it ${times} times`)
        }
    for (const name of told.keys()) found.push(`sink "${alarmSink}" has alarm ${name}, which no actor says rang`)
    return found
  }
}

function stored(state: KeyState, clock: 'event' | 'wall', name: string, at?: number): boolean {
  return state.timers.some(
    timer => timer.clock === clock && timer.name === name && (at === undefined || timer.at === at)
  )
}
