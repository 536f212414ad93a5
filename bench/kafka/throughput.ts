/**
 * Consume, count, produce, exactly once: Cairn and a loop written by hand. When they are warm, a transaction is committed that makes all of the
 * events readable at once. Brokers stamp each record of the output when they write it: until the last of them is the time, and nobody has to watch
 * meanwhile.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../../simulations/chaos/installed.ts'
import { jobText, type BenchTopics } from './bench-topics.ts'
import { cpuOf } from './cpu-time.ts'

export interface Throughput {
  readonly eventsPerSecond: number
  readonly eventsPerCpuSecond: number
}

export interface ThroughputRun {
  readonly who: 'cairn' | 'loop'
  readonly interval: string
  readonly intervalMs: number
  /** New. */
  readonly name: string
  readonly events: number
}

const sampleMs = 50

export async function throughput(
  { who, interval, intervalMs, name, events }: ThroughputRun,
  folder: string,
  brokers: readonly string[],
  topics: BenchTopics
): Promise<Throughput> {
  const [from, to] = [`${name}-in`, `${name}-out`]
  const warm = Math.ceil(events / 4)
  await topics.create(from)
  await topics.create(to, true)
  const release = await topics.fill(from, warm, events)
  writeFileSync(join(folder, `${name}.mjs`), jobText(name, from, to, 'exactly-once', interval))
  const args =
    who === 'cairn'
      ? [join(root, 'deploy/bin/cairn.cjs'), 'run', `${name}.mjs`, '--kafka', brokers.join()]
      : [fileURLToPath(new URL('loop.js', import.meta.url)), brokers.join(), from, to, String(intervalMs)]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'ignore'] })
  const exited = new Promise(resolve => child.once('exit', resolve))
  const samples: { readonly at: number; readonly cpu: number }[] = []
  const timer = setInterval(() => samples.push({ at: Date.now(), cpu: cpuOf(child.pid as number) }), sampleMs)
  let times: readonly number[]
  let began: number
  try {
    await topics.timesOf(to, warm)
    began = Date.now()
    await release()
    times = await topics.timesOf(to, warm + events)
  } finally {
    clearInterval(timer)
    child.kill('SIGKILL')
    await exited
  }
  if (times.length !== warm + events) throw new Error(`${who}: ${times.length} records of ${warm + events}`)
  const ended = times.at(-1) ?? NaN
  const cpuAt = (ms: number): number => samples.find(({ at }) => at >= ms)?.cpu ?? samples.at(-1)?.cpu ?? NaN
  return {
    eventsPerSecond: Math.round(events / ((ended - began) / 1000)),
    eventsPerCpuSecond: Math.round(events / (cpuAt(ended) - cpuAt(began)))
  }
}
