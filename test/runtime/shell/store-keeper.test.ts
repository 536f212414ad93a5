/** The store behind the tasks: what may pass is repeated, what cannot be mended is told. */
import t from 'tap'
import { MemoryStore } from '../../../checkpoint/adapters/memory-store.ts'
import { StateFileWriter } from '../../../checkpoint/state-file.ts'
import type { TaskSnapshot } from '../../../runtime/core/worker.ts'
import { CodedError } from '../../../runtime/kernel/errors.ts'
import { LocalState } from '../../../runtime/shell/local-state.ts'
import { StoreKeeper } from '../../../runtime/shell/store-keeper.ts'
import type { StateStore } from '../../../checkpoint/state-store.ts'
import { VirtualClock } from '../../../simulations/virtual-clock.ts'

function snapshot(): TaskSnapshot {
  const state = new StateFileWriter()
  state.add(1, Uint8Array.of(0x6d, 1), Uint8Array.of(7))
  const task = { settings: { stage: { index: 0 }, task: 0 } }
  return { task, state, unindexed: [], outbox: undefined, positions: [], watermarks: [], finished: false } as never
}

function opened(store: StateStore): Promise<LocalState> {
  return LocalState.open({
    store,
    origin: { job: 'j', lineage: 1, keyGroups: 8, slots: 2 },
    stages: [{ index: 0, name: 's', slots: [0, 1] }],
    head: undefined,
    storage: undefined as never,
    decided: () => Promise.resolve(undefined),
    isOver: () => false
  })
}

/** Refuses as often as it is told, then works. */
class Refusing extends MemoryStore {
  errors: Error[] = []
  override apply(...writes: Parameters<MemoryStore['apply']>): Promise<void> {
    const error = this.errors.shift()
    return error === undefined ? super.apply(...writes) : Promise.reject(error)
  }
}

async function keep(errors: Error[]): Promise<{ told: unknown[]; troubles: (string | undefined)[] }> {
  const clock = new VirtualClock()
  const told: unknown[] = []
  const troubles: (string | undefined)[] = []
  const store = new Refusing()
  const local = await opened(store)
  store.errors = errors
  const keeper = new StoreKeeper(
    local,
    clock,
    epoch => told.push(epoch),
    error => told.push(error)
  )
  keeper.decided(1, 'h1', [snapshot()])
  for (let turn = 0; turn < 50 && told.length === 0; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    if (troubles.at(-1) !== keeper.trouble) troubles.push(keeper.trouble)
    clock.step(Infinity)
  }
  return { told, troubles }
}

void t.test('a full disk is tried again until it takes the writes, and is told meanwhile', async t => {
  const full = new CodedError('STORAGE_FAILED', 'no space')
  const { told, troubles } = await keep([full, full])
  t.same(told, [1])
  t.ok(troubles.includes('no space'))
})

void t.test('any other error ends the generation, and nothing is said to be applied', async t => {
  const damaged = new CodedError('CORRUPT', 'a value fails its checksum')
  const { told } = await keep([damaged])
  t.same(told, [damaged])
})

void t.test('what is decided while the store is busy is not taken for applied', async t => {
  let release: () => void = () => undefined
  const applied: number[] = []
  let slow = false
  /** Takes its writes at once and needs time for them. */
  class Slow extends MemoryStore {
    override async apply(...[writes]: Parameters<MemoryStore['apply']>): Promise<void> {
      const taken = []
      for await (const write of writes) taken.push(write)
      if (slow) await new Promise<void>(resolve => (release = resolve))
      applied.push(taken.length)
      await super.apply(taken)
    }
  }
  const told: unknown[] = []
  const local = await opened(new Slow())
  slow = true
  applied.length = 0
  const keeper = new StoreKeeper(
    local,
    new VirtualClock(),
    epoch => told.push(epoch, applied.length),
    error => told.push(error)
  )
  const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
  keeper.decided(1, 'h1', [snapshot()])
  await turn()
  keeper.decided(2, 'h2', [snapshot()])
  keeper.decided(3, 'h3', [snapshot()])
  for (let turns = 0; turns < 5; turns++) {
    release()
    await turn()
  }
  t.same(told, [1, 1, 3, 2], 'epoch 1 after the first time, 2 and 3 after the second')
  t.same(applied, [3, 4], 'each time between two lists of parts')
})
