import fc from 'fast-check'
import t from 'tap'
import { TimerQueue } from '../../../runtime/core/timer-queue.ts'

const owners = ['a', 'b', 'c'].map(orderKey => ({ orderKey }))
const owner = fc.constantFrom(...owners)
const name = fc.constantFrom('x', 'y', 'z')
const at = fc.integer({ min: -5, max: 5 })
const operation = fc.oneof(
  fc.record({ kind: fc.constant('arm' as const), owner, name, at }),
  fc.record({ kind: fc.constant('cancel' as const), owner, name, at }),
  fc.record({ kind: fc.constant('forget' as const), owner, name, at }),
  fc.record({ kind: fc.constant('pop' as const), owner, name, at })
)

void t.test('timers fire by (time, key, name), as a sorted list would have them', t => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), operations => {
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
        if (each.kind === 'forget') list = list.filter(timer => timer.key !== key)
        else list = list.filter(timer => timer.key !== key || timer.name !== each.name)
        if (each.kind === 'arm') {
          queue.arm(each.owner, each.name, each.at)
          list.push({ key, name: each.name, at: each.at })
        } else if (each.kind === 'cancel') queue.cancel(each.owner, each.name)
        else queue.forget(each.owner)
        if (queue.size !== list.length) return false
      }
      return true
    }),
    { numRuns: 2000 }
  )
  t.end()
})
