/** Who runs what: even, complete, and moving as little as possible. */
import fc from 'fast-check'
import t from 'tap'
import {
  assign,
  localAssignment,
  nameOf,
  taskOfKeyGroup,
  workersOf,
  type Assignment
} from '../../../runtime/core/assignment.ts'

const ownerOf = ({ tasks, slots }: Assignment, slot: number): string => tasks[slots[slot] as number] as string
const share = (assignment: Assignment, worker: string): number =>
  assignment.slots.filter((_, slot) => ownerOf(assignment, slot) === worker).length

const workerSets = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1, maxLength: 6 })

void t.test('every slot has one task and every task a worker; shares differ by one at most', t => {
  fc.assert(
    fc.property(
      fc.array(workerSets, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 16 }),
      (lives, tasks, slots) => {
        let assignment: Assignment | undefined
        for (const workers of lives) {
          assignment = assign(assignment, workers, tasks, slots)
          const used = workersOf(assignment)
          const shares = used.map(worker => share(assignment as Assignment, worker))
          if (used.length !== Math.min(workers.length, slots)) return false
          if (Math.max(...shares) - Math.min(...shares) > 1 || assignment.slots.length !== slots) return false
          if (assignment.tasks.some((_, task) => !(assignment as Assignment).slots.includes(task))) return false
        }
        return true
      }
    )
  )
  t.end()
})

void t.test('nothing moves without need: a join takes one share, a leave gives one away', t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 6, max: 24 }), (count, slots) => {
      const workers = ['a', 'b', 'c', 'd', 'e', 'f'].slice(0, count)
      const before = assign(undefined, workers, 1, slots)
      const joined = assign(before, [...workers, 'z'], 1, slots)
      const moved = joined.slots.filter((_, slot) => ownerOf(joined, slot) !== ownerOf(before, slot)).length
      const left = assign(joined, workers, 1, slots)
      const back = left.slots.filter((_, slot) => ownerOf(left, slot) !== ownerOf(joined, slot)).length
      return moved === share(joined, 'z') && back === share(joined, 'z')
    })
  )
  t.same(assign(assign(undefined, ['a', 'b'], 2, 8), ['b', 'a'], 2, 8), assign(undefined, ['a', 'b'], 2, 8))
  t.end()
})

void t.test('a worker that goes and comes again gets what it had, in a rolling restart of all', t => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 5, max: 24 }), (count, slots) => {
      const workers = ['a', 'b', 'c', 'd', 'e'].slice(0, count).map(name => `${name}#1`)
      const namesOf = (assignment: Assignment): string =>
        assignment.slots.map((_, slot) => nameOf(ownerOf(assignment, slot))).join()
      let assignment = assign(undefined, workers, 1, slots)
      const first = namesOf(assignment)
      for (const [i, worker] of [...workers].entries()) {
        workers.splice(i, 1)
        assignment = assign(assignment, workers, 1, slots)
        if (Object.keys(assignment.away ?? {}).length === 0) return false
        workers.splice(i, 0, `${nameOf(worker)}#2`)
        assignment = assign(assignment, workers, 1, slots)
        if (namesOf(assignment) !== first || assignment.away !== undefined) return false
      }
      return true
    })
  )
  t.equal(nameOf('w1'), 'w1')
  t.end()
})

void t.test('a key group follows its slot', t => {
  const { slots } = localAssignment('self', 3, 8)
  t.same(
    [0, 7, 8, 15].map(group => taskOfKeyGroup(group, slots)),
    [0, 1, 0, 1]
  )
  t.end()
})
