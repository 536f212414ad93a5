/** Checkpoints against changed keys, memory per idle key, and state several times larger than its budget. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Actor, files, job, json, lines, type Context } from '../actors/index.ts'
import { accounts } from './throughput.ts'
import { quantile } from './barrier.ts'
import { handled, startEngine } from './engine.ts'
import { EventBytes, EventReader, type Payment } from './events.ts'

export interface CheckpointSpec {
  readonly kind: 'checkpoint'
  readonly keys: number
  readonly changed: number
  readonly rounds: number
}
export interface CheckpointResult {
  readonly medianMs: number
  readonly worstMs: number
  /** Written per checkpoint, merging included: the mean over all rounds, a whole base cycle among them. */
  readonly bytesPerCheckpoint: number
  /** Of the delta and the manifest alone: the median. */
  readonly medianBytes: number
}

/** Changes the same number of keys in each round, with ever more keys in all. */
export async function measureCheckpoints(spec: CheckpointSpec): Promise<CheckpointResult> {
  const { keys, changed, rounds } = spec
  const stride = Math.max(1, Math.floor(keys / changed))
  const events = new EventBytes(keys + rounds * changed, keys, 'uniform', undefined, i =>
    i < keys ? i : ((i - keys) % changed) * stride + (Math.floor((i - keys) / changed) % stride)
  )
  const reader = new EventReader(events, keys)
  const engine = await startEngine(accounts({ interval: 3_600_000 }), reader)
  engine.shell.start()
  await handled(engine, keys)
  await engine.shell.checkpoint()
  await sleep(200)
  const times: number[] = []
  const bytes: number[] = []
  const start = engine.storage.bytes
  for (let round = 1; round <= rounds; round++) {
    reader.release(keys + round * changed)
    await handled(engine, keys + round * changed)
    const before = engine.storage.bytes
    const from = performance.now()
    await engine.shell.checkpoint()
    times.push(performance.now() - from)
    bytes.push(engine.storage.bytes - before)
  }
  await sleep(500)
  const result = {
    medianMs: quantile(times, 0.5),
    worstMs: Math.max(...times),
    bytesPerCheckpoint: (engine.storage.bytes - start) / rounds,
    medianBytes: quantile(bytes, 0.5)
  }
  await engine.close()
  return result
}

export interface MemorySpec {
  readonly kind: 'memory'
  readonly keys: number
}
export interface MemoryResult {
  readonly bytesPerKey: number
}

/** Needs `--expose-gc`. */
export async function measureMemory({ keys }: MemorySpec): Promise<MemoryResult> {
  const events = new EventBytes(keys, keys, 'uniform', undefined, i => i)
  const engine = await startEngine(accounts({ interval: 3_600_000 }), new EventReader(events, 0 + keys - 1))
  const used = (): number => {
    gc?.()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = used()
  engine.shell.start()
  await handled(engine, keys - 1)
  await engine.shell.checkpoint()
  await sleep(500)
  const after = used()
  await engine.close()
  return { bytesPerKey: (after - before) / keys }
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

class Document extends Actor {
  count = 0
  total = 0
  text = ''
  receive(payment: Payment & { readonly amount: number }, _ctx: Context<never>): void {
    if (this.count === 0) this.text = filler(payment.account)
    this.count++
    this.total += payment.amount
  }
}
let fillerBytes = 0
const filler = (account: string): string => account.repeat(Math.ceil(fillerBytes / account.length))

/** Every key, round after round, through a cache that holds a part of them; then every key's fields are compared. */
export async function measureLarger(spec: LargerSpec): Promise<LargerResult> {
  fillerBytes = spec.bytesPerKey
  const { keys, rounds } = spec
  const keyOf = (i: number): number => (i % keys) ^ 1
  const events = new EventBytes(keys * rounds, keys, 'uniform', undefined, i => keyOf(i))
  const reader = new EventReader(events, 0)
  const engine = await startEngine(
    job(
      'larger',
      j => {
        const stage = j
          .source('payments', lines('unused', json<Payment>()))
          .keyBy(p => p.account)
          .actor(Document)
        return { out: stage.to('out', files('unused', json<never>())) }
      },
      { store: spec.store, cache: spec.cacheBytes, interval: 500 }
    ),
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
    const state = engine.worker.stateOf('Document', account)
    let count = 0
    let total = 0
    for (let round = 0; round < rounds; round++) {
      const i = round * keys + (key ^ 1)
      if (i >= keys * rounds - 1) continue
      count++
      total += i % 1000
    }
    if (state?.['count'] !== count || state['total'] !== total || state['text'] !== filler(account)) wrongKeys++
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
