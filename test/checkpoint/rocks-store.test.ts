/** A store on RocksDB whose process ends in the middle of it: killed, or by damage that the driver cannot tell of. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { loadRocks } from '../../checkpoint/adapters/load-rocks.ts'
import { RocksStore } from '../../checkpoint/adapters/rocks-store.ts'
import { needs } from '../support/services.ts'

const root = mkdtempSync(join(tmpdir(), 'cairn-rocks-store-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
const program = fileURLToPath(new URL('./fixtures/rocks-process.js', import.meta.url))
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const read = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)

void t.test('a driver that is not there, or does not load, is one error with the remedy', async t => {
  const missing = (): unknown => {
    throw new Error('No native build was found for platform=linux arch=riscv64\n    loaded from: x')
  }
  t.throws(() => loadRocks(missing), {
    code: 'PACKAGE_MISSING',
    message: /^store 'rocksdb' needs the package "@nxtedition\/rocksdb".*No native build was found.*riscv64/,
    remedy: /npm run services -- install rocksdb/
  })
  t.throws(() => loadRocks(() => ({})), { code: 'PACKAGE_MISSING', message: /it is another package/ })
})

void t.test(
  'killed while it writes: every round that it told of is there, and none with a part missing',
  needs('rocksdb'),
  async t => {
    const folder = join(root, 'killed')
    let told = -1
    for (let times = 0; times < 2; times++) {
      const child = fork(program, ['write', folder])
      child.on('message', round => {
        told = round as number
        if (told === 300 * (times + 1)) child.kill('SIGKILL')
      })
      const [, signal] = (await once(child, 'exit')) as unknown[]
      t.equal(signal, 'SIGKILL')
      const store = await RocksStore.open(folder)
      t.equal(store.lost, undefined)
      const last = Number(read(store.getSync(text('last'))))
      t.ok(last >= told, `${last} of ${told}`)
      const entries = await store.scan(text('k'), text('l'), 100_000)
      // The second process begins anew at the first round.
      t.ok(entries.length >= last + 1)
      t.ok(entries.every(({ value }, i) => read(value) === `value ${i} `.repeat(20)))
      await store.close()
    }
  }
)

void t.test('a damaged block that many keys are read from ends the process, once', needs('rocksdb'), async t => {
  const folder = join(root, 'damaged')
  let store = await RocksStore.create(folder)
  for (let i = 0; i < 2000; i++)
    await store.apply([{ key: text(`k${String(i).padStart(6, '0')}`), value: text(`value ${i} `.repeat(20)) }])
  await store.close()
  // Opened again, what was in the log stands in a table.
  store = await RocksStore.open(folder)
  await store.close()
  const table = join(folder, readdirSync(folder).find(name => name.endsWith('.sst')) as string)
  const bytes = readFileSync(table)
  bytes[100] = (bytes[100] as number) ^ 4
  writeFileSync(table, bytes)
  const child = fork(program, ['read', folder], { silent: true })
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(child, 'close')) as unknown[]
  t.not(code, 0)
  t.match(said, /Corruption: block checksum mismatch/)
  const next = fork(program, ['read', folder], { silent: true })
  const [answer] = (await once(next, 'message')) as unknown[]
  t.equal(answer, 2000)
  await once(next, 'close')
  const empty = await RocksStore.open(folder)
  t.same(await empty.scan(text('k'), text('l'), 10), [])
  await empty.close()
})
