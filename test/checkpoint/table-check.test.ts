/** Damage of a table is found whoever checks it, and whatever becomes of the threads. */
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Level } from 'level'
import t from 'tap'
import { checkTables, type TableWork } from '../../checkpoint/adapters/table-check.ts'
import { verifyTable } from '../../runtime/kernel/level-format.ts'
import { patchedBuild, type PatchedBuild } from '../../simulations/patched-build.ts'

t.setTimeout(120_000)
const folder = mkdtempSync(join(tmpdir(), 'cairn-tables-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Copies of a real one. */
const tables = await (async (): Promise<string[]> => {
  const made = join(folder, 'made')
  const db = new Level<string, string>(made, { compression: false })
  await db.batch(
    Array.from({ length: 2_000 }, (_, i) => ({ type: 'put' as const, key: `key-${i}`, value: 'x'.repeat(100) }))
  )
  await (db as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange('', '~')
  await db.close()
  const [table] = readdirSync(made).filter(name => name.endsWith('.ldb'))
  if (table === undefined) throw new Error('no table')
  return Array.from({ length: 60 }, (_, i) => {
    copyFileSync(join(made, table), join(folder, `${i}.ldb`))
    return `${i}.ldb`
  })
})()

function damaged(t: { teardown(callback: () => void): void }, table: string, change: (bytes: Buffer) => Buffer): void {
  const path = join(folder, table)
  const bytes = readFileSync(path)
  t.teardown(() => writeFileSync(path, bytes))
  writeFileSync(path, change(Buffer.from(bytes)))
}
const flipped = (bytes: Buffer): Buffer => {
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
  return bytes
}

/** What was thrown. */
async function errorOf(threads: number, check: typeof checkTables = checkTables): Promise<string | undefined> {
  const own = async (table: string): Promise<void> => {
    // Threads get their share, whichever that is.
    await new Promise(resolve => setTimeout(resolve, 2))
    try {
      verifyTable(readFileSync(join(folder, table)))
    } catch {
      throw new Error(table)
    }
  }
  try {
    await check(folder, tables, own, threads)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

for (const threads of [0, 1, 3]) {
  void t.test(`whole tables, ${threads} threads`, async t => t.equal(await errorOf(threads), undefined))
  for (const place of [0, 31, 59])
    void t.test(`table ${place} is damaged, ${threads} threads`, async t => {
      damaged(t, `${place}.ldb`, flipped)
      t.equal(await errorOf(threads), `${place}.ldb`)
    })
  void t.test(`a table is cut off, ${threads} threads`, async t => {
    damaged(t, '40.ldb', bytes => bytes.subarray(0, bytes.length - 1000))
    t.equal(await errorOf(threads), '40.ldb')
  })
}

/** The tables that a thread alone does not call whole. */
async function leftBy(thread: URL): Promise<string[]> {
  const shared = new Int32Array(new SharedArrayBuffer(4 * (tables.length + 1)))
  const worker = new Worker(thread, { workerData: { folder, tables, shared } satisfies TableWork })
  await once(worker, 'exit')
  return tables.filter((_, i) => shared[i + 1] === 0)
}
const threadFile = new URL('../../checkpoint/adapters/table-thread.js', import.meta.url)

void t.test('a thread leaves what is damaged, and what it cannot read, and nothing else', async t => {
  t.same(await leftBy(threadFile), [])
  damaged(t, '3.ldb', flipped)
  damaged(t, '5.ldb', bytes => bytes.subarray(0, 10))
  damaged(t, '7.ldb', () => Buffer.alloc(0))
  tables.push('not there')
  t.teardown(() => tables.pop())
  t.same(await leftBy(threadFile), ['3.ldb', '5.ldb', '7.ldb', 'not there'])
})

const patchedThread = (t: { teardown(callback: () => void): void }, find: string, replace: string): PatchedBuild => {
  const patched = patchedBuild([{ file: 'checkpoint/adapters/table-thread.js', find, replace }])
  t.teardown(() => patched.remove())
  return patched
}

void t.test('one that calls them whole without a look is noticed', async t => {
  const patched = patchedThread(t, 'verifyTable(read(join(work.folder, table.name)));', '')
  damaged(t, '3.ldb', flipped)
  t.same(await leftBy(pathToFileURL(join(patched.folder, 'checkpoint/adapters/table-thread.js'))), [])
})

for (const [what, find, replace] of [
  ['end at once', 'loadNativeCrc32c();', 'process.exit(1);'],
  ['fail', 'loadNativeCrc32c();', "throw new Error('a thread fails');"],
  ['end in the midst of a table', 'table.whole();', 'process.exit(1);']
] as const)
  void t.test(`threads that ${what} cost nothing but time`, async t => {
    const patched = patchedThread(t, find, replace)
    const module = (await patched.load('checkpoint/adapters/table-check.js')) as { checkTables: typeof checkTables }
    t.equal(await errorOf(2, module.checkTables), undefined)
    damaged(t, '59.ldb', flipped)
    t.equal(await errorOf(2, module.checkTables), '59.ldb')
  })
