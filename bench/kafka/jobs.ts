/** The job of the bench as a process of its own: by Cairn, by a loop written by hand, by Kafka Streams, by Flink. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseDuration, type Duration } from '../../runtime/kernel/durations.ts'
import { root } from '../../simulations/chaos/installed.ts'
import { countByKeyCommand, type Peer, type PeerName } from '../peers/count-by-key.ts'
import { jobText } from './bench-events.ts'
import { startProcess, type StartedJob } from './started-job.ts'

export type Contender = 'cairn' | 'loop' | PeerName
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
  /** Only Cairn: it can be profiled. Default: no. */
  readonly profiled?: boolean
}

export interface BenchPlace {
  /** For what jobs leave behind. */
  readonly folder: string
  readonly brokers: readonly string[]
  readonly peers: readonly Peer[]
}

export function startJob(job: BenchJob, place: BenchPlace): StartedJob {
  const { who, profiled = false } = job
  // Java says nothing unless something is wrong.
  const isQuiet = place.peers.some(({ name }) => name === who)
  return startProcess({ who, command: commandOf(job, place), folder: place.folder, isQuiet, profiled })
}

function commandOf(
  { who, from, to, interval, delivery, name, profiled = false }: BenchJob,
  { folder, brokers, peers }: BenchPlace
): readonly [program: string, args: readonly string[]] {
  const intervalMs = parseDuration(interval as Duration, '--intervals')
  switch (who) {
    case 'cairn': {
      writeFileSync(join(folder, `${name}.mjs`), jobText(name, from, to, delivery, interval))
      const bin = join(root, 'deploy/bin/cairn.cjs')
      const preload = profiled ? ['--import', new URL('profiled.js', import.meta.url).href] : []
      return [process.execPath, [...preload, bin, 'run', `${name}.mjs`, '--kafka', brokers.join()]]
    }
    case 'loop': {
      const loop = fileURLToPath(new URL('loop.js', import.meta.url))
      return [process.execPath, [loop, brokers.join(), from, to, String(intervalMs)]]
    }
    default: {
      const peer = peers.find(each => each.name === who)
      if (peer === undefined) throw new Error(`${who} was not prepared`)
      return countByKeyCommand(peer, { brokers, from, to, intervalMs, folder: join(folder, name) })
    }
  }
}
