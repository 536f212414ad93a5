/** What every state store must do, against all of them; and what a naive sorted map would answer. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { LevelStore } from '../../checkpoint/adapters/level-store.ts'
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import { RocksStore } from '../../checkpoint/adapters/rocks-store.ts'
import { afterPrefix, type StateStore, type StorePrefixDelete, type StoreWrite } from '../../checkpoint/state-store.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { LocalStore } from '../../simulations/world/local-store.ts'
import { SimHost } from '../../simulations/world/process.ts'
import { WorldTime } from '../../simulations/world/time.ts'
import { testMistakes, type Mistakes } from '../support/planted.ts'
import { needs } from '../support/services.ts'

/** A store of the simulated world, whose time passes by itself. */
async function simulated(): Promise<StateStore> {
  const time = new WorldTime()
  const turn = <T>(work: Promise<T>): Promise<T> => time.complete(work)
  const store = await turn(LocalStore.open(new SimHost(time, 'w1', new Prng('store')).start()))
  return {
    getMany: keys => turn(store.getMany(keys)),
    getSync: key => store.getSync(key),
    scan: (from, to, limit) => turn(store.scan(from, to, limit)),
    apply: writes => turn(store.apply(writes)),
    close: () => store.close()
  }
}

const folder = mkdtempSync(join(tmpdir(), 'cairn-store-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
let made = 0
const stores: Readonly<Record<string, () => Promise<StateStore>>> = {
  memory: () => Promise.resolve(new MemoryStore()),
  simulated,
  level: () => LevelStore.create(join(folder, String(made++))),
  rocksdb: () => RocksStore.create(join(folder, String(made++)))
}
const wants = (name: string) => (name === 'rocksdb' ? needs('rocksdb') : {})

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
type Op = StoreWrite | StorePrefixDelete

/** The reference: no order kept, everything compared as hexadecimal text. */
class Naive {
  readonly values = new Map<string, string>()
  apply(ops: readonly Op[]): void {
    for (const op of ops)
      if ('prefix' in op) {
        for (const key of [...this.values.keys()]) if (key.startsWith(hex(op.prefix))) this.values.delete(key)
      } else if (op.value === undefined) this.values.delete(hex(op.key))
      else this.values.set(hex(op.key), hex(op.value))
  }
  scan(from: Uint8Array, to: Uint8Array): [string, string][] {
    return [...this.values].filter(([key]) => key >= hex(from) && key < hex(to)).sort(([a], [b]) => (a < b ? -1 : 1))
  }
}

// Few, so that rounds meet each other's.
const key = fc
  .array(fc.constantFrom(0, 1, 0xff), { minLength: 1, maxLength: 3 })
  .map(bytes => Uint8Array.from([7, ...bytes]))
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ key, value: fc.uint8Array({ maxLength: 20 }) }) },
  { weight: 2, arbitrary: key.map(key => ({ key, value: undefined })) },
  { weight: 1, arbitrary: key.map(prefix => ({ prefix })) }
)

/** The same ops, in bytes that are overwritten with the next. */
function* lent(ops: readonly Op[]): Generator<Op> {
  for (const op of ops) {
    const copy = structuredClone(op)
    yield copy
    for (const bytes of Object.values(copy) as (Uint8Array | undefined)[]) bytes?.fill(0xee)
  }
}

/** Page by page. */
async function scanned(store: StateStore, from: Uint8Array, to: Uint8Array): Promise<[string, string][]> {
  const found: [string, string][] = []
  for (let at = from; ;) {
    const page = await store.scan(at, to, 3)
    for (const entry of page) found.push([hex(entry.key), hex(entry.value)])
    const last = page.at(-1)
    if (last === undefined) return found
    at = Uint8Array.from([...last.key, 0])
  }
}

/** Throws when a store answers otherwise than a naive sorted map does. */
async function checkAnswers(open: () => Promise<StateStore>, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(op, { maxLength: 10 }), { maxLength: 12, size: 'max' }),
      key,
      key,
      async (rounds, from, to) => {
        const store = await open()
        const naive = new Naive()
        for (const ops of rounds) {
          await store.apply(lent(ops))
          naive.apply(ops)
          await store.apply(ops.filter(each => !('prefix' in each)).length === ops.length ? ops : [])
          const [found, expected] = [await scanned(store, from, to), naive.scan(from, to)]
          if (JSON.stringify(found) !== JSON.stringify(expected))
            throw new Error(`scan ${JSON.stringify([found, expected])}`)
        }
        const keys = [...naive.values.keys()].map(text => Uint8Array.from(Buffer.from(text, 'hex'))).concat([from])
        const values = await store.getMany(keys)
        for (const [i, each] of keys.entries()) {
          const expected = naive.values.get(hex(each))
          const got = [values[i], store.getSync(each)].map(value => (value === undefined ? undefined : hex(value)))
          if (got.some(value => value !== expected)) throw new Error(`${hex(each)}: ${got.join()} not ${expected}`)
        }
        await store.close()
      }
    ),
    { numRuns }
  )
}

for (const [name, open] of Object.entries(stores)) {
  void t.test(`${name}: reads and scans answer what a naive sorted map answers`, wants(name), async t => {
    await checkAnswers(open, name === 'level' || name === 'rocksdb' ? 40 : 300)
    t.pass('equal')
  })

  void t.test(`${name}: more writes than one slice, read back`, wants(name), async t => {
    const store = await open()
    const text = new TextEncoder()
    function* writes(): Generator<StoreWrite> {
      for (let i = 0; i < 25_000; i++) yield { key: text.encode(`k${i}`), value: text.encode(`v${i}`) }
    }
    await store.apply(writes())
    const [a, b, none] = await store.getMany([text.encode('k0'), text.encode('k24999'), text.encode('k25000')])
    t.equal(new TextDecoder().decode(a), 'v0')
    t.equal(new TextDecoder().decode(b), 'v24999')
    t.equal(none, undefined)
    await store.close()
  })
}

const memoryStore = 'checkpoint/adapters/memory-store.js'
const mistakes: Mistakes = {
  'the order is not made anew after a prefix was deleted': [
    'if (key.startsWith(prefix) && this.values.delete(key)) this.order = undefined',
    'if (key.startsWith(prefix)) this.values.delete(key)'
  ],
  'a scan takes in its upper end': ['if (key >= end)', 'if (key > end)'],
  'what was lent is kept': ['value: value.slice()', 'value']
}

testMistakes('a naive sorted map shows when', memoryStore, mistakes, async (t, load) => {
  const module = await load<{ MemoryStore: typeof MemoryStore }>(memoryStore)
  await t.rejects(
    checkAnswers(() => Promise.resolve(new module.MemoryStore()), 2000),
    /Property failed/
  )
})

void t.test('level: a flipped bit in a stored value is noticed, not read', async t => {
  const path = join(folder, 'flipped')
  const store = await LevelStore.create(path)
  const text = new TextEncoder()
  const value = text.encode('a value that is long enough to be found in the file')
  await store.apply([{ key: text.encode('key'), value }])
  const log = join(path, readdirSync(path).find(file => file.endsWith('.log')) as string)
  const bytes = await readFile(log)
  const at = bytes.indexOf('long enough')
  t.ok(at > 0, 'the value is in the file')
  // Through the store's own database: LevelDB hands out what it has; the checksum over key and value must refuse it.
  const db = (store as unknown as { db: { put(key: Uint8Array, value: Uint8Array): Promise<void> } }).db
  const sealed = bytes.subarray(bytes.indexOf(value) - 4, bytes.indexOf(value) + value.length)
  const flipped = Uint8Array.from(sealed)
  flipped[12] = (flipped[12] as number) ^ 4
  await db.put(text.encode('key'), flipped)
  await t.rejects(store.getMany([text.encode('key')]), { code: 'CORRUPT' })
  await db.put(text.encode('other'), Uint8Array.from(sealed))
  await t.rejects(store.getMany([text.encode('other')]), { code: 'CORRUPT' }, 'a value under another key')
  await store.close()
})

void t.test('the end of a prefix', t => {
  t.same(afterPrefix(Uint8Array.from([1, 255])), Uint8Array.from([2]))
  t.same(afterPrefix(Uint8Array.from([1, 2])), Uint8Array.from([1, 3]))
  t.throws(() => afterPrefix(Uint8Array.from([255])), RangeError)
  t.end()
})
