/** What a sealed epoch's image of an actor holds. */
import t from 'tap'
import { Actor } from '../../../actors/index.ts'
import { defineActor } from '../../../actors/definition.ts'
import { timersOfRecord } from '../../../runtime/core/entry.ts'
import { TaskState } from '../../../runtime/core/task-state.ts'

class Plain extends Actor {
  n = 0
  override receive(): void {
    this.n++
  }
}

for (const clock of ['event', 'wall'] as const)
  void t.test(
    `a timer of the ${clock} clock that falls due between seal and encoding is in the sealed image`,
    async t => {
      const definition = defineActor(Plain)
      const state = new TaskState({
        definition,
        schemas: [definition.schema],
        schemaIndex: 0,
        keyGroups: 8,
        cacheBytes: undefined,
        reader: undefined,
        now: () => 0
      })
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
