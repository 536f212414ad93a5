/** One measurement in a process of its own: `node dist/bench/measure.js '<spec as JSON>'` prints its result as JSON. */
import { measureBarrier, type BarrierSpec } from './barrier.ts'
import { measureIntervals, type IntervalsSpec } from './intervals.ts'
import {
  measureCheckpoints,
  measureLarger,
  measureMemory,
  type CheckpointSpec,
  type LargerSpec,
  type MemorySpec
} from './state.ts'
import { measureLatency, type LatencySpec } from './latency.ts'
import { measureStores, type StoresSpec } from './stores.ts'
import { measureThroughput, type ThroughputSpec } from './throughput.ts'

export type Spec =
  ThroughputSpec | BarrierSpec | IntervalsSpec | CheckpointSpec | MemorySpec | LargerSpec | StoresSpec | LatencySpec

async function measure(spec: Spec): Promise<unknown> {
  switch (spec.kind) {
    case 'throughput':
      return measureThroughput(spec)
    case 'barrier':
      return measureBarrier(spec)
    case 'intervals':
      return measureIntervals(spec)
    case 'checkpoint':
      return measureCheckpoints(spec)
    case 'memory':
      return measureMemory(spec)
    case 'larger':
      return measureLarger(spec)
    case 'stores':
      return measureStores(spec)
    case 'latency':
      return measureLatency(spec)
  }
}

const [, , text = '{}'] = process.argv
process.stdout.write(`${JSON.stringify(await measure(JSON.parse(text) as Spec))}\n`)
// What a broken-off source still waits for must not keep the process.
process.exit(0)
