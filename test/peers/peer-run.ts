/** Cairn and Kafka Streams over the same topic of a real Kafka, both exactly once; what they put out, side by side. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { root, service } from '../../simulations/chaos/installed.ts'
import { kafkaTool } from '../../simulations/chaos/kafka-process.ts'
import { OwnTopics } from '../../simulations/chaos/own-topics.ts'
import { differences, type Differences, type PeerRow } from './peer-differences.ts'
import { jobText, peerEvents, programs, type Program } from './peer-job.ts'

export interface PeerRunOptions {
  readonly brokers: readonly string[]
  /** Empty; what the run leaves stays there. */
  readonly folder: string
  /** What topics, job and application are called after; new. */
  readonly name: string
  readonly seed: number
  readonly events: number
  readonly partitions: number
  /** Default 120 s, for each of the two. */
  readonly timeoutMs?: number
}

/** The events are from years ago. */
const kept = { 'retention.ms': '-1' }
const encoder = new TextEncoder()
const source = join(root, 'test', 'peers', 'KafkaStreamsPeer.java')

export async function peerRun(options: PeerRunOptions): Promise<ReadonlyMap<Program, Differences>> {
  const { brokers, folder, name, seed, partitions, timeoutMs = 120_000 } = options
  mkdirSync(folder, { recursive: true })
  const events = peerEvents(seed, options.events, partitions)
  const topics = new OwnTopics({ brokers })
  const [input, cairn, streams] = [`${name}-in`, `${name}-cairn`, `${name}-streams`]
  try {
    await topics.create(input, partitions, kept)
    for (const each of [cairn, streams])
      for (const program of programs) await topics.create(`${each}-${program}`, partitions, kept)
    const appender = new KafkaAppender({ cluster: { brokers }, topic: input, name: 'peers' })
    const records = events.map(({ partition, key, value, timestamp }) => {
      return { partition, timestamp, key: encoder.encode(key), value: encoder.encode(String(value)) }
    })
    await appender.append(records)
    await appender.close()
    writeFileSync(join(folder, 'job.mjs'), jobText(cairn, input))
    const isOut = async (): Promise<boolean> => (await topics.read(`${cairn}-count`)).length >= events.length
    const how = await Promise.allSettled([
      kafkaTool(
        service('kafka-streams'),
        source,
        [brokers.join(), streams, input, String(events.length), join(folder, 'state')],
        { timeoutMs, log: join(folder, 'kafka-streams.log') }
      ),
      runCairn(folder, brokers, isOut, timeoutMs)
    ])
    for (const each of how) if (each.status === 'rejected') throw each.reason
    const read = async (topic: string): Promise<PeerRow[]> =>
      (await topics.read(topic)).map(({ value, timestamp }) => {
        return { ...(JSON.parse(Buffer.from(value ?? []).toString()) as Omit<PeerRow, 'timestamp'>), timestamp }
      })
    const found = new Map<Program, Differences>()
    for (const program of programs) {
      const [own, theirs] = [await read(`${cairn}-${program}`), await read(`${streams}-${program}`)]
      found.set(program, differences(program, own, theirs, events))
    }
    return found
  } finally {
    topics.close()
  }
}

/** Until everything is out; then it is drained. */
async function runCairn(
  folder: string,
  brokers: readonly string[],
  isOut: () => Promise<boolean>,
  timeoutMs: number
): Promise<void> {
  const bin = join(root, 'deploy', 'bin', 'cairn.cjs')
  const child = spawn(process.execPath, [bin, 'run', 'job.mjs', '--kafka', brokers.join()], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let said = ''
  child.stderr.on('data', chunk => (said = `${said}${String(chunk)}`.slice(-4000)))
  const ended = once(child, 'exit') as Promise<[number | null]>
  const until = performance.now() + timeoutMs
  try {
    while (child.exitCode === null && !(await isOut()))
      if (performance.now() > until) throw new Error(`cairn is not done after ${timeoutMs} ms:\n${said}`)
    child.kill('SIGTERM')
    const [code] = await ended
    if (code !== 0) throw new Error(`cairn ended with ${code}:\n${said}`)
  } finally {
    child.kill('SIGKILL')
  }
}
