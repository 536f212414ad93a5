/** What a sealed epoch's image of an actor holds, and what a read of the store brings back. */
import t from 'tap'
import { Actor } from '../../../actors/index.ts'
import { defineActor } from '../../../actors/definition.ts'
import { timersOfRecord } from '../../../runtime/core/entry.ts'
import { TaskState } from '../../../runtime/core/task-state.ts'
import { timerIndexKey } from '../../../runtime/core/timer-index.ts'

class Plain extends Actor {
  n = 0
  override receive(): void {
    this.n++
  }
}

function stateOf(cacheBytes?: number): TaskState {
  const definition = defineActor(Plain)
  return new TaskState({
    definition,
    schemas: [definition.schema],
    schemaIndex: 0,
    keyGroups: 8,
    cacheBytes,
    reader: undefined,
    now: () => 0
  })
}

for (const clock of ['event', 'wall'] as const)
  void t.test(
    `a timer of the ${clock} clock that falls due between seal and encoding is in the sealed image`,
    async t => {
      const state = stateOf()
      const entry = state.add('k', 'k')
      state.touch(entry)
      state.hydrate(entry)
      state.arm(entry, clock, 'soon', 10)
      state.seal(1)
      t.equal(state.popDue(clock, 10)?.name, 'soon')
      state.touch(entry)
      state.encodeSome(100)
      const [record] = [...(state.takeSnapshot()?.writer?.added() ?? [])]
      t.strictSame(timersOfRecord(record?.value as Uint8Array), [{ clock, name: 'soon', at: 10 }])
    }
  )

void t.test(
  'an actor that is forgotten while a read is under way does not come back by what the read brings',
  async t => {
    const state = stateOf(1)
    const entry = state.add('k', 'k')
    state.touch(entry)
    state.hydrate(entry)
    state.arm(entry, 'event', 'soon', 10)
    state.seal(1)
    state.encodeSome(100)
    const [record] = [...(state.takeSnapshot()?.writer?.added() ?? [])]
    state.decided(1)
    state.applied(1)

    t.equal(state.popDue('event', 10), undefined, 'others may be stored that are due before')
    t.not(state.pageWanted('event', 5), undefined)
    state.pageLoaded({ clock: 'event', index: [], entries: [], nextAt: 20, upTo: 5 })
    t.equal(state.popDue('event', 10)?.name, 'soon')
    state.drop(entry)
    entry.forgotten = true
    state.seal(2)
    state.encodeSome(100)
    state.takeSnapshot()
    state.decided(2)

    // A page is asked for, which the store answers before it has taken epoch 2.
    t.not(state.pageWanted('event', 30), undefined)
    state.reading = true
    state.applied(2)
    const keyBytes = entry.keyBytes
    state.pageLoaded({
      clock: 'event',
      index: [timerIndexKey({ clock: 'event', at: 10, name: 'soon', keyBytes })],
      entries: [{ keyBytes, value: record?.value as Uint8Array }],
      nextAt: Infinity,
      upTo: 30
    })
    t.equal(state.popDue('event', 30), undefined, 'its timer has fired')
    t.equal(state.entries.size, 0)
  }
)
