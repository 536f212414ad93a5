/** What simulated storage does when things go wrong; what it does otherwise is told by the conformance suite. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { SimHost } from '../../../simulations/world/process.ts'
import { SimStorage, type StorageOptions } from '../../../simulations/world/storage.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: Uint8Array | undefined): string | undefined =>
  read === undefined ? undefined : new TextDecoder().decode(read)

function world(seed: string | number = 'storage', options: StorageOptions = {}) {
  const time = new WorldTime()
  const random = new Prng(seed)
  const storage = new SimStorage(time, random, options)
  const [a, b] = [new SimHost(time, 'a', random), new SimHost(time, 'b', random)]
  const [one, other] = [storage.handle(a.start()), storage.handle(b.start())]
  return { time, storage, a, b, one, other }
}
const failed = { code: 'STORAGE_FAILED' }

void t.test('refused: told of a failure, and nothing happened', async t => {
  const { time, storage, one } = world()
  const heal = storage.disturb({ refuse: 1 })
  const asks: (() => Promise<unknown>)[] = [
    () => one.create('x', bytes('1')),
    () => one.read('x'),
    () => one.list('y'),
    () => one.remove('x')
  ]
  for (const ask of asks) await t.rejects(time.complete(ask()), failed)
  heal()
  await time.run({})
  t.same(storage.names(), [])
  t.same(new Set(storage.history.map(({ outcome }) => outcome)), new Set(['refused']))
  t.equal(await time.complete(one.create('x', bytes('1'))), 'created')
})

void t.test('full: nothing can be created, all else can be done', async t => {
  const { time, storage, one } = world()
  await time.complete(one.create('x', bytes('1')))
  const heal = storage.disturb({ full: 1 })
  await t.rejects(time.complete(one.create('y', bytes('2'))), failed)
  t.equal(textOf(await time.complete(one.read('x'))), '1')
  await time.complete(one.remove('x'))
  t.same(storage.names(), [])
  heal()
  t.equal(await time.complete(one.create('y', bytes('2'))), 'created')
})

void t.test(
  'ambiguous: told of a failure, and it happens before that or after; a create is conditional then',
  async t => {
    let [early, late, lost] = [0, 0, 0]
    for (let seed = 0; seed < 60; seed++) {
      const { time, storage, one, other } = world(seed)
      const heal = storage.disturb({ ambiguous: 1, lateMs: 10_000 }, 'a')
      await t.rejects(time.complete(one.create('x', bytes('a'))), failed)
      if (storage.peek('x') === undefined) late++
      else early++
      heal()
      const told = await time.complete(other.create('x', bytes('b')))
      await time.run({})
      t.equal(textOf(storage.peek('x')), told === 'created' ? 'b' : 'a')
      if (told === 'created') lost++
      const changes = storage.history.filter(({ name }) => name === 'x')
      t.equal(changes.filter(({ outcome }) => outcome === 'created').length, 1)
      t.same(changes.map(({ who, untold }) => [who, untold]).sort(), [
        ['a#1', true],
        ['b#1', false]
      ])
    }
    t.ok(early > 5 && late > 5 && lost > 5, `${early} early, ${late} late, ${lost} too late`)
  }
)

void t.test('a removal that was told to have failed may take away what was made since', async t => {
  const outcomes = new Set<string | undefined>()
  for (let seed = 0; seed < 40; seed++) {
    const { time, storage, one, other } = world(seed)
    await time.complete(one.create('x', bytes('old')))
    const heal = storage.disturb({ ambiguous: 1 }, 'a')
    await t.rejects(time.complete(one.remove('x')), failed)
    heal()
    await time.complete(other.remove('x'))
    await time.complete(other.create('x', bytes('new')))
    await time.run({})
    outcomes.add(textOf(storage.peek('x')))
  }
  t.same(outcomes, new Set(['new', undefined]))
})

void t.test('what was on its way when its process died is done or not, and is told to nobody', async t => {
  const outcomes = new Set<string | undefined>()
  for (let seed = 0; seed < 20; seed++) {
    const { time, storage, a, one } = world(seed)
    let told = false
    void one.create('x', bytes('a')).finally(() => (told = true))
    a.kill()
    await time.run({})
    t.notOk(told)
    outcomes.add(textOf(storage.peek('x')))
    for (const { untold } of storage.history) t.ok(untold)
  }
  t.same(outcomes, new Set(['a', undefined]))
  const sure = world(1, { survives: 1 })
  void sure.one.create('x', bytes('a'))
  sure.a.kill()
  await sure.time.run({})
  t.equal(textOf(sure.storage.peek('x')), 'a')
})

void t.test('unreachable for one machine, reachable for another', async t => {
  const { time, storage, one, other } = world()
  const heal = storage.disturb({ unreachable: 1 }, 'a')
  await t.rejects(time.complete(one.create('x', bytes('1'))), /no answer/)
  t.equal(time.now(), 3_000, 'after a while')
  await time.run({})
  t.same(storage.names(), [])
  t.equal(await time.complete(other.create('x', bytes('1'))), 'created')
  heal()
  t.equal(textOf(await time.complete(one.read('x'))), '1')
})

void t.test('a stale listing was true once; reads are never stale', async t => {
  const { time, storage, one } = world()
  const truths = new Set([''])
  for (let i = 0; i < 10; i++) {
    await time.complete(one.create(`f/${i}`, bytes('x')))
    truths.add((await time.complete(one.list('f'))).join())
    if (i % 3 === 2) {
      await time.complete(one.remove(`f/${i - 1}`))
      truths.add((await time.complete(one.list('f'))).join())
    }
  }
  storage.disturb({ staleList: 1, staleMs: 60 })
  const seen = new Set<string>()
  for (let i = 0; i < 20; i++) seen.add((await time.complete(one.list('f'))).join())
  t.ok(seen.size > 2)
  t.same(
    [...seen].filter(each => !truths.has(each)),
    []
  )
  t.equal(textOf(await time.complete(one.read('f/9'))), 'x')
  t.equal(await time.complete(one.read('f/1')), undefined)
})

void t.test('slow storage is slow, and large objects are slower', async t => {
  const { time, storage, one } = world()
  const took = async (size: number): Promise<number> => {
    const began = time.now()
    await time.complete(one.create(`f/${began}`, new Uint8Array(size)))
    return time.now() - began
  }
  const usual = await took(10)
  t.ok((await took(10_000_000)) > 20 * usual)
  storage.disturb({ slow: 200 })
  t.ok((await took(10)) > 20 * usual)
})

void t.test('two disturbances add up, and each has its own end', async t => {
  const { time, storage, one } = world()
  const [first, second] = [storage.disturb({ refuse: 0.5 }), storage.disturb({ refuse: 0.5 })]
  for (let i = 0; i < 10; i++) await t.rejects(time.complete(one.read('x')), failed)
  first()
  first()
  const told = await time.complete(Promise.allSettled(Array.from({ length: 50 }, () => one.read('x'))))
  t.equal(new Set(told.map(({ status }) => status)).size, 2)
  second()
  t.equal(await time.complete(one.read('x')), undefined)
})

void t.test('an operator may put and take what he likes', async t => {
  const { time, storage, one } = world()
  storage.set('x', bytes('by hand'))
  t.equal(textOf(await time.complete(one.read('x'))), 'by hand')
  storage.set('x', undefined)
  t.equal(await time.complete(one.read('x')), undefined)
})
