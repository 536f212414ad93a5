/**
 * Who runs what in one generation: tasks belong to workers, slots to tasks; key groups and source partitions follow their slot, in
 * every stage alike, so that stages are co-located and no slot ever has two owners.
 *
 * Invariants
 * 1. Every slot has one task, every task one worker.
 * 2. A slot stays with the worker that had it unless that worker is gone or has more than its share (sticky).
 */
import { assert } from '../kernel/errors.ts'

export interface Assignment {
  /** Worker that runs task *i* of every stage. */
  readonly tasks: readonly string[]
  /** Task of each slot. */
  readonly slots: readonly number[]
  /** Tasks of a stage in each worker, where somebody asked for another number than the job's. */
  readonly perWorker?: number
}

/** One process runs everything. */
export function localAssignment(worker: string, tasks: number, slots: number): Assignment {
  return {
    tasks: Array.from({ length: tasks }, () => worker),
    slots: Array.from({ length: slots }, (_, slot) => slot % tasks)
  }
}

/**
 * Spreads the slots evenly over the workers, moving as few as possible.
 * @param tasksPerWorker tasks of a stage that a worker runs, as long as there are slots for them
 */
export function assign(
  previous: Assignment | undefined,
  workers: readonly string[],
  tasksPerWorker: number,
  slots: number
): Assignment {
  assert(workers.length > 0, 'an assignment needs a worker')
  const used = [...workers].sort().slice(0, slots)
  const owned = new Map<string, number[]>(used.map(worker => [worker, []]))
  const least = Math.floor(slots / used.length)
  let above = slots % used.length
  const free: number[] = []
  for (let slot = 0; slot < slots; slot++) {
    const own = owned.get(ownerOf(previous, slot) ?? '')
    if (own === undefined || own.length > least || (own.length === least && above === 0)) free.push(slot)
    else {
      if (own.length === least) above--
      own.push(slot)
    }
  }
  for (const slot of free) {
    const poorest = [...owned.values()].reduce((a, b) => (b.length < a.length ? b : a))
    poorest.push(slot)
  }
  const tasks: string[] = []
  const taskOf = new Array<number>(slots)
  for (const [worker, own] of owned) {
    const count = Math.min(tasksPerWorker, own.length)
    own.forEach((slot, i) => (taskOf[slot] = tasks.length + (i % count)))
    for (let i = 0; i < count; i++) tasks.push(worker)
  }
  return { tasks, slots: taskOf }
}

function ownerOf(assignment: Assignment | undefined, slot: number): string | undefined {
  const task = assignment?.slots[slot]
  return task === undefined ? undefined : assignment?.tasks[task]
}

/** Which task of a stage owns a key group. */
export function taskOfKeyGroup(keyGroup: number, slots: readonly number[]): number {
  return slots[keyGroup % slots.length] as number
}

export function workersOf(assignment: Assignment): string[] {
  return [...new Set(assignment.tasks)]
}
