/** Checkpoints against changed keys, memory per idle key, and state several times larger than its budget. */
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from './barrier.ts'
import { chooseTextBytes, textOf } from './document.ts'
import { handled, startEngine } from './engine.ts'
import { EventBytes, EventReader, type Payment } from './events.ts'
import { Account, documents, Filled, type SizedState } from './sized-state.ts'
import { accounts } from './throughput.ts'

export interface CheckpointSpec extends SizedState {
  readonly kind: 'checkpoint'
  /** How many keys change between two checkpoints; one after the other. */
  readonly changed: readonly number[]
  /** Checkpoints of each. */
  readonly rounds: number
}
export interface CheckpointResult {
  readonly changed: number
  readonly medianMs: number
  readonly worstMs: number
  /** CPU of the whole process meanwhile: the median. */
  readonly cpuMs: number
  /** Written per checkpoint, merging included: the mean over all rounds. */
  readonly bytesPerCheckpoint: number
  /** Of delta, manifest and decision alone: the median. */
  readonly medianBytes: number
  /** Of them the manifest: the median. */
  readonly manifestBytes: number
}

/** Changes the same number of keys in each round, other ones in the next. Each round begins when all of the one before is merged and applied. */
export async function measureCheckpoints(spec: CheckpointSpec): Promise<CheckpointResult[]> {
  const filled = await Filled.start(spec)
  const { shell, storage } = filled.engine
  const results: CheckpointResult[] = []
  let round = 0
  for (const changed of spec.changed) {
    const times: number[] = []
    const cpus: number[] = []
    const bytes: number[] = []
    const manifests: number[] = []
    const start = storage.bytes
    for (let n = 0; n < spec.rounds; n++) {
      await filled.change(changed, ++round)
      const [before, merged, manifest] = [storage.bytes, storage.bytesIn('bases'), storage.bytesIn('manifests')]
      const [from, cpu] = [performance.now(), process.cpuUsage()]
      await shell.checkpoint()
      times.push(performance.now() - from)
      const { user, system } = process.cpuUsage(cpu)
      cpus.push((user + system) / 1000)
      await filled.engine.quiet()
      bytes.push(storage.bytes - before - (storage.bytesIn('bases') - merged))
      manifests.push(storage.bytesIn('manifests') - manifest)
    }
    results.push({
      changed,
      medianMs: quantile(times, 0.5),
      worstMs: Math.max(...times),
      cpuMs: quantile(cpus, 0.5),
      bytesPerCheckpoint: (storage.bytes - start) / spec.rounds,
      medianBytes: quantile(bytes, 0.5),
      manifestBytes: quantile(manifests, 0.5)
    })
  }
  await filled.engine.close()
  return results
}

export interface MemorySpec {
  readonly kind: 'memory'
  readonly keys: number
  /** Actors in memory, actors in LevelDB behind the usual cache, or objects in a plain Map. */
  readonly of: 'memory' | 'level' | 'map'
}
export interface MemoryResult {
  /** Heap and what it holds outside, after a full collection. */
  readonly bytesPerKey: number
  /** That a full collection held the process while a fifth of the keys was used again: the longest, and how many there were. */
  readonly collectionMs: number
  readonly collections: number
}

/** Needs `--expose-gc`. */
export async function measureMemory({ keys, of }: MemorySpec): Promise<MemoryResult> {
  const events = new EventBytes(keys + keys / 5, keys, 'uniform', undefined, i =>
    i < keys ? i : ((i - keys) * 5) % keys
  )
  const used = (): number => {
    gc?.()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const { fill, use, close } = of === 'map' ? plainMap(events, keys) : await actorsOf(events, keys, of)
  const before = used()
  await fill()
  const bytesPerKey = (used() - before) / keys
  const collections: number[] = []
  const observer = new PerformanceObserver(list => {
    for (const { detail, duration } of list.getEntries() as unknown as { detail: { kind: number }; duration: number }[])
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections.push(duration)
  })
  observer.observe({ entryTypes: ['gc'] })
  await use()
  await sleep(100)
  observer.disconnect()
  await close()
  return { bytesPerKey, collectionMs: Math.max(0, ...collections), collections: collections.length }
}

interface Held {
  /** Of each key once. */
  readonly fill: () => Promise<void>
  /** The other events. */
  readonly use: () => Promise<void>
  readonly close: () => Promise<void>
}

function plainMap(events: EventBytes, keys: number): Held {
  const accounts = new Map<string, { count: number; total: number }>()
  const take = (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++) {
      const { account, amount } = JSON.parse(Buffer.from(events.value(i)).toString()) as Payment
      const known = accounts.get(account)
      if (known === undefined) accounts.set(account, { count: 1, total: amount })
      else {
        known.count++
        known.total += amount
      }
    }
    return Promise.resolve()
  }
  return { fill: () => take(0, keys), use: () => take(keys, events.count), close: () => Promise.resolve() }
}

async function actorsOf(events: EventBytes, keys: number, store: 'memory' | 'level'): Promise<Held> {
  const reader = new EventReader(events, 0)
  const engine = await startEngine(accounts({ store, interval: store === 'memory' ? 3_600_000 : 1000 }), reader)
  engine.shell.start()
  const take = async (upTo: number): Promise<void> => {
    reader.release(upTo)
    await handled(engine, upTo)
    await engine.shell.checkpoint()
    await engine.quiet()
  }
  return { fill: () => take(keys), use: () => take(events.count - 1), close: () => engine.close() }
}

export interface LargerSpec {
  readonly kind: 'larger'
  readonly store: 'level' | 'rocksdb'
  readonly keys: number
  /** Of text in each actor. */
  readonly bytesPerKey: number
  readonly cacheBytes: number
  readonly rounds: number
}
export interface LargerResult {
  readonly stateMiB: number
  readonly peakRssMiB: number
  readonly baselineRssMiB: number
  readonly eventsPerSecond: number
  readonly wrongKeys: number
}

/** Every key, round after round, through a cache that holds a part of them; then every key's fields are compared. */
export async function measureLarger(spec: LargerSpec): Promise<LargerResult> {
  chooseTextBytes(spec.bytesPerKey)
  const { keys, rounds } = spec
  const keyOf = (i: number): number => (i % keys) ^ 1
  const events = new EventBytes(keys * rounds, keys, 'uniform', undefined, i => keyOf(i))
  const reader = new EventReader(events, 0)
  const engine = await startEngine(
    documents(Account, { store: spec.store, cache: spec.cacheBytes, interval: 500 }),
    reader
  )
  engine.shell.start()
  gc?.()
  const baseline = process.memoryUsage.rss()
  let peak = 0
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20)
  const start = performance.now()
  reader.release(keys * rounds - 1)
  await handled(engine, keys * rounds - 1)
  const seconds = (performance.now() - start) / 1000
  await engine.shell.checkpoint()
  let wrongKeys = 0
  for (let key = 0; key < keys; key++) {
    const account = `acc-${key}`
    const state = engine.worker.stateOf('Account', account)
    let count = 0
    let total = 0
    for (let round = 0; round < rounds; round++) {
      const i = round * keys + (key ^ 1)
      if (i >= keys * rounds - 1) continue
      count++
      total += i % 1000
    }
    if (state?.['count'] !== count || state['total'] !== total || state['text'] !== textOf(account)) wrongKeys++
  }
  clearInterval(watch)
  await engine.close()
  return {
    stateMiB: (keys * (spec.bytesPerKey + 40)) / 1024 ** 2,
    peakRssMiB: peak / 1024 ** 2,
    baselineRssMiB: baseline / 1024 ** 2,
    eventsPerSecond: (keys * rounds - 1) / seconds,
    wrongKeys
  }
}
