/** What a loop holds beyond its limit lies on the local disk: memory stays small, and nothing is lost, doubled or out of order. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { nodeFiles } from '../../../checkpoint/adapters/node-files.ts'
import { Channel, LoopBacklog, SpilledBatch, type RecordColumns } from '../../../runtime/core/channel.ts'
import { decodeBatch, encodeBatch } from '../../../runtime/core/frames.ts'
import type { KeyedTask } from '../../../runtime/core/keyed-task.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { Files } from '../../../runtime/ports/files.ts'
import { SpillFolder } from '../../../runtime/shell/spill-folder.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'
import { floods } from '../../support/loop-jobs.ts'
import { LoopWorld } from '../../support/loop-world.ts'

const depth = 11
const leaves = 2 ** depth
const messages = 2 * leaves - 1
const limit = 50

function right(t: Test, world: LoopWorld, fields: ReadonlyMap<string, Record<string, unknown>> | undefined): void {
  t.equal(world.rows('leaves').length, leaves)
  const all = [...(fields?.values() ?? [])]
  t.equal(
    all.reduce((sum, { seen }) => sum + (seen as number), 0),
    messages
  )
  t.same(
    all.map(({ disorder }) => disorder).filter(text => text !== ''),
    []
  )
}

/** Records that wait in memory, the most that was seen. */
function watch(world: LoopWorld): () => number {
  let most = 0
  const { turns } = world
  world.turns = async count => {
    for (let left = count; left > 0 && !world.over; left--) {
      await turns.call(world, 1)
      if (world.incarnation?.kind !== 'running') continue
      const tasks = world.incarnation.worker.tasksOf('Flood') as KeyedTask[]
      const [loop] = tasks.flatMap(({ settings }) => settings.channels.flatMap(({ place }) => place?.loop ?? []))
      if (loop !== undefined) most = Math.max(most, loop.queued - loop.spilled)
    }
  }
  return () => most
}

void t.test('a flood in a loop stays out of memory', async t => {
  for (const parallelism of [1, 3]) {
    const world = new LoopWorld(floods)
    const most = watch(world)
    const spill = new MemoryFiles()
    world.push('splashes', { depth, from: '', seq: 0 })
    world.end()
    await world.begin({ parallelism, limits: { loopLimit: limit }, spill, intervalMs: 20, turns: new Prng('flood') })
    await world.finish()
    right(t, world, (await world.stored())?.fields.get('Flood'))
    // Batches that are being filled or read stay.
    t.ok(most() < 8 * limit, `${most()} records were in memory`)
    await world.crash()
    t.same(await spill.list('/spill'), [], 'nothing is left on the disk')
  }
})

void t.test('without a disk it is all in memory: the measure above measures', async t => {
  const world = new LoopWorld(floods)
  const most = watch(world)
  world.push('splashes', { depth, from: '', seq: 0 })
  world.end()
  await world.begin({ parallelism: 1, limits: { loopLimit: limit }, intervalMs: 20, turns: new Prng('flood') })
  await world.finish()
  t.ok(most() > 16 * limit, `${most()} records were in memory`)
})

void t.test('crashes in the flood lose and double nothing, and a checkpoint holds what lies on the disk', async t => {
  const world = new LoopWorld(floods)
  const spill = new MemoryFiles()
  const random = new Prng('crashes')
  world.push('splashes', { depth, from: '', seq: 0 })
  world.end()
  let crashes = 0
  for (; crashes < 12; crashes++) {
    const parallelism = 1 + random.int(3)
    await world.begin({ parallelism, limits: { loopLimit: limit }, spill, turns: random.fork(`${crashes}`) })
    await world.turns(100 + random.int(200))
    if (world.over) break
    await world.crash()
  }
  t.ok(crashes > 5, `${crashes} crashes`)
  await world.begin({ parallelism: 2, limits: { loopLimit: limit }, spill })
  await world.finish()
  right(t, world, (await world.stored())?.fields.get('Flood'))
})

/** A real disk that refuses, or gives back other bytes. */
const disk = (change: Partial<Files>): Files => Object.assign(Object.create(new MemoryFiles()) as Files, change)

void t.test('a disk that takes nothing leaves the flood in memory, and says so', async t => {
  const world = new LoopWorld(floods)
  world.push('splashes', { depth, from: '', seq: 0 })
  world.end()
  const full = disk({ writeSynced: () => Promise.reject(new Error('ENOSPC: no space left on device')) })
  await world.begin({ parallelism: 2, limits: { loopLimit: limit }, spill: full })
  let said = ''
  while (!world.over) {
    await world.turns(1)
    if (world.incarnation?.kind === 'running') said ||= world.incarnation.shell.trouble ?? ''
  }
  t.match(said, /stays in memory: ENOSPC/)
  right(t, world, (await world.stored())?.fields.get('Flood'))
})

void t.test('bytes that come back changed, or not at all, end the generation and are in the checkpoint', async t => {
  const flipped = new MemoryFiles()
  const read = flipped.read.bind(flipped)
  flipped.read = async path => (await read(path)).map((byte, i) => (i === 20 ? byte ^ 1 : byte))
  const lost = new MemoryFiles()
  lost.read = () => Promise.reject(new Error('EIO: i/o error'))
  for (const [bad, code] of [
    [flipped, 'FRAME_MALFORMED'],
    [lost, 'SPILL_LOST']
  ] as const) {
    const world = new LoopWorld(floods)
    world.push('splashes', { depth, from: '', seq: 0 })
    world.end()
    await world.begin({ parallelism: 2, limits: { loopLimit: limit }, spill: bad })
    await t.rejects(world.finish(), { code })
    world.failure = undefined
    await world.crash()
    await world.begin({ parallelism: 2, limits: { loopLimit: limit }, spill: new MemoryFiles() })
    await world.finish()
    right(t, world, (await world.stored())?.fields.get('Flood'))
  }
})

void t.test('on a real disk, with what an earlier process left there', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-spill-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = (under: string): string => join(folder, under)
  const real = {
    ...nodeFiles,
    writeSynced: (p: string, bytes: Uint8Array) => nodeFiles.writeSynced(path(p), bytes),
    read: (p: string) => nodeFiles.read(path(p)),
    remove: (p: string) => nodeFiles.remove(path(p)),
    list: (p: string) => nodeFiles.list(path(p)),
    makeFolder: (p: string) => nodeFiles.makeFolder(path(p))
  }
  await real.makeFolder('/spill')
  await real.writeSynced('/spill/99', new Uint8Array(3))
  const world = new LoopWorld(floods)
  world.push('splashes', { depth: 9, from: '', seq: 0 })
  world.end()
  await world.begin({ parallelism: 2, limits: { loopLimit: limit, sliceEvents: 8 }, spill: real })
  await world.finish()
  await world.crash()
  t.equal(world.rows('leaves').length, 2 ** 9)
  t.same(readdirSync(path('/spill')), [])
})

void t.test('a write that is under way when the folder is closed leaves nothing behind', async t => {
  const slow = new MemoryFiles()
  const write = slow.writeSynced.bind(slow)
  let go: () => void = () => undefined
  const gate = new Promise<void>(resolve => (go = resolve))
  slow.writeSynced = async (path, bytes) => {
    await gate
    await write(path, bytes)
  }
  const folder = new SpillFolder(slow, '/spill')
  const written = folder.write(new SpilledBatch(1), new Uint8Array(3))
  const closed = folder.close()
  go()
  await closed
  t.same(await slow.list('/spill'), [])
  await written
})

const records = (...values: number[]): RecordColumns => ({
  kind: 'records',
  keys: values.map(n => `k${n}`),
  values,
  times: values,
  origins: values.map(() => 'o'),
  offsets: values,
  paths: values.map(() => ''),
  traces: values.map(n => `trace ${n}`)
})

void t.test('a channel gives its elements in their order, whatever is put aside and read back when', async t => {
  const random = new Prng('channel')
  const loop = new LoopBacklog(4)
  const channel = new Channel({ loop, back: false })
  const [expected, got]: [string[], string[]] = [[], []]
  const aside = new Map<unknown, Uint8Array>()
  for (let n = 0; n < 2000 || !channel.empty; n++) {
    if (n < 2000 && random.int(2) === 0) {
      channel.batch(records(n, n + 0.5))
      expected.push(`${n},${n + 0.5},trace ${n},trace ${n + 0.5}`)
    }
    if (n < 2000 && random.int(9) === 0) {
      channel.control({ kind: 'barrier', epoch: n })
      expected.push(`barrier ${n}`)
    }
    for (let spilled = loop.heavy ? channel.spill() : undefined; spilled !== undefined; spilled = undefined)
      aside.set(spilled.batch, encodeBatch(spilled.columns))
    for (const batch of channel.wanted()) {
      channel.unspill(batch, decodeBatch(aside.get(batch) as Uint8Array))
      t.ok(aside.delete(batch))
    }
    const element = channel.peek()
    if (element === undefined || random.int(3) > 0) continue
    got.push(
      element.kind === 'records'
        ? [...element.values, ...element.traces].join()
        : `barrier ${(element as { epoch: number }).epoch}`
    )
    channel.shift()
  }
  t.same(got, expected)
  t.same([loop.queued, loop.spilled, aside.size], [0, 0, 0])
})
