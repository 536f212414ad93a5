/**
 * When the loops of a job end. A task of a loop cannot know it alone; a decided checkpoint can: its snapshots and recorded messages
 * are one consistent cut.
 *
 *   running ──── quiet, all tasks in one epoch ────► `timers`: the final watermark fires what is armed ──┐
 *                        ▲                                                                             │ may send again
 *                        └──────────────────────────────────────────────────────────────────────────────┘
 *           ──── quiet, no timer is armed behind the final watermark, no key is parked ────► `close`: the tasks end as others do
 *
 * Invariants
 * 1. A loop is closed only when in one decided epoch each of its tasks had seen the end of what leads into the loop, recorded no
 *    message, and had no event timer armed behind the final watermark and no key in quarantine. Alarms ring no more behind it, so nothing can begin again.
 * 2. An epoch that is not decided says nothing.
 */
import type { TaskAcknowledgement } from './acknowledgement.ts'

/** What a task of a loop says of itself in a snapshot. */
export interface LoopReport {
  /** Everything that leads into the loop has ended, and no message was under way to this task. */
  readonly quiet: boolean
  /** The final watermark has been carried out, and no event timer is armed. */
  readonly spent: boolean
  /** Keys of the task are in quarantine: what is released may begin the loop again. */
  readonly parked: boolean
}

/** What every task of these stages is to do once the epoch is decided, before the next begins. */
export interface LoopStep {
  readonly stages: readonly string[]
  readonly step: 'timers' | 'close'
}

/**
 * @param loops stages of each loop
 * @param acknowledgements of all tasks of all workers, for one epoch
 */
export function loopSteps(
  loops: readonly (readonly string[])[],
  acknowledgements: readonly Pick<TaskAcknowledgement, 'stage' | 'loop'>[]
): LoopStep[] {
  return loops.flatMap((stages): LoopStep[] => {
    const tasks = acknowledgements.filter(({ stage }) => stages.includes(stage))
    if (tasks.length === 0 || !tasks.every(({ loop }) => loop?.quiet === true)) return []
    if (!tasks.every(({ loop }) => loop?.spent === true)) return [{ stages, step: 'timers' }]
    return tasks.some(({ loop }) => loop?.parked === true) ? [] : [{ stages, step: 'close' }]
  })
}
