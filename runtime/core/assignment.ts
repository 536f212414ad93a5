/**
 * Who runs what in one generation: tasks belong to workers, slots to tasks; key groups and source partitions follow their slot, in
 * every stage alike, so that stages are co-located and no slot ever has two owners.
 *
 * Invariants
 * 1. Every slot has one task, every task one worker.
 * 2. A slot stays with the worker that had it unless that worker is gone or has more than its share (sticky). When who had it before comes
 *    again, by its name, it is the first to be given back: what its local store holds of it is used again.
 */
import { assert } from '../kernel/errors.ts'

export interface Assignment {
  /** Worker that runs task *i* of every stage. */
  readonly tasks: readonly string[]
  /** Task of each slot. */
  readonly slots: readonly number[]
  /** Tasks of a stage in each worker, where somebody asked for another number than the job's. */
  readonly perWorker?: number
  /** By slot whose worker went away: that worker's name. */
  readonly away?: Readonly<Record<number, string>>
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
  const take = (own: number[] | undefined, slot: number): boolean => {
    if (own === undefined || own.length > least || (own.length === least && above === 0)) return false
    if (own.length === least) above--
    own.push(slot)
    return true
  }
  const home = (slot: number): string | undefined => used.find(worker => nameOf(worker) === previous?.away?.[slot])
  const all = Array.from({ length: slots }, (_, slot) => slot)
  const settled = all.filter(slot => home(slot) === undefined)
  const strange = all.filter(slot => home(slot) !== undefined)
  const keep = (slot: number): boolean => take(owned.get(ownerOf(previous, slot) ?? ''), slot)
  const free = settled.filter(slot => !keep(slot))
  free.push(...strange.filter(slot => !take(owned.get(home(slot) ?? ''), slot)).filter(slot => !keep(slot)))
  for (const slot of free) {
    const poorest = [...owned.values()].reduce((a, b) => (b.length < a.length ? b : a))
    poorest.push(slot)
  }
  for (const own of owned.values()) own.sort((a, b) => a - b)
  const tasks: string[] = []
  const taskOf = new Array<number>(slots)
  for (const [worker, own] of owned) {
    const count = Math.min(tasksPerWorker, own.length)
    own.forEach((slot, i) => (taskOf[slot] = tasks.length + (i % count)))
    for (let i = 0; i < count; i++) tasks.push(worker)
  }
  const made = { tasks, slots: taskOf }
  const away = awayIn(made, previous)
  return Object.keys(away).length === 0 ? made : { ...made, away }
}

function awayIn(made: Assignment, previous: Assignment | undefined): Record<number, string> {
  const away: Record<number, string> = {}
  for (const slot of made.slots.keys()) {
    const before = ownerOf(previous, slot)
    const known = previous?.away?.[slot]
    if (before === undefined) continue
    if (!made.tasks.includes(before)) away[slot] = nameOf(before)
    else if (before === ownerOf(made, slot) && known !== undefined) away[slot] = known
  }
  return away
}

/** Slots that will be given back to whoever comes with that name. */
export function slotsAwayFrom({ away = {} }: Pick<Assignment, 'away'>, name: string): number[] {
  return Object.entries(away).flatMap(([slot, had]) => (had === name ? [Number(slot)] : []))
}

/** The assignment, with what a process had before it was started again as its own still. */
export function inherited(
  { tasks, ...rest }: Assignment,
  workers: readonly { readonly worker: string; readonly name: string }[]
): Assignment {
  const heir = (worker: string): string => {
    if (workers.some(each => each.worker === worker)) return worker
    return workers.find(({ name }) => name === nameOf(worker))?.worker ?? worker
  }
  return { tasks: tasks.map(heir), ...rest }
}

/** Of the process that a worker is a life of; it stays the same when the process is started again. */
export function nameOf(worker: string): string {
  const end = worker.lastIndexOf('#')
  return end < 0 ? worker : worker.slice(0, end)
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
