/** The job of the bench as a process of its own: by Cairn, by a loop written by hand, by Kafka Streams. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseDuration, type Duration } from '../../runtime/kernel/durations.ts'
import { root } from '../../simulations/chaos/installed.ts'
import { streamsCountCommand, type KafkaStreams } from '../peers/kafka-streams.ts'
import { jobText } from './bench-events.ts'

export type Contender = 'cairn' | 'loop' | 'kafka-streams'
export type Delivery = 'exactly-once' | 'at-least-once'

export interface BenchJob {
  readonly who: Contender
  readonly from: string
  readonly to: string
  /** Between commits. */
  readonly interval: string
  /** Only Cairn has a choice; the others put out exactly once. */
  readonly delivery: Delivery
  /** New. */
  readonly name: string
}

export interface BenchPlace {
  /** For what jobs leave behind. */
  readonly folder: string
  readonly brokers: readonly string[]
  readonly streams?: KafkaStreams | undefined
}

export interface StartedJob {
  readonly pid: number
  /** At once, without a last commit. */
  stop(): Promise<void>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export function startJob(job: BenchJob, place: BenchPlace): StartedJob {
  const [program, args] = commandOf(job, place)
  // Java says nothing unless something is wrong.
  const stdio: SpawnOptions['stdio'] = ['ignore', 'ignore', job.who === 'kafka-streams' ? 'inherit' : 'ignore']
  const child = spawn(program, args, { cwd: place.folder, stdio })
  running.add(child)
  const exited = once(child, 'exit')
  return {
    pid: child.pid as number,
    async stop() {
      child.kill('SIGKILL')
      await exited
      running.delete(child)
    }
  }
}

function commandOf(
  { who, from, to, interval, delivery, name }: BenchJob,
  { folder, brokers, streams }: BenchPlace
): readonly [program: string, args: readonly string[]] {
  const intervalMs = parseDuration(interval as Duration, '--intervals')
  switch (who) {
    case 'cairn': {
      writeFileSync(join(folder, `${name}.mjs`), jobText(name, from, to, delivery, interval))
      const bin = join(root, 'deploy/bin/cairn.cjs')
      return [process.execPath, [bin, 'run', `${name}.mjs`, '--kafka', brokers.join()]]
    }
    case 'loop': {
      const loop = fileURLToPath(new URL('loop.js', import.meta.url))
      return [process.execPath, [loop, brokers.join(), from, to, String(intervalMs)]]
    }
    case 'kafka-streams':
      if (streams === undefined) throw new Error('Kafka Streams was not prepared')
      return streamsCountCommand(streams, { brokers, from, to, intervalMs, folder: join(folder, name) })
  }
}
