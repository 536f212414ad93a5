/** The rules of `CheckpointStorage`, for every implementation. */
import type { Test } from 'tap'
import type { CheckpointStorage } from '../../../checkpoint/storage.ts'

export interface StorageSubject {
  /** Another process on the same storage, which was empty at first. */
  open(): CheckpointStorage
  /** Runs the work to its end; made-up time passes only in here. */
  run<T>(work: () => Promise<T>): Promise<T>
}
/** Made anew for each test. */
export type MakeStorage = (t: Test) => Promise<StorageSubject>

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: Uint8Array | undefined): string | undefined =>
  read === undefined ? undefined : new TextDecoder().decode(read)

export async function testStorage(t: Test, make: MakeStorage): Promise<void> {
  const rule = (name: string, work: (t: Test, subject: StorageSubject) => Promise<void>): Promise<unknown> =>
    t.test(name, async t => {
      const subject = await make(t)
      await subject.run(() => work(t, subject))
    })

  await rule('what was created is read by everybody, whole and in part', async (t, subject) => {
    const storage = subject.open()
    t.equal(await storage.create('deltas/1', bytes('0123456789')), 'created')
    for (const each of [storage, subject.open()]) {
      t.equal(textOf(await each.read('deltas/1')), '0123456789')
      t.equal(textOf(await each.readRange('deltas/1', 2, 3)), '234')
      t.equal(textOf(await each.readRange('deltas/1', 7, 3)), '789')
      t.equal((await each.readRange('deltas/1', 10, 0)).length, 0)
    }
    t.equal(await storage.create('empty', new Uint8Array()), 'created')
    t.equal((await storage.read('empty'))?.length, 0)
    const large = new Uint8Array(1 << 20).map((_, i) => i % 251)
    t.equal(await storage.create('large', large), 'created')
    t.ok(Buffer.from(large).equals((await storage.read('large')) ?? new Uint8Array()))
  })

  await rule('an object never changes: the second who creates it is told that it exists', async (t, subject) => {
    const [one, other] = [subject.open(), subject.open()]
    t.equal(await one.create('decisions/1', bytes('first')), 'created')
    t.equal(await other.create('decisions/1', bytes('second')), 'exists')
    t.equal(await one.create('decisions/1', bytes('first')), 'exists', 'nor does who made it make it again')
    t.equal(textOf(await other.read('decisions/1')), 'first')
  })

  await rule('of many who create one name at once, one does', async (t, subject) => {
    const all = Array.from({ length: 20 }, () => subject.open())
    for (let round = 0; round < 3; round++) {
      const name = `decisions/${round}`
      const told = await Promise.all(all.map((storage, i) => storage.create(name, bytes(`by ${i}`))))
      t.equal(told.filter(each => each === 'created').length, 1)
      t.equal(textOf(await subject.open().read(name)), `by ${told.indexOf('created')}`)
    }
  })

  await rule('what was given and what was read are copies', async (t, subject) => {
    const storage = subject.open()
    const given = bytes('given')
    await storage.create('a', given)
    given.fill(0)
    const read = await storage.read('a')
    t.equal(textOf(read), 'given')
    read?.fill(0)
    ;(await storage.readRange('a', 0, 5)).fill(0)
    t.equal(textOf(await storage.read('a')), 'given')
  })

  await rule('what is not there is said to be so', async (t, subject) => {
    const storage = subject.open()
    t.equal(await storage.read('nowhere/a'), undefined)
    t.same(await storage.list('nowhere'), [])
    await storage.remove('nowhere/a')
    await t.rejects(storage.readRange('nowhere/a', 0, 1), { code: 'STORAGE_FAILED' })
    await storage.create('short', bytes('abc'))
    await t.rejects(storage.readRange('short', 1, 3), { code: 'CORRUPT' }, 'a range behind the end is damage')
  })

  await rule('what was removed is gone, and its name is free', async (t, subject) => {
    const [one, other] = [subject.open(), subject.open()]
    await one.create('deltas/1', bytes('a'))
    await other.remove('deltas/1')
    t.equal(await one.read('deltas/1'), undefined)
    await one.remove('deltas/1')
    t.equal(await one.create('deltas/1', bytes('b')), 'created')
    t.equal(textOf(await other.read('deltas/1')), 'b')
  })

  await rule('a listing has the last parts of the names in one folder, in order', async (t, subject) => {
    const storage = subject.open()
    for (const name of ['b', 'a', 'c-1', 'c']) await storage.create(`deltas/${name}`, bytes(name))
    for (const name of ['deltas2/x', 'delta/y', 'z']) await storage.create(name, bytes(name))
    t.same(await subject.open().list('deltas'), ['a', 'b', 'c', 'c-1'])
    await storage.remove('deltas/b')
    t.same(await storage.list('deltas'), ['a', 'c', 'c-1'])
    t.same(await storage.list('delta'), ['y'])
  })

  await rule('no name leads out of it', async (t, subject) => {
    const storage = subject.open()
    for (const name of ['', '..', '../a', 'a/../b', 'a//b', './a', 'a/.', '/a']) {
      await t.rejects(storage.create(name, bytes('x')), { code: 'CORRUPT' }, name)
      await t.rejects(storage.read(name), { code: 'CORRUPT' }, name)
      await t.rejects(storage.remove(name), { code: 'CORRUPT' }, name)
    }
  })
}
