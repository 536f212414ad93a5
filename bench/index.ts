/** `npm run bench`: every measurement in a process of its own, ratios taken in one run; a table, or `--json`. */
import { cpus, totalmem } from 'node:os'
import { Command, Option } from 'commander'
import { apart } from './apart.ts'
import type { BarrierResult } from './barrier.ts'
import type { LatencyResult } from './latency.ts'
import { flinkMemory } from './peers/idle-keys.ts'
import { diskStores, type StoresResult } from './stores.ts'
import type { CheckpointResult, LargerResult, MemoryResult } from './state.ts'
import type { ThroughputResult } from './throughput.ts'
import { quantile } from './barrier.ts'

interface Line {
  readonly name: string
  readonly value: string
  readonly goal: string
  readonly met: boolean | undefined
  readonly result: unknown
}

const progress = (text: string): void => void process.stderr.write(`bench: ${text}\n`)

const millis = (ms: number): string => `${ms.toFixed(ms < 10 ? 2 : 0)} ms`
const thousands = (n: number): string => Math.round(n).toLocaleString('en-US')
const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(2)} MiB`

/** Cairn and the loop in turns, so that what else the machine does meets both. */
async function throughput(lines: Line[], events: number, rounds: number): Promise<void> {
  for (const skew of ['uniform', 'zipf'] as const)
    for (const [keys, goal] of [
      [1_000, 1 / 2],
      [100_000, 1 / 2],
      [1_000_000, 1 / 3]
    ] as const) {
      const ratios: number[] = []
      const results: { loop: ThroughputResult; cairn: ThroughputResult }[] = []
      for (let round = 0; round < rounds; round++) {
        progress(`throughput, ${thousands(keys)} keys, ${skew}, round ${round + 1} of ${rounds}`)
        const of = (engine: 'loop' | 'cairn') =>
          apart<ThroughputResult>({ kind: 'throughput', engine, events, keys, skew })
        const loop = await of('loop')
        const cairn = await of('cairn')
        results.push({ loop, cairn })
        ratios.push(loop.cpuMicrosPerEvent / cairn.cpuMicrosPerEvent)
      }
      const ratio = quantile(ratios, 0.5)
      const { loop, cairn } = results[0] as { loop: ThroughputResult; cairn: ThroughputResult }
      const speeds = `${thousands(cairn.perSecond)} of ${thousands(loop.perSecond)} events/s`
      const cpu = `${cairn.cpuMicrosPerEvent.toFixed(2)} against ${loop.cpuMicrosPerEvent.toFixed(2)} µs CPU`
      lines.push({
        name: `throughput of the loop, ${thousands(keys)} keys, ${skew}, store memory`,
        value: `${ratio.toFixed(2)} (${cpu}; ${speeds}; ${cairn.checkpoints} checkpoints; ${cairn.rssMiB.toFixed(0)} MiB)`,
        goal: `≥ ${goal.toFixed(2)}`,
        met: ratio >= goal,
        result: results
      })
    }
}

/** In turns with what is written without a framework. */
async function beside(lines: Line[], events: number, rounds: number): Promise<void> {
  const keys = 100_000
  const ratios: number[] = []
  const results: { today: ThroughputResult; cairn: ThroughputResult }[] = []
  for (let round = 0; round < rounds; round++) {
    progress(
      `throughput beside a put into LevelDB for each event, ${thousands(keys)} keys, round ${round + 1} of ${rounds}`
    )
    const of = (engine: 'today' | 'cairn') =>
      apart<ThroughputResult>({ kind: 'throughput', engine, events, keys, skew: 'uniform' })
    const today = await of('today')
    const cairn = await of('cairn')
    results.push({ today, cairn })
    ratios.push(today.cpuMicrosPerEvent / cairn.cpuMicrosPerEvent)
  }
  const { today, cairn } = results[0] as { today: ThroughputResult; cairn: ThroughputResult }
  lines.push({
    name: `throughput of a put into LevelDB for each event, ${thousands(keys)} keys`,
    value: `${quantile(ratios, 0.5).toFixed(1)} (${cairn.cpuMicrosPerEvent.toFixed(2)} against ${today.cpuMicrosPerEvent.toFixed(2)} µs CPU; ${thousands(cairn.perSecond)} against ${thousands(today.perSecond)} events/s)`,
    goal: '',
    met: undefined,
    result: results
  })
}

async function barriers(lines: Line[], keys: number, changed: number, count: number): Promise<void> {
  progress(`${count} barriers, ${thousands(keys)} keys, ${thousands(changed)} changed`)
  const spec = { kind: 'barrier', keys, changed: [changed], barriers: count } as const
  const [result] = (await apart<BarrierResult[]>(spec)) as [BarrierResult]
  lines.push(
    {
      name: `sealing ${thousands(keys)} dirty keys`,
      value: millis(result.sealMs.allDirty),
      goal: '< 0.20 ms',
      met: result.sealMs.allDirty < 0.2,
      result: result.sealMs
    },
    {
      name: `barrier's work within the longest gap, ${thousands(keys)} keys, ${thousands(changed)} changed`,
      value: `p50 ${millis(result.workMs.p50)}, p99 ${millis(result.workMs.p99)}`,
      goal: 'p99 < 5 ms',
      met: result.workMs.p99 < 5,
      result
    },
    {
      name: '  garbage collection within it',
      value: `p50 ${millis(result.gcMs.p50)}, p99 ${millis(result.gcMs.p99)}`,
      goal: '',
      met: undefined,
      result: undefined
    }
  )
}

async function checkpoints(lines: Line[], changed: number, rounds: number): Promise<void> {
  let first: CheckpointResult | undefined
  for (const keys of [10_000, 100_000, 1_000_000]) {
    progress(`checkpoints, ${thousands(keys)} keys, ${thousands(changed)} changed`)
    const spec = { kind: 'checkpoint', keys, changed: [changed], rounds } as const
    const [result] = (await apart<CheckpointResult[]>(spec)) as [CheckpointResult]
    first ??= result
    const growth = result.medianBytes / first.medianBytes
    lines.push({
      name: `checkpoint of ${thousands(changed)} changed keys of ${thousands(keys)}`,
      value: `${millis(result.medianMs)}, ${mebibytes(result.medianBytes)}; with merging ${mebibytes(result.bytesPerCheckpoint)}`,
      goal: 'flat',
      met: growth < 1.3,
      result
    })
  }
}

/** Of actors with two numbers, beside objects in a Map. */
async function memory(lines: Line[], sizes: readonly number[]): Promise<void> {
  for (const keys of sizes)
    for (const of of ['memory', 'level', 'map'] as const) {
      const what = { memory: 'an idle actor', level: 'an idle actor in LevelDB', map: 'an object in a Map' }[of]
      progress(`memory of ${what}, ${thousands(keys)} keys`)
      const result = await apart<MemoryResult>({ kind: 'memory', keys, of }, 8192)
      const { bytesPerKey, collectionMs, collections } = result
      const isJudged = of === 'level' && keys >= 5_000_000
      lines.push({
        name: `memory of ${what} (two numbers), ${thousands(keys)} keys`,
        value: `${bytesPerKey.toFixed(0)} bytes; full collections: ${collections}, ${millis(collectionMs)} at most`,
        goal: isJudged ? '< 50 ms' : '',
        met: isJudged ? collectionMs < 50 : undefined,
        result
      })
    }
}

/** The same keys on Flink's heap. */
function memoryOfFlink(lines: Line[], sizes: readonly number[]): void {
  for (const keys of sizes) {
    progress(`memory of a key on Flink's heap, ${thousands(keys)} keys`)
    const result = flinkMemory(keys, 8192)
    if (result === undefined) return progress('NO FIGURES OF FLINK: it is not here (npm run services -- install flink)')
    const { bytesPerKey, collectionMs } = result
    lines.push({
      name: `memory of a key on Flink's heap (two numbers), ${thousands(keys)} keys`,
      value: `${bytesPerKey.toFixed(0)} bytes; a full collection: ${millis(collectionMs)}`,
      goal: '',
      met: undefined,
      result
    })
  }
}

/** The budget: what the process may take in resident memory, beyond what it takes before the first event. */
async function larger(lines: Line[], budgetBytes: number, store: (typeof diskStores)[number]): Promise<void> {
  const bytesPerKey = 4000
  const keys = 2 * Math.ceil((2 * budgetBytes) / bytesPerKey)
  progress(`state larger than memory, ${thousands(keys)} keys of ${bytesPerKey} bytes`)
  const spec = { kind: 'larger', store, keys, bytesPerKey, cacheBytes: budgetBytes / 32, rounds: 2 } as const
  const result = await apart<LargerResult>(spec)
  const grown = result.peakRssMiB - result.baselineRssMiB
  lines.push({
    name: `state of ${result.stateMiB.toFixed(0)} MiB in ${store === 'level' ? 'LevelDB' : 'RocksDB'}, every key compared`,
    value: `${result.wrongKeys} wrong; ${grown.toFixed(0)} MiB resident memory; ${thousands(result.eventsPerSecond)} events/s`,
    goal: `0 wrong, ≤ ${(budgetBytes / 1024 ** 2).toFixed(0)} MiB`,
    met: result.wrongKeys === 0 && grown <= budgetBytes / 1024 ** 2,
    result
  })
}

/** RocksDB against LevelDB, in turns. */
async function stores(lines: Line[], keys: number, rounds: number): Promise<void> {
  const bytesPerKey = 100
  const results: Record<(typeof diskStores)[number], StoresResult>[] = []
  for (let round = 0; round < rounds; round++) {
    progress(`local stores, ${thousands(keys)} keys of ${bytesPerKey} bytes, round ${round + 1} of ${rounds}`)
    const of = (store: (typeof diskStores)[number]) => apart<StoresResult>({ kind: 'stores', store, keys, bytesPerKey })
    const level = await of('level')
    const rocksdb = await of('rocksdb')
    results.push({ level, rocksdb })
  }
  const what: Readonly<Record<keyof StoresResult, string>> = {
    restoreMs: 'restore',
    restoreCpuMs: 'restore, CPU',
    heldMs: 'restore, event loop held at most',
    checkpointMs: 'a checkpoint of a hundredth of the keys',
    readManyMicros: 'reads of 256 keys',
    readSyncMicros: 'reads of one key',
    scanMicros: 'scan',
    openMs: 'opening what another process left',
    diskBytes: 'bytes on disk'
  }
  for (const [field, name] of Object.entries(what) as [keyof StoresResult, string][]) {
    const ratio = quantile(
      results.map(({ level, rocksdb }) => rocksdb[field] / level[field]),
      0.5
    )
    const of = (store: (typeof diskStores)[number]): string =>
      quantile(
        results.map(each => each[store][field]),
        0.5
      ).toPrecision(3)
    lines.push({
      name,
      value: `${ratio.toFixed(2)} times LevelDB (${of('rocksdb')} against ${of('level')})`,
      goal: '',
      met: undefined,
      result: results.map(each => [each.level[field], each.rocksdb[field]])
    })
  }
}

/** A goal with few and with many changed keys; the latter with a greater share, too. */
async function latency(lines: Line[], goalMs: number, seconds: number): Promise<void> {
  for (const [keys, share] of [
    [100, 0.1],
    [1_000_000, 0.1],
    [1_000_000, 0.5]
  ] as const)
    for (const perSecond of [10_000, 40_000]) {
      progress(`a latency of ${goalMs} ms, ${thousands(keys)} keys, ${thousands(perSecond)} events/s, share ${share}`)
      const spec = { kind: 'latency', goalMs, share, perSecond, keys, seconds, warmSeconds: seconds / 4 } as const
      const result = await apart<LatencyResult>(spec)
      const { intervalMs, latencyMs, checkpointMs, underWay, work, cores } = result
      lines.push({
        name: `latency goal of ${goalMs} ms, ${thousands(keys)} keys, ${thousands(perSecond)} events/s, share ${share}`,
        value: `p50 ${millis(latencyMs.p50)}, p99 ${millis(latencyMs.p99)}; interval ${millis(intervalMs.p50)} (${millis(intervalMs.least)} to ${millis(intervalMs.most)}); a checkpoint ${millis(checkpointMs)}, one under way ${(100 * underWay).toFixed(0)} % of the time, which took ${(100 * work).toFixed(1)} % of the worker; ${cores.toFixed(2)} cores`,
        goal: `p99 ≤ ${goalMs} ms`,
        met: latencyMs.p99 <= goalMs,
        result
      })
    }
}

function print(lines: readonly Line[]): void {
  const width = Math.max(...lines.map(line => line.name.length))
  for (const { name, value, goal, met } of lines) {
    const verdict = met === undefined ? '' : `  [${goal}: ${met ? 'met' : 'NOT met'}]`
    process.stdout.write(`${name.padEnd(width)}  ${value}${verdict}\n`)
  }
}

const options = new Command('bench')
  .description('Measures Cairn on this machine: ratios against a hand-written loop, barriers, checkpoints, memory.')
  .option('--json', 'print the figures as JSON')
  .option('--quick', 'smaller and shorter, to see that it runs')
  .addOption(new Option('--store <store>', 'of the state larger than memory').choices(diskStores).default('level'))
  .option('--stores', 'only the local stores, RocksDB against LevelDB')
  .option('--memory', 'only the memory of idle keys, of a million and of five')
  .option('--latency', 'only a latency goal of 200 ms, with few and with many changed keys')
  .parse()
  .opts<{
    json?: boolean
    quick?: boolean
    store: (typeof diskStores)[number]
    stores?: boolean
    memory?: boolean
    latency?: boolean
  }>()

const lines: Line[] = []
const scale = options.quick === true ? 0.05 : 1
if (options.stores === true) await stores(lines, 1_000_000 * scale, options.quick === true ? 1 : 3)
else if (options.latency === true) await latency(lines, 200, options.quick === true ? 4 : 20)
else if (options.memory === true) {
  const sizes = [1_000_000 * scale, 5_000_000 * scale]
  await memory(lines, sizes)
  memoryOfFlink(lines, sizes)
} else {
  await throughput(lines, 2_000_000 * scale, options.quick === true ? 1 : 3)
  await beside(lines, 200_000 * scale, options.quick === true ? 1 : 3)
  await barriers(lines, 1_000_000 * scale, 100_000 * scale, options.quick === true ? 5 : 60)
  await checkpoints(lines, 10_000 * scale, options.quick === true ? 10 : 60)
  await memory(lines, [1_000_000 * scale])
  await larger(lines, 512 * 1024 * 1024 * (options.quick === true ? 0.25 : 1), options.store)
}
const machine = {
  cpus: cpus().length,
  model: cpus()[0]?.model,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  node: process.version
}
if (options.json === true) process.stdout.write(`${JSON.stringify({ machine, lines }, null, 2)}\n`)
else {
  process.stdout.write(`${machine.cpus} × ${machine.model}, ${machine.memoryGiB} GiB, Node ${machine.node}\n`)
  print(lines)
}
