/** A store on LevelDB or RocksDB that is opened again: what was applied is there up to some point, or it is thrown away and says why. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LevelStore } from '../../checkpoint/adapters/level-store.ts'
import { RocksStore } from '../../checkpoint/adapters/rocks-store.ts'
import { oneAtATime, type StateStore } from '../../checkpoint/state-store.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { verifyLogs } from '../../runtime/kernel/level-format.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { needs } from '../support/services.ts'

const root = mkdtempSync(join(tmpdir(), 'cairn-level-store-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const keyOf = (i: number): Uint8Array => text(`k${String(i).padStart(4, '0')}`)
const rounds = 120

/** Each round is a batch: another key, and which one was last. */
async function fill(store: StateStore, from = 0): Promise<void> {
  for (let i = from; i < from + rounds; i++)
    await store.apply([
      { key: keyOf(i), value: text(`value ${i} `.repeat(20)) },
      { key: text('last'), value: text(String(i)) }
    ])
}

/** How many rounds it holds; throws when it holds a later one and not all before it. */
async function held(store: StateStore): Promise<number> {
  const last = store.getSync(text('last'))
  const entries = await store.scan(text('k'), text('l'), 10_000)
  const count = last === undefined ? 0 : Number(new TextDecoder().decode(last)) + 1
  const whole = entries.every(({ value }, i) => new TextDecoder().decode(value) === `value ${i} `.repeat(20))
  if (entries.length !== count || !whole) throw new Error(`it holds ${entries.length} rounds and tells of ${count}`)
  return count
}

const files = (folder: string, ending: string): string[] =>
  readdirSync(folder)
    .filter(name => name.endsWith(ending))
    .map(name => join(folder, name))

interface Case {
  readonly Store: typeof LevelStore
  readonly options: { readonly skip?: string }
  /** Files that may be gone without harm. */
  readonly beside: RegExp
  readonly flips: number
}
const cases: Readonly<Record<string, Case>> = {
  level: { Store: LevelStore, options: {}, beside: /^(LOCK|LOG)$/, flips: 60 },
  rocksdb: { Store: RocksStore, options: needs('rocksdb'), beside: /^(LOCK|IDENTITY|OPTIONS-.*)$/, flips: 10 }
}

for (const [name, { Store, options, beside, flips }] of Object.entries(cases)) {
  /** As a process that was killed left it: some of it in tables, the rest in the log. */
  const left = join(root, `${name}-left`)
  const leave = async (): Promise<void> => {
    const folder = join(root, `${name}-live`)
    const first = await Store.create(folder)
    await fill(first)
    await first.close()
    const second = await Store.open(folder)
    await fill(second, rounds)
    cpSync(folder, left, { recursive: true })
    await second.close()
  }

  void t.test(
    `${name}: what was applied is there after the process was killed, and after it closed the store`,
    options,
    async t => {
      await leave()
      const copy = join(root, `${name}-copy`)
      cpSync(left, copy, { recursive: true })
      for (let times = 0; times < 2; times++) {
        const store = await Store.open(copy)
        t.equal(store.lost, undefined)
        t.equal(await held(store), 2 * rounds)
        await store.close()
      }
    }
  )

  void t.test(`${name}: a log that ends anywhere leaves what was applied up to some point`, options, async t => {
    const counts = new Set<number>()
    for (let i = 0; i < 15; i++) {
      const copy = join(root, `${name}-cut-${i}`)
      cpSync(left, copy, { recursive: true })
      const [log] = files(copy, '.log')
      truncateSync(log as string, Math.floor((statSync(log as string).size * i) / 15))
      const store = await Store.open(copy)
      counts.add(await held(store))
      await store.close()
    }
    t.ok(counts.size > 10)
    t.ok([...counts].every(count => count >= rounds))
  })

  void t.test(
    `${name}: any flipped bit: up to some point, or empty with a reason, or noticed at a read and empty from then on`,
    options,
    async t => {
      const random = new Prng('flips')
      const outcomes = { prefix: 0, lost: 0, noticed: 0 }
      const names = readdirSync(left).filter(each => !beside.test(each))
      for (let i = 0; i < flips; i++) {
        const copy = join(root, `${name}-flip-${i}`)
        cpSync(left, copy, { recursive: true })
        const path = join(copy, names[i % names.length] as string)
        const bytes = readFileSync(path)
        if (bytes.length === 0) continue
        const at = random.int(bytes.length)
        bytes[at] = (bytes[at] as number) ^ (1 << random.int(8))
        writeFileSync(path, bytes)
        const store = await Store.open(copy)
        try {
          const count = await held(store)
          if (store.lost === undefined) outcomes.prefix++
          else if (++outcomes.lost > 0 && count !== 0) t.fail('it was lost, and holds something')
          await store.close()
        } catch (error) {
          if (!(error instanceof CodedError) || error.code !== 'CORRUPT') throw error
          outcomes.noticed++
          await store.close()
          const again = await Store.open(copy)
          t.equal(await held(again), 0)
          await again.close()
        }
      }
      t.comment(JSON.stringify(outcomes))
      t.ok(outcomes.lost > flips / 3, JSON.stringify(outcomes))
    }
  )

  void t.test(`${name}: in use by another process: another folder, which goes when it is closed`, options, async t => {
    const folder = join(root, `${name}-used`)
    const first = await Store.open(folder)
    await fill(first)
    const second = await Store.open(folder)
    t.equal(await held(second), 0)
    t.equal(readdirSync(root).filter(each => each.startsWith(`${name}-used-`)).length, 1)
    await second.close()
    t.equal(readdirSync(root).filter(each => each.startsWith(`${name}-used-`)).length, 0)
    t.equal(await held(first), rounds)
    await first.close()
  })
}

void t.test('a gap in a log, or between two, is damage', t => {
  const [path] = files(join(root, 'level-left'), '.log')
  const log = new Uint8Array(readFileSync(path as string))
  t.doesNotThrow(() => verifyLogs([log], 1e6))
  t.doesNotThrow(() => verifyLogs([log, new Uint8Array()], 1e6))
  const hole = log.slice()
  hole.fill(0, 1000, 2000)
  for (const logs of [[log, log], [new Uint8Array(), log], [hole], [log.subarray(0, log.length / 2), log]])
    t.throws(() => verifyLogs(logs, 1e6), { code: 'CORRUPT' })
  t.throws(() => verifyLogs([log], 0), { code: 'CORRUPT' }, 'what came before it is nowhere')
  t.end()
})

void t.test('one at a time: the next waits until the one before is closed, or could not be opened', async t => {
  const order: string[] = []
  let fails = true
  const open = oneAtATime(() => {
    order.push('open')
    return fails ? Promise.reject(new Error('not now')) : LevelStore.open(join(root, 'turns'))
  })
  await t.rejects(open(), { message: 'not now' })
  fails = false
  const first = await open()
  const second = open()
  order.push('asked')
  await first.close()
  await (await second).close()
  t.same(order, ['open', 'open', 'asked', 'open'])
})
