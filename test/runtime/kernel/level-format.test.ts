/** CRC-32C, snappy and LevelDB's files, against published values and files that LevelDB itself wrote. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import t, { type Test } from 'tap'
import { crc32c } from '../../../runtime/kernel/crc32c.ts'
import { liveFiles, uncompressSnappy, verifyTable } from '../../../runtime/kernel/level-format.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'

/** A Buffer's own `slice` would not copy. */
const read = (path: string): Uint8Array => new Uint8Array(readFileSync(path))
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value)

/** What LevelDB writes when it is opened anew after each round: tables, a manifest. */
async function written(
  t: Test,
  compression: boolean
): Promise<{ tables: Map<number, Uint8Array>; manifest: Uint8Array }> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-level-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (let round = 0; round < 3; round++) {
    const db = new Level<string, string>(folder, { compression })
    for (let i = 0; i < 300; i++) await db.put(`key ${i} of round ${round}`, `value ${i} `.repeat(3))
    await db.close()
  }
  const db = new Level<string, string>(folder, { compression })
  await db.open()
  await db.close()
  const names = readdirSync(folder)
  const tables = new Map(
    names.filter(name => name.endsWith('.ldb')).map(name => [parseInt(name), read(join(folder, name))])
  )
  const manifest = read(join(folder, names.find(name => name.startsWith('MANIFEST-')) ?? ''))
  return { tables, manifest }
}

void t.test('CRC-32C has its published values, whole and in parts', t => {
  t.equal(crc32c(bytesOf('')), 0)
  t.equal(crc32c(bytesOf('123456789')), 0xe3069283)
  t.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
  t.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  t.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, cut) => {
      t.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), crc32c(bytes))
    })
  )
  t.end()
})

void t.test('snappy: literals, copies that overlap themselves, two-byte distances; nothing outside of the block', t => {
  t.equal(text(uncompressSnappy(Uint8Array.of(3, 2 << 2, 97, 98, 99))), 'abc')
  t.equal(text(uncompressSnappy(Uint8Array.of(9, 0, 97, ((8 - 4) << 2) | 1, 1))), 'aaaaaaaaa')
  t.equal(text(uncompressSnappy(Uint8Array.of(6, 2 << 2, 97, 98, 99, (2 << 2) | 2, 3, 0))), 'abcabc')
  const long = 'x'.repeat(70)
  t.equal(text(uncompressSnappy(Uint8Array.of(70, 60 << 2, 69, ...bytesOf(long)))), long)
  for (const bad of [
    [5, 2 << 2, 97, 98, 99],
    [2, 2 << 2, 97, 98, 99],
    [3, 2 << 2, 97],
    [9, 0, 97, ((8 - 4) << 2) | 1, 2],
    [9, 0, 97, ((8 - 4) << 2) | 1, 0],
    [0xff, 0xff, 0xff, 0xff, 0x0f]
  ])
    t.throws(() => uncompressSnappy(Uint8Array.from(bad)), { code: 'CORRUPT' }, bad.join(' '))
  t.end()
})

for (const compression of [false, true])
  void t.test(`tables that LevelDB wrote are whole${compression ? ', compressed ones too' : ''}`, async t => {
    const { tables, manifest } = await written(t, compression)
    t.same([...liveFiles(manifest).tables].sort(), [...tables.keys()].sort())
    t.ok(tables.size > 0)
    for (const table of tables.values()) t.doesNotThrow(() => verifyTable(table))
  })

void t.test('a table that was cut off anywhere, or in which any bit flipped, is refused', async t => {
  const { tables } = await written(t, true)
  const [table] = tables.values() as Iterable<Uint8Array> as [Uint8Array]
  const random = new Prng('level')
  let missed = 0
  for (let length = 0; length < table.length; length++)
    if (!refused(() => verifyTable(table.subarray(0, length)))) missed++
  t.equal(missed, 0)
  // Between the two handles and the magic number the footer is filled up with zeros that mean nothing.
  const end = table.length - 48
  for (let at = 0; at < table.length; at++) {
    if (at >= end + 4 && at < table.length - 8 && table[at] === 0) continue
    const flipped = table.slice()
    flipped[at] = (table[at] as number) ^ (1 << random.int(8))
    if (!refused(() => verifyTable(flipped))) missed++
  }
  t.equal(missed, 0)
})

void t.test('a manifest with a flipped bit is refused; one that ends within a record is read up to there', async t => {
  const { manifest } = await written(t, false)
  for (let at = 0; at < manifest.length; at++) {
    const flipped = manifest.slice()
    flipped[at] = (manifest[at] as number) ^ 4
    // A length that now reaches behind the end looks like a record that was never finished.
    if (!refused(() => liveFiles(flipped))) t.ok(liveFiles(flipped).tables.size <= liveFiles(manifest).tables.size)
  }
  const sizes = new Set<number>()
  for (let length = 0; length <= manifest.length; length++)
    sizes.add(liveFiles(manifest.subarray(0, length)).tables.size)
  t.ok(sizes.has(0) && sizes.size > 1, [...sizes].join())
})

function refused(check: () => unknown): boolean {
  try {
    check()
    return false
  } catch (error) {
    return (error as { code?: string }).code === 'CORRUPT'
  }
}
