/** A store on LevelDB that is opened again: what was applied is there up to some point, or it is thrown away and says why. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LevelStore } from '../../checkpoint/adapters/level-store.ts'
import { oneAtATime, type StateStore } from '../../checkpoint/state-store.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { verifyLogs } from '../../runtime/kernel/level-format.ts'
import { Prng } from '../../runtime/kernel/prng.ts'

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

/** As a process that was killed left it: some of it in tables, the rest in the log. */
async function left(): Promise<string> {
  const folder = join(root, 'live')
  const first = await LevelStore.create(folder)
  await fill(first)
  await first.close()
  const second = await LevelStore.open(folder)
  await fill(second, rounds)
  cpSync(folder, join(root, 'left'), { recursive: true })
  await second.close()
  return join(root, 'left')
}

const files = (folder: string, ending: string): string[] =>
  readdirSync(folder)
    .filter(name => name.endsWith(ending))
    .map(name => join(folder, name))

void t.test('what was applied is there after the process was killed, and after it closed the store', async t => {
  const folder = await left()
  const copy = join(root, 'copy')
  cpSync(folder, copy, { recursive: true })
  for (let times = 0; times < 2; times++) {
    const store = await LevelStore.open(copy)
    t.equal(store.lost, undefined)
    t.equal(await held(store), 2 * rounds)
    await store.close()
  }
})

void t.test('a log that ends anywhere leaves what was applied up to some point', async t => {
  const counts = new Set<number>()
  for (let i = 0; i < 15; i++) {
    const copy = join(root, `cut-${i}`)
    cpSync(join(root, 'left'), copy, { recursive: true })
    const [log] = files(copy, '.log')
    truncateSync(log as string, Math.floor((statSync(log as string).size * i) / 15))
    const store = await LevelStore.open(copy)
    counts.add(await held(store))
    await store.close()
  }
  t.ok(counts.size > 10)
  t.ok([...counts].every(count => count >= rounds))
})

void t.test(
  'any flipped bit: up to some point, or empty with a reason, or noticed at a read and empty from then on',
  async t => {
    const random = new Prng('flips')
    const outcomes = { prefix: 0, lost: 0, noticed: 0 }
    const names = readdirSync(join(root, 'left')).filter(name => name !== 'LOCK' && name !== 'LOG')
    for (let i = 0; i < 60; i++) {
      const copy = join(root, `flip-${i}`)
      cpSync(join(root, 'left'), copy, { recursive: true })
      const path = join(copy, names[i % names.length] as string)
      const bytes = readFileSync(path)
      if (bytes.length === 0) continue
      const at = random.int(bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << random.int(8))
      writeFileSync(path, bytes)
      const store = await LevelStore.open(copy)
      try {
        const count = await held(store)
        if (store.lost === undefined) outcomes.prefix++
        else if (++outcomes.lost > 0 && count !== 0) t.fail('it was lost, and holds something')
        await store.close()
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'CORRUPT') throw error
        outcomes.noticed++
        await store.close()
        const again = await LevelStore.open(copy)
        t.equal(await held(again), 0)
        await again.close()
      }
    }
    t.ok(outcomes.lost > 20, JSON.stringify(outcomes))
  }
)

void t.test('a gap in a log, or between two, is damage', t => {
  const [path] = files(join(root, 'left'), '.log')
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

void t.test('in use by another process: another folder, which goes when it is closed', async t => {
  const folder = join(root, 'used')
  const first = await LevelStore.open(folder)
  await fill(first)
  const second = await LevelStore.open(folder)
  t.equal(await held(second), 0)
  t.equal(readdirSync(root).filter(name => name.startsWith('used-')).length, 1)
  await second.close()
  t.equal(readdirSync(root).filter(name => name.startsWith('used-')).length, 0)
  t.equal(await held(first), rounds)
  await first.close()
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
