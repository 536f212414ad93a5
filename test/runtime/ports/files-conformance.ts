/** The rules of `Files`, for every implementation. */
import type { Test } from 'tap'
import type { Files } from '../../../runtime/ports/files.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: Uint8Array): string => new TextDecoder().decode(read)

/** @param root absolute, of a folder that is there and empty */
export async function testFiles(t: Test, files: Files, root: string): Promise<void> {
  const at = (name: string): string => `${root}/${name}`

  await t.test('what is written is read, whole and in part', async t => {
    await files.writeSynced(at('a'), bytes('0123456789'))
    t.equal(textOf(await files.read(at('a'))), '0123456789')
    t.equal(textOf(await files.readRange(at('a'), 2, 3)), '234')
    t.equal(textOf(await files.readRange(at('a'), 8, 5)), '89', 'fewer at the end')
    t.equal((await files.readRange(at('a'), 10, 5)).length, 0)
    t.equal(await files.size(at('a')), 10)
    await files.writeSynced(at('a'), bytes('short'))
    t.equal(textOf(await files.read(at('a'))), 'short', 'written again, it is cut')
    await files.writeSynced(at('empty'), new Uint8Array())
    t.equal(await files.size(at('empty')), 0)
  })

  await t.test('what was given stays as it was given', async t => {
    const given = bytes('given')
    await files.writeSynced(at('given'), given)
    given.fill(0)
    const read = await files.read(at('given'))
    t.equal(textOf(read), 'given')
    read.fill(0)
    t.equal(textOf(await files.read(at('given'))), 'given')
  })

  await t.test('what is not there is said to be so', async t => {
    t.equal(await files.size(at('nowhere')), undefined)
    t.same(await files.list(at('nowhere')), [])
    await files.remove(at('nowhere'))
    const absent = { code: 'ENOENT' }
    await t.rejects(files.read(at('nowhere')), absent)
    await t.rejects(files.readRange(at('nowhere'), 0, 1), absent)
    await t.rejects(files.link(at('nowhere'), at('b')), absent)
    await t.rejects(files.rename(at('nowhere'), at('b')), absent)
    await t.rejects(files.writeSynced(at('nowhere/b'), bytes('')), absent)
    await t.rejects(files.syncFolder(at('nowhere')), absent)
  })

  await t.test('a link is a second name, and never takes one that is taken', async t => {
    await files.writeSynced(at('one'), bytes('1'))
    await files.writeSynced(at('two'), bytes('2'))
    await t.rejects(files.link(at('one'), at('two')), { code: 'EEXIST' })
    await files.link(at('one'), at('three'))
    await files.remove(at('one'))
    t.equal(textOf(await files.read(at('three'))), '1')
    t.equal(await files.size(at('one')), undefined)
  })

  await t.test('a rename takes the place of what was there', async t => {
    await files.writeSynced(at('old'), bytes('old'))
    await files.writeSynced(at('new'), bytes('new'))
    await files.rename(at('new'), at('old'))
    t.equal(textOf(await files.read(at('old'))), 'new')
    t.equal(await files.size(at('new')), undefined)
  })

  await t.test('folders are made with their parents, twice if need be, and listed in order', async t => {
    await files.makeFolder(at('x/y/z'))
    await files.makeFolder(at('x/y/z'))
    for (const name of ['b', 'a', 'c']) await files.writeSynced(at(`x/y/z/${name}`), bytes(name))
    await files.syncFolder(at('x/y/z'))
    t.same(await files.list(at('x/y/z')), ['a', 'b', 'c'])
    t.same(await files.list(at('x')), ['y'])
  })
}
