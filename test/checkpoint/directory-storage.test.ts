/** What storage in a directory owes to those who come after a crash. */
import t from 'tap'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import type { Manifest } from '../../checkpoint/manifest.ts'
import { collect } from '../../checkpoint/recovery.ts'
import { FilesPublisher } from '../../runtime/adapters/files-publisher.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { ForgetfulFiles } from '../../simulations/forgetful-files.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const seeds = Array.from({ length: 40 }, (_, seed) => new Prng(seed))
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** What a process has done that was killed at operation `at` of `work`. */
async function killedAt(at: number, files: ForgetfulFiles, work: () => Promise<unknown>): Promise<ForgetfulFiles> {
  const first = files.operations
  files.fault = () => (files.operations - first >= at ? { kind: 'halt' } : undefined)
  void work()
  while (!files.down) await turn()
  return files.restart()
}

void t.test(
  'an object found to exist is durable then, though who made it was killed before the name was synced',
  async t => {
    for (const random of seeds) {
      const before = new ForgetfulFiles()
      // Folder, temporary file, link, removal; then the folder would be synced.
      const files = await killedAt(5, before, () =>
        new DirectoryStorage(before, '/s').create('decisions/1', bytes('a'))
      )
      t.equal(await new DirectoryStorage(files, '/s').create('decisions/1', bytes('b')), 'exists')
      t.same(await new DirectoryStorage(files.crash(random), '/s').read('decisions/1'), bytes('a'))
    }
  }
)

void t.test('so is one whose creation failed at the last step and was repeated', async t => {
  for (const random of seeds) {
    const files = new ForgetfulFiles()
    const storage = new DirectoryStorage(files, '/s')
    files.fault = () => (files.operations === 5 ? { kind: 'refuse', code: 'EIO' } : undefined)
    await t.rejects(storage.create('decisions/1', bytes('a')), { code: 'STORAGE_FAILED' })
    t.equal(await storage.create('decisions/1', bytes('a')), 'exists')
    t.same(await new DirectoryStorage(files.crash(random), '/s').read('decisions/1'), bytes('a'))
  }
})

void t.test('a folder that a killed process made is durable before anything in it counts', async t => {
  for (const random of seeds) {
    const before = new ForgetfulFiles()
    const files = await killedAt(1, before, () => before.makeFolder('/s/decisions'))
    await new DirectoryStorage(files, '/s').create('decisions/1', bytes('a'))
    t.same(await new DirectoryStorage(files.crash(random), '/s').read('decisions/1'), bytes('a'))
  }
})

void t.test(
  'a publication that a ledger told of is durable, though who made it was killed before the name was synced',
  async t => {
    const slot = { job: 'job', lineage: 1, sink: 'sink', stage: 'stage', slot: 0 }
    const entry = { epoch: 1, chunk: 0, last: true, generation: 1, manifestHash: '', owner: '' }
    const record = { partition: 0, timestamp: 0, key: undefined, value: bytes('{}') }
    for (const random of seeds) {
      const before = new ForgetfulFiles()
      const producer = await new FilesPublisher(before, '/out').initialise(slot)
      // Temporary file, link, removal; then the folder would be synced.
      const files = await killedAt(4, before, () => producer.publish([record], entry))
      const ledgerOf = async (on: ForgetfulFiles) =>
        (await new FilesPublisher(on, '/out').initialise(slot)).readLedger()
      t.match(await ledgerOf(files), { epoch: 1, last: true })
      t.match(await ledgerOf(files.crash(random)), { epoch: 1, last: true })
    }
  }
)

void t.test('what a killed process left half made is collected, like all that no checkpoint names', async t => {
  for (const at of [3, 4]) {
    const before = new ForgetfulFiles()
    const name = 'deltas/000000000001-stage.tmp-0-nonce'
    const files = await killedAt(at, before, () => new DirectoryStorage(before, '/s').create(name, bytes('a')))
    const storage = new DirectoryStorage(files, '/s')
    t.ok((await storage.list('deltas')).length > 0)
    const manifest = { epoch: 1, stages: [], outboxes: [] } as unknown as Manifest
    await collect(storage, [{ name: 'manifests/000000000001-nonce', manifest }])
    t.same(await storage.list('deltas'), [])
  }
})

void t.test('removals of old decisions that a crash undoes leave gaps that are no damage; a newer gap is', async t => {
  const decisions = 2020
  let files = new ForgetfulFiles()
  const opened = (): Promise<DecisionLog> => DecisionLog.open(new DirectoryStorage(files, '/s'), () => 'n')
  const log = await opened()
  for (let generation = 1; generation < decisions; generation++)
    await log.append({
      kind: 'begins',
      generation,
      lineage: 1,
      parent: null,
      assignment: { tasks: ['self'], slots: [0] }
    })
  const manifest = { name: 'manifests/1', hash: '' }
  await log.append({ kind: 'completed', epoch: 1, generation: decisions, manifest, final: false, savepoints: [] })
  await log.prune()
  files = files.crash(new Prng('undone'))
  const left = (await files.list('/s/decisions')).filter(name => Number(name) < decisions - 2000)
  t.ok(left.length > 0 && left.length < decisions - 2000, `${left.length} of the removed are back`)
  t.equal((await opened()).generation, decisions)
  await files.remove('/s/decisions/000000000500')
  await t.rejects(opened(), { code: 'CORRUPT', message: 'decision 500 is missing, though decision 2019 is there' })
})
