/** When checkpoints come, on the real core in virtual time: with a latency goal, with an interval, and after a new start. */
import t from 'tap'
import { Actor, files, job, json, lines, stdout, type Context } from '../../../actors/index.ts'
import type { Plan } from '../../../actors/plan.ts'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../../checkpoint/adapters/memory-store.ts'
import { overriddenInterval } from '../../../actors/interval.ts'
import type { Appender, Fetched, LogReader } from '../../../runtime/ports/log.ts'
import type { Ports } from '../../../runtime/shell/generation.ts'
import { beginIncarnation } from '../../../runtime/shell/incarnation.ts'
import type { EmbeddedShell } from '../../../runtime/shell/embedded-shell.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'
import { MemoryPublisher } from '../../../simulations/memory-publisher.ts'
import { VirtualClock } from '../../../simulations/virtual-clock.ts'

class Count extends Actor {
  n = 0
  receive(_event: { key: string }, ctx: Context<number>): void {
    ctx.emit(++this.n)
  }
}
const counting = job(
  'counting',
  j => {
    const events = j.source('events', lines('unused', json<{ key: string }>()))
    return {
      out: events
        .keyBy(event => event.key)
        .actor(Count)
        .to('out', files('unused', json()))
    }
  },
  { interval: { latency: '200ms' } }
)

const clock = new VirtualClock()
const passed = (ms: number): Promise<void> => new Promise(resolve => clock.after(ms, resolve))

/** A record each 5 ms, for ever. */
class Ticking implements LogReader {
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve([{ name: '0' }])
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  async fetch(_partition: number, position: number): Promise<Fetched> {
    await passed(5)
    return {
      kind: 'records',
      next: position + 1,
      end: position + 1,
      batch: {
        count: 1,
        sizeBytes: 1,
        offset: () => position,
        timestamp: () => clock.now(),
        key: () => undefined,
        value: () => undefined,
        valueObject: () => ({ key: 'k' })
      }
    }
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

class SlowStorage extends DirectoryStorage {
  delayMs = 2
  override async create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    await passed(this.delayMs)
    return super.create(name, bytes)
  }
}

/** What stays when a process ends. */
interface Outside {
  readonly storage: SlowStorage
  readonly publisher: MemoryPublisher
}

let nonces = 0

async function started(
  plan: Plan = counting.plan,
  measure?: () => number,
  { storage, publisher }: Outside = {
    storage: new SlowStorage(new MemoryFiles(), '/checkpoints'),
    publisher: new MemoryPublisher()
  },
  appenders: ReadonlyMap<string, Appender> = new Map(),
  limits: NonNullable<Ports['limits']> = {}
): Promise<Outside & { readonly shell: EmbeddedShell }> {
  const begun = beginIncarnation(plan, {
    clock,
    storage,
    store: () => Promise.resolve(new MemoryStore()),
    reader: () => new Ticking(),
    publishers: new Map([['out', publisher]]),
    appenders,
    limits,
    nonce: () => `n${nonces++}`,
    ...(measure === undefined ? {} : { measure })
  })
  let settled = false
  void begun.finally(() => (settled = true))
  while (!settled) await advance(1)
  const incarnation = await begun
  if (incarnation.kind !== 'running') throw new Error('it has finished')
  incarnation.shell.start()
  return { shell: incarnation.shell, storage, publisher }
}

/** Things that take no time happen meanwhile. */
async function advance(ms: number): Promise<void> {
  for (const end = clock.now() + ms; clock.now() < end;) {
    for (let turn = 0; turn < 8; turn++) await new Promise(resolve => setImmediate(resolve))
    clock.step(clock.now() + 1)
  }
}

/** How many checkpoints are decided in so long. */
async function checkpointsIn(shell: EmbeddedShell, ms: number): Promise<number> {
  const before = shell.lastCheckpoint?.epoch ?? 0
  await advance(ms)
  return (shell.lastCheckpoint?.epoch ?? 0) - before
}

void t.test('the interval follows what storage takes, up and down', async t => {
  const { shell, storage } = await started()
  await advance(3_000)
  const { intervalMs, goal } = shell.pace
  t.ok(intervalMs > 150 && intervalMs < 200, `${intervalMs} ms with fast storage`)
  t.equal(goal?.kept, true)
  const fast = await checkpointsIn(shell, 4_000)
  t.ok(fast >= 20, `${fast} checkpoints in 4 s`)

  // State and outbox one after the other: 120 ms, then the manifest and the decision.
  storage.delayMs = 60
  await advance(10_000)
  t.ok(shell.pace.intervalMs >= 1200, `${shell.pace.intervalMs} ms with slow storage`)
  t.equal(shell.pace.goal?.kept, false)
  const slow = await checkpointsIn(shell, 12_000)
  t.ok(slow >= 9 && slow <= 10, `${slow} checkpoints in 12 s`)

  storage.delayMs = 2
  await advance(5_000)
  t.ok(shell.pace.intervalMs < 200, `${shell.pace.intervalMs} ms with fast storage`)
  t.equal(shell.pace.goal?.kept, true)
  await Promise.all([shell.stop(), advance(1_000)])
})

void t.test('waiting for storage takes nothing of the share where work is measured', async t => {
  const { shell, storage } = await started(counting.plan, () => clock.now())
  storage.delayMs = 60
  await advance(10_000)
  const { intervalMs } = shell.pace
  t.ok(intervalMs >= 240 && intervalMs < 260, `${intervalMs} ms: one checkpoint after the other`)
  t.equal(shell.pace.goal?.kept, false)
  storage.delayMs = 15
  await advance(5_000)
  const free = shell.pace.intervalMs
  t.ok(free >= 130 && free <= 140, `${free} ms: what storage takes is left free`)
  t.equal(shell.pace.goal?.kept, true)
  await Promise.all([shell.stop(), advance(1_000)])
})

void t.test('with an interval nothing follows anything', async t => {
  const plan = { ...counting.plan, ...overriddenInterval(counting.plan, { intervalMs: 250 }) }
  const { shell, storage } = await started(plan)
  storage.delayMs = 60
  await advance(1_000)
  t.same(shell.pace, { intervalMs: 250, goal: undefined })
  t.equal(await checkpointsIn(shell, 5_000), 20)
  t.same(shell.pace, { intervalMs: 250, goal: undefined })
  await Promise.all([shell.stop(), advance(1_000)])
})

void t.test('the first checkpoint after a new start does not wait for the whole interval', async t => {
  const plan = { ...counting.plan, ...overriddenInterval(counting.plan, { intervalMs: 10_000 }) }
  const first = await started(plan)
  t.equal(await checkpointsIn(first.shell, 9_900), 0)
  t.equal(await checkpointsIn(first.shell, 200), 1)
  await Promise.all([first.shell.stop(), advance(1_000)])
  const { shell } = await started(plan, undefined, first)
  t.equal(await checkpointsIn(shell, 200), 2, 'the one before, and one more')
  t.equal(await checkpointsIn(shell, 9_000), 0)
  await Promise.all([shell.stop(), advance(1_000)])
})

/** Nothing but events, each appended at least once. */
const loose = job('loose', j => ({
  out: j.source('events', lines('unused', json<{ key: string }>())).to('out', stdout(), { delivery: 'at-least-once' })
}))
const loosePlan = { ...loose.plan, ...overriddenInterval(loose.plan, { intervalMs: 100 }) }
const appending = (append: Appender['append']): ReadonlyMap<string, Appender> =>
  new Map([['out', { append, close: () => Promise.resolve() }]])

void t.test('a checkpoint waits for what was appended before it, not for what comes after', async t => {
  let [begun, ended] = [0, 0]
  // Longer than it takes until the next record is there: there is always something to append.
  const append = async (records: readonly unknown[]): Promise<void> => {
    begun += records.length
    await passed(12)
    ended += records.length
  }
  const { shell } = await started(loosePlan, undefined, undefined, appending(append))
  await advance(100)
  t.equal(await checkpointsIn(shell, 2_000), 20)
  await Promise.all([shell.stop(), advance(1_000)])
  t.equal(ended, begun)
})

void t.test('a sink that is slower than its source holds it up', async t => {
  let appended = 0
  const answers: (() => void)[] = []
  let stuck = true
  const append = (records: readonly unknown[]): Promise<void> => {
    appended += records.length
    return stuck ? new Promise(answer => answers.push(answer)) : Promise.resolve()
  }
  const limits = { pendingLimitBytes: 1_000 }
  const { shell } = await started(loosePlan, undefined, undefined, appending(append), limits)
  await advance(5_000)
  t.equal(shell.lastCheckpoint?.epoch ?? 0, 0, 'nothing is confirmed')
  t.equal(answers.length, 1)
  answers[0]?.()
  await advance(1)
  // Of 11 bytes each.
  t.equal(appended, 91, 'so much was read meanwhile')
  stuck = false
  answers[1]?.()
  await advance(1_000)
  t.ok(appended > 250, 'and it goes on')
  t.ok((shell.lastCheckpoint?.epoch ?? 0) >= 9)
  await Promise.all([shell.stop(), advance(1_000)])
})
