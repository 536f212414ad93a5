/** A local store on its own: filled as a restore does, changed as checkpoints do, read as handlers do. */
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LevelStore } from '../checkpoint/adapters/level-store.ts'
import { RocksStore } from '../checkpoint/adapters/rocks-store.ts'
import type { StoreWrite } from '../checkpoint/state-store.ts'
import { Prng } from '../runtime/kernel/prng.ts'
import { quantile } from './barrier.ts'

export const diskStores = ['level', 'rocksdb'] as const
export interface StoresSpec {
  readonly kind: 'stores'
  readonly store: (typeof diskStores)[number]
  readonly keys: number
  readonly bytesPerKey: number
}
/** Times of wall clock. */
export interface StoresResult {
  readonly restoreMs: number
  readonly restoreCpuMs: number
  /** The longest that the event loop was held, while it restored. */
  readonly heldMs: number
  /** Of a hundredth of the keys: the median. */
  readonly checkpointMs: number
  /** Of one key: many in one read, and one by one. */
  readonly readManyMicros: number
  readonly readSyncMicros: number
  /** Of one entry, in pages. */
  readonly scanMicros: number
  /** What another process left is opened. */
  readonly openMs: number
  readonly diskBytes: number
}

const part = 7
const perRead = 256
const text = new TextEncoder()

/** In an order that has nothing to do with that of the numbers, as keys of users are. */
function keyOf(i: number): Uint8Array {
  const key = new Uint8Array(20)
  const view = new DataView(key.buffer)
  view.setUint32(0, part)
  view.setUint32(4, Math.imul(i + 1, 0x9e3779b1))
  view.setUint32(16, i)
  return key
}

export async function measureStores({ store: kind, keys, bytesPerKey }: StoresSpec): Promise<StoresResult> {
  const root = mkdtempSync(join(tmpdir(), 'cairn-bench-'))
  const Store = kind === 'level' ? LevelStore : RocksStore
  const random = new Prng('stores')
  const valueOf = (i: number, round: number): Uint8Array =>
    text.encode(`{"account":"acc-${i}","count":${round},"total":${i * 7919 + round},`.padEnd(bytesPerKey, `${i} `))
  const folder = join(root, 'store')
  try {
    let store = await Store.create(folder)
    function* all(): Generator<StoreWrite> {
      for (let i = 0; i < keys; i++) yield { key: keyOf(i), value: valueOf(i, 0) }
    }
    let held = 0
    let turned = performance.now()
    let watching = true
    const watch = (): void => {
      const now = performance.now()
      held = Math.max(held, now - turned)
      turned = now
      if (watching) setImmediate(watch)
    }
    watch()
    const cpu = process.cpuUsage()
    let start = performance.now()
    await store.apply(all())
    const restoreMs = performance.now() - start
    const { user, system } = process.cpuUsage(cpu)
    watching = false
    const rounds: number[] = []
    for (let round = 1; round <= 20; round++) {
      const changed = Array.from({ length: keys / 100 }, () => random.int(keys))
      start = performance.now()
      await store.apply(changed.map(i => ({ key: keyOf(i), value: valueOf(i, round) })))
      rounds.push(performance.now() - start)
    }
    await store.close()
    const left = join(root, 'left')
    cpSync(folder, left, { recursive: true })
    start = performance.now()
    store = await Store.open(left)
    const openMs = performance.now() - start
    const reads = Math.floor(keys / 5 / perRead)
    start = performance.now()
    for (let n = 0; n < reads; n++) {
      const values = await store.getMany(Array.from({ length: perRead }, () => keyOf(random.int(keys))))
      if (values.includes(undefined)) throw new Error('a key is missing')
    }
    const readManyMicros = ((performance.now() - start) * 1000) / (reads * perRead)
    start = performance.now()
    for (let n = 0; n < reads * perRead; n++) store.getSync(keyOf(random.int(keys)))
    const readSyncMicros = ((performance.now() - start) * 1000) / (reads * perRead)
    start = performance.now()
    let scanned = 0
    for (let from = Uint8Array.of(0, 0, 0, part); ;) {
      const page = await store.scan(from, Uint8Array.of(0, 0, 0, part + 1), 1024)
      const last = page.at(-1)
      if (last === undefined) break
      scanned += page.length
      from = Uint8Array.of(...last.key, 0)
    }
    if (scanned !== keys) throw new Error(`${scanned} entries of ${keys}`)
    const scanMicros = ((performance.now() - start) * 1000) / keys
    await store.close()
    return {
      restoreMs,
      restoreCpuMs: (user + system) / 1000,
      heldMs: held,
      checkpointMs: quantile(rounds, 0.5),
      readManyMicros,
      readSyncMicros,
      scanMicros,
      openMs,
      diskBytes: readdirSync(left).reduce((sum, name) => sum + statSync(join(left, name)).size, 0)
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
