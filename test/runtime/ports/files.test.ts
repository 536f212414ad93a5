/** Every file layer against the rules of the port, and the one that forgets against what it must and must not forget. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { nodeFiles } from '../../../checkpoint/adapters/node-files.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { ForgetfulFiles } from '../../../simulations/forgetful-files.ts'
import { testFiles } from './files-conformance.ts'

void t.test('the files of the machine', async t => {
  const root = mkdtempSync(join(tmpdir(), 'cairn-files-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  await testFiles(t, nodeFiles, root)
})

void t.test('the files that forget', async t => {
  const files = new ForgetfulFiles()
  await files.makeFolder('/root')
  await testFiles(t, files, '/root')
})

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What is there after 100 different crashes, each kind once. */
async function afterCrashes(prepare: (files: ForgetfulFiles) => Promise<void>): Promise<string[]> {
  const found = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const files = new ForgetfulFiles()
    await files.makeFolder('/f')
    await prepare(files)
    const after = files.crash(new Prng(seed))
    const names = await after.list('/f')
    const contents = await Promise.all(
      names.map(async name => `${name}=${new TextDecoder().decode(await after.read(`/f/${name}`))}`)
    )
    found.add(contents.join(' ').replaceAll('\0', '0'))
  }
  return [...found].sort()
}

void t.test('what was synced survives, file and name', async t => {
  const found = await afterCrashes(async files => {
    await files.writeSynced('/f/a', bytes('1'))
    await files.syncFolder('/f')
  })
  t.same(found, ['a=1'])
})

void t.test('a name that was not synced may be there or not, its file is whole', async t => {
  t.same(await afterCrashes(files => files.writeSynced('/f/a', bytes('1'))), ['', 'a=1'])
})

void t.test('links, renames and removals that were not synced may have happened or not', async t => {
  const found = await afterCrashes(async files => {
    await files.writeSynced('/f/a', bytes('1'))
    await files.syncFolder('/f')
    await files.link('/f/a', '/f/b')
    await files.remove('/f/a')
  })
  t.same(found, ['', 'a=1', 'a=1 b=1', 'b=1'])
  const renamed = await afterCrashes(async files => {
    await files.writeSynced('/f/a', bytes('1'))
    await files.writeSynced('/f/b', bytes('2'))
    await files.syncFolder('/f')
    await files.rename('/f/b', '/f/a')
  })
  t.same(renamed, ['a=1 b=2', 'a=2'], 'a rename is one step')
})

void t.test('a write that was cut off leaves old, new, cut, zeroed or nothing', async t => {
  const found = await afterCrashes(async files => {
    await files.writeSynced('/f/a', bytes('old'))
    await files.syncFolder('/f')
    files.fault = () => ({ kind: 'halt' })
    void files.writeSynced('/f/a', bytes('abcd'))
    await Promise.resolve()
  })
  t.same(found, ['a=', 'a=00', 'a=a', 'a=ab', 'a=old'])
})

void t.test('a killed process forgets nothing, but a later crash may', async t => {
  const files = new ForgetfulFiles()
  await files.makeFolder('/f')
  await files.writeSynced('/f/a', bytes('1'))
  t.same(await files.restart().list('/f'), ['a'])
  const later = Array.from({ length: 20 }, (_, seed) => files.restart().crash(new Prng(seed)).list('/f'))
  t.same(new Set((await Promise.all(later)).map(names => names.length)), new Set([0, 1]))
})

void t.test('faults: refused is not done, denied is, and a halt never answers', async t => {
  const files = new ForgetfulFiles()
  files.fault = () => ({ kind: 'refuse', code: 'ENOSPC' })
  await t.rejects(files.writeSynced('/a', bytes('1')), { code: 'ENOSPC' })
  t.equal(await files.size('/a'), undefined)
  files.fault = () => ({ kind: 'deny', code: 'EIO' })
  await t.rejects(files.writeSynced('/a', bytes('1')), { code: 'EIO' })
  t.equal(await files.size('/a'), 1)
  files.fault = () => ({ kind: 'halt' })
  const never = files.writeSynced('/b', bytes('1')).then(() => 'answered')
  const later = new Promise<string>(resolve => setImmediate(() => resolve('nothing')))
  t.equal(await Promise.race([never, later]), 'nothing')
  t.ok(files.down)
  t.equal(files.operations, 3)
})
