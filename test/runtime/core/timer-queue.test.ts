import fc from 'fast-check'
import t from 'tap'
import { TimerQueue } from '../../../runtime/core/timer-queue.ts'

const owners = ['a', 'b', 'c'].map(orderKey => ({ orderKey }))
const owner = fc.constantFrom(...owners)
const name = fc.constantFrom('x', 'y', 'z')
const at = fc.integer({ min: -5, max: 5 })
interface Operation {
  readonly kind: 'arm' | 'cancel' | 'forget' | 'pop'
  readonly owner: { readonly orderKey: string }
  readonly name: string
  readonly at: number
}
const kind = fc.constantFrom<Operation['kind'][]>('arm', 'cancel', 'forget', 'pop')
const operation: fc.Arbitrary<Operation> = fc.record({ kind, owner, name, at })

/** Whether a queue does what a sorted list would. */
function agrees(operations: readonly Operation[]): boolean {
  const queue = new TimerQueue<{ orderKey: string }>()
  let list: { key: string; name: string; at: number }[] = []
  for (const each of operations) {
    const key = each.owner.orderKey
    if (each.kind === 'pop') {
      const text = (timer: { key: string; name: string; at: number }): string =>
        `${timer.at + 9}${timer.key}${timer.name}`
      const due = list
        .filter(timer => timer.at <= each.at)
        .sort((a, b) => a.at - b.at || (text(a) < text(b) ? -1 : 1))[0]
      const popped = queue.popDue(each.at)
      if (popped?.at !== due?.at || popped?.name !== due?.name || popped?.keyId.orderKey !== due?.key) return false
      list = list.filter(timer => timer !== due)
      continue
    }
    if (each.kind === 'arm') {
      queue.arm(each.owner, each.name, each.at)
      const old = list.find(timer => timer.key === key && timer.name === each.name)
      if (old === undefined) list.push({ key, name: each.name, at: each.at })
      else old.at = each.at
    } else if (each.kind === 'cancel') {
      queue.cancel(each.owner, each.name)
      list = list.filter(timer => timer.key !== key || timer.name !== each.name)
    } else {
      queue.forget(each.owner)
      list = list.filter(timer => timer.key !== key)
    }
    const own = queue.timersOf(each.owner).map(timer => `${timer.name}@${timer.at}`)
    const expected = list.filter(timer => timer.key === key).map(timer => `${timer.name}@${timer.at}`)
    if (queue.size !== list.length || own.join() !== expected.join()) return false
  }
  return true
}

void t.test('timers fire by (time, key, name), as a sorted list would have them', t => {
  fc.assert(fc.property(fc.array(operation, { maxLength: 60 }), agrees), { numRuns: 2000 })
  t.end()
})

void t.test('the same where most timers are replaced and few fire', t => {
  const replaced = fc.oneof({ weight: 60, arbitrary: operation.filter(({ kind }) => kind === 'arm') }, operation)
  fc.assert(fc.property(fc.array(replaced, { minLength: 3000, maxLength: 4000 }), agrees), {
    numRuns: 20,
    endOnFailure: true
  })
  t.end()
})

void t.test('the same where keys have many timers', t => {
  const many = fc.integer({ min: 0, max: 40 }).map(n => `n${String(n).padStart(2, '0')}`)
  const kind = fc.constantFrom<Operation['kind'][]>('arm', 'arm', 'arm', 'arm', 'cancel', 'pop')
  const operations = fc.array(fc.record({ kind, owner, name: many, at }), { minLength: 100, maxLength: 400 })
  fc.assert(fc.property(operations, agrees))
  t.end()
})

void t.test('timers armed for an instant while its timers fire come in their place among them', t => {
  const queue = new TimerQueue<{ orderKey: string }>()
  const [a, b, c] = owners as [{ orderKey: string }, { orderKey: string }, { orderKey: string }]
  queue.arm(c, 'x', 1)
  queue.arm(a, 'x', 1)
  t.equal(queue.popDue(1)?.keyId, a)
  queue.arm(c, 'w', 1)
  queue.arm(b, 'x', 1)
  queue.arm(a, 'y', 1)
  queue.arm(a, 'x', 0)
  const fired: string[] = []
  for (let due = queue.popDue(1); due !== undefined; due = queue.popDue(1))
    fired.push(`${due.keyId.orderKey}.${due.name}@${due.at}`)
  t.same(fired, ['a.x@0', 'a.y@1', 'b.x@1', 'c.w@1', 'c.x@1'])
  t.end()
})
