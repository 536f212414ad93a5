/** The store behind the tasks: what may pass is repeated, what cannot be mended is told. */
import t from 'tap'
import { MemoryStore } from '../../../checkpoint/adapters/memory-store.ts'
import { StateFileWriter } from '../../../checkpoint/state-file.ts'
import type { TaskSnapshot } from '../../../runtime/core/worker.ts'
import { CodedError } from '../../../runtime/kernel/errors.ts'
import { StoreKeeper } from '../../../runtime/shell/store-keeper.ts'
import { VirtualClock } from '../../../simulations/virtual-clock.ts'

function snapshot(): TaskSnapshot {
  const state = new StateFileWriter()
  state.add(1, Uint8Array.of(0x6d, 1), Uint8Array.of(7))
  const task = { settings: { stage: { index: 0 }, task: 0 } }
  return { task, state, unindexed: [], outbox: undefined, positions: [], watermarks: [], finished: false } as never
}

/** Refuses as often as it is told, then works. */
class Refusing extends MemoryStore {
  private readonly errors: Error[]
  constructor(errors: Error[]) {
    super()
    this.errors = errors
  }
  override apply(...writes: Parameters<MemoryStore['apply']>): Promise<void> {
    const error = this.errors.shift()
    return error === undefined ? super.apply(...writes) : Promise.reject(error)
  }
}

async function keep(errors: Error[]): Promise<{ told: unknown[]; troubles: (string | undefined)[] }> {
  const clock = new VirtualClock()
  const told: unknown[] = []
  const troubles: (string | undefined)[] = []
  const keeper = new StoreKeeper(
    new Refusing(errors),
    clock,
    epoch => told.push(epoch),
    error => told.push(error)
  )
  keeper.decided(1, [snapshot()])
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
  /** Takes its writes at once and needs time for them. */
  class Slow extends MemoryStore {
    override async apply(...[writes]: Parameters<MemoryStore['apply']>): Promise<void> {
      const taken = []
      for await (const write of writes) taken.push(write)
      await new Promise<void>(resolve => (release = resolve))
      applied.push(taken.length)
      await super.apply(taken)
    }
  }
  const told: unknown[] = []
  const keeper = new StoreKeeper(
    new Slow(),
    new VirtualClock(),
    epoch => told.push(epoch, applied.length),
    error => told.push(error)
  )
  const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
  keeper.decided(1, [snapshot()])
  await turn()
  keeper.decided(2, [snapshot()])
  keeper.decided(3, [snapshot()])
  for (let turns = 0; turns < 5; turns++) {
    release()
    await turn()
  }
  t.same(told, [1, 1, 3, 2], 'epoch 1 after the first time, 2 and 3 after the second')
  t.same(applied, [1, 2])
})
