/** Loops that never come to rest: barriers get through, a drain ends them, and what they hold stays within its limit. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { DirectoryLineages } from '../../../checkpoint/adapters/directory-lineages.ts'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { nodeFiles } from '../../../checkpoint/adapters/node-files.ts'
import { StoredJob } from '../../../deploy/stored-job.ts'
import type { KeyedTask } from '../../../runtime/core/keyed-task.ts'
import type { Worker } from '../../../runtime/core/worker.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { Incarnation } from '../../../runtime/shell/incarnation.ts'
import { tokens } from '../../support/loop-jobs.ts'
import { LoopWorld } from '../../support/loop-world.ts'

const tokensOf = (count: number) => Array.from({ length: count }, (_, n) => ({ n, every: 5 }))

async function numbersIn(world: LoopWorld): Promise<number[]> {
  const stored = await world.stored()
  return (stored?.messages.get('Circle') ?? []).map(token => (token as { n: number }).n).sort((a, b) => a - b)
}

void t.test(
  'tokens that circulate for ever are all in every checkpoint, through drains, crashes and rescaling',
  async t => {
    const world = new LoopWorld(tokens)
    const random = new Prng('tokens')
    const all = tokensOf(20).map(({ n }) => n)
    world.push('tokens', ...tokensOf(20))
    for (const parallelism of [1, 3, 2, 1]) {
      await world.begin({
        parallelism,
        cacheBytes: parallelism === 2 ? 1 : undefined,
        turns: random.fork(`${parallelism}`)
      })
      let epoch = 0
      for (let n = 0; n < 10; n++) {
        await world.turns(40)
        const { manifest } = (await world.stored()) ?? {}
        if (manifest?.sources[0]?.partitions[0]?.position === 20) t.same(await numbersIn(world), all)
        t.ok((manifest?.epoch ?? 0) >= epoch)
        epoch = manifest?.epoch ?? 0
      }
      t.ok(epoch > 3, `${epoch} checkpoints`)
      if (parallelism === 3) await world.crash()
      else {
        await world.drain()
        t.same(await numbersIn(world), all, 'what is under way at the last barrier is recorded, and not waited for')
      }
    }
  }
)

void t.test('what leads into a loop is not read while too much waits in it, but barriers get through', async t => {
  const world = new LoopWorld(tokens)
  world.push('tokens', ...tokensOf(200))
  await world.begin({ parallelism: 2, limits: { loopLimit: 10 }, turns: new Prng('limit'), intervalMs: 1000 })
  await world.turns(300)
  const read = (): number => {
    if (world.incarnation?.kind !== 'running') return 0
    const keyed = world.incarnation.worker.tasksOf('Circle') as KeyedTask[]
    return (
      200 -
      keyed.reduce(
        (sum, task) =>
          sum + task.settings.channels.reduce((all, c) => all + (c.place === undefined ? c.waiting : 0), 0),
        0
      )
    )
  }
  const before = read()
  t.ok(before > 5 && before < 60, `${before} tokens were let in`)
  await world.turns(300)
  t.equal(read(), before, 'and no more while they circulate')
  await world.drain()
  t.equal((await numbersIn(world)).length, 200, 'what the source had read before the last barrier came in with it')
})

void t.test(
  'while storage refuses checkpoints a loop stands still before it fills the memory, then goes on',
  async t => {
    let refuses = false
    const chance = { int: () => (refuses ? 0 : 1) } as unknown as Prng
    const world = new LoopWorld(tokens, chance)
    const limit = 20_000
    world.push('tokens', ...tokensOf(50))
    await world.begin({ parallelism: 2, limits: { pendingLimitBytes: limit } })
    const worker = (): Worker => (world.incarnation as Extract<Incarnation, { kind: 'running' }>).worker
    await world.turns(50)
    refuses = true
    await world.turns(300)
    t.ok(worker().status.pendingBytes < 4 * limit, `${worker().status.pendingBytes} bytes wait`)
    const stood = worker().counts.events
    await world.turns(1000)
    const { events } = worker().counts
    t.ok(worker().status.pendingBytes < 4 * limit, `${worker().status.pendingBytes} bytes wait`)
    t.ok(
      events - stood < 1000,
      `${events - stood} events in a thousand turns: those that each new barrier lets through`
    )
    refuses = false
    // Until it is tried again.
    await world.turns(1000)
    t.ok(worker().counts.events - events > 5000, `it goes on with ${worker().counts.events - events} events`)
    await world.drain()
    t.equal((await numbersIn(world)).length, 50)
  }
)

void t.test('people who look at the state of a stored job see actors, not messages under way', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-loops-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const world = new LoopWorld(tokens, undefined, new DirectoryStorage(nodeFiles, join(folder, 'lineages', '1')))
  world.push('tokens', ...tokensOf(6))
  await world.begin({ parallelism: 1 })
  await world.turns(100)
  await world.drain()
  t.equal((await numbersIn(world)).length, 6)
  const job = new StoredJob('tokens', new DirectoryLineages(nodeFiles, folder))
  const { fields } = await job.state('Circle', 'c1')
  t.same(Object.keys(fields ?? {}), ['passed'])
  t.equal((await job.state('Circle', 'never')).fields, undefined)
  t.same((await job.verify()).problems, [])
})
