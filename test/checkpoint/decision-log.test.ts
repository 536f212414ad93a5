/** What the decision log owes to a process that was held up while others went on (found by the explorer). */
import t from 'tap'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { DecisionLog, type Decision } from '../../checkpoint/decision-log.ts'
import { encodeManifest, manifestFormat } from '../../checkpoint/manifest.ts'
import { readHead } from '../../checkpoint/recovery.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { MemoryFiles } from '../../simulations/memory-files.ts'

const limits = { attempts: 1, readBack: 1, checkpoints: 1, kept: 1 }
const begins = (generation: number): Decision => ({
  kind: 'begins',
  generation,
  lineage: 1,
  parent: null,
  assignment: { tasks: ['w'], slots: [0] }
})
const completed = (epoch: number, manifest = { name: `manifests/${epoch}`, hash: '' }): Decision => ({
  kind: 'completed',
  epoch,
  generation: 1,
  manifest,
  final: false,
  savepoints: []
})

/** Storage that holds up its first list or read until `meanwhile` is done. */
function heldUp(storage: CheckpointStorage, what: 'list' | 'read', meanwhile: () => Promise<void>): CheckpointStorage {
  let held = false
  const hold = async (): Promise<void> => {
    if (held) return
    held = true
    await meanwhile()
  }
  return {
    create: (name, bytes) => storage.create(name, bytes),
    readRange: (name, offset, length) => storage.readRange(name, offset, length),
    remove: name => storage.remove(name),
    list: async folder => {
      const names = await storage.list(folder)
      if (what === 'list') await hold()
      return names
    },
    read: async name => {
      if (what === 'read') await hold()
      return storage.read(name)
    }
  }
}

async function world(): Promise<{
  readonly storage: CheckpointStorage
  readonly log: DecisionLog
  readonly append: (...decisions: readonly Decision[]) => Promise<void>
}> {
  const storage = new DirectoryStorage(new MemoryFiles(), '/s')
  let nonces = 0
  const log = await DecisionLog.open(storage, () => `n${nonces++}`, limits)
  const append = async (...decisions: readonly Decision[]): Promise<void> => {
    for (const decision of decisions) await log.append(decision)
    await log.prune()
  }
  return { storage, log, append }
}

void t.test(
  'a process that found the log empty and slept while it was pruned does not begin a second history',
  async t => {
    const { storage, append } = await world()
    const late = heldUp(storage, 'list', () => append(begins(1), completed(0), completed(1), completed(2)))
    const log = await DecisionLog.open(late, () => 'late', limits)
    await t.rejects(log.append(begins(1)), { code: 'FENCED' })
  }
)

void t.test('decisions that are pruned while a process opens the log are no damage', async t => {
  const { storage, append } = await world()
  await append(begins(1), completed(0), begins(2))
  const late = heldUp(storage, 'read', () => append(completed(1), completed(2), completed(3), completed(4)))
  const log = await DecisionLog.open(late, () => 'late', limits)
  t.equal(log.head?.epoch, 4)
})

void t.test('pruning keeps the newest checkpoint, however many generations began after it', async t => {
  const { storage, log, append } = await world()
  await append(begins(1), completed(0), begins(2), begins(3), begins(4), begins(5))
  t.equal(log.head?.epoch, 0)
  t.equal((await DecisionLog.open(storage, () => 'next', limits)).head?.epoch, 0)
})

void t.test('checkpoints that are retained are found and kept, however many generations began since', async t => {
  const few = { ...limits, checkpoints: 3 }
  const storage = new DirectoryStorage(new MemoryFiles(), '/s')
  let nonces = 0
  const log = await DecisionLog.open(storage, () => `n${nonces++}`, few)
  for (const epoch of [0, 1, 2, 3, 4]) await log.append(completed(epoch))
  for (let generation = 1; generation < 9; generation++) {
    await log.append(begins(generation))
    await log.prune()
  }
  const epochs = (each: DecisionLog): number[] => each.completed(9).map(({ epoch }) => epoch)
  t.same(epochs(log), [4, 3, 2])
  t.same(epochs(await DecisionLog.open(storage, () => 'next', few)), [4, 3, 2])
})

void t.test('a manifest that is deleted while a process starts, because others went on, is no damage', async t => {
  const { storage, log } = await world()
  const numbers = { lineage: 1, generation: 1, keyGroups: 128, slots: 1, parallelism: 1 }
  const lists = { savepointNames: [], savepoints: [], stages: [], sources: [], outboxes: [], ledgers: [] }
  const manifest = (epoch: number) =>
    encodeManifest({ format: manifestFormat, job: 'j', epoch, previous: null, final: false, ...numbers, ...lists })
  for (const epoch of [0, 1]) await storage.create(`manifests/${epoch}`, manifest(epoch).bytes)
  const name = (epoch: number) => ({ name: `manifests/${epoch}`, hash: manifest(epoch).hash })
  await log.append(begins(1))
  await log.append(completed(0, name(0)))
  let slow = true
  const late: CheckpointStorage = {
    ...heldUp(storage, 'read', () => Promise.resolve()),
    read: async read => {
      if (slow && read === 'manifests/0') {
        slow = false
        await log.append(completed(1, name(1)))
        await storage.remove('manifests/0')
      }
      return storage.read(read)
    }
  }
  t.equal((await readHead(late, 'j', () => 'late')).head?.manifest.epoch, 1)
  await storage.remove('manifests/1')
  await t.rejects(
    readHead(storage, 'j', () => 'late'),
    { code: 'RECOVERY_HALTED' }
  )
})
