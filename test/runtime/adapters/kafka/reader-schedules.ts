/**
 * Random schedules, small: a topic of some partitions that is written, in transactions and outside them, while brokers fail, leaders change
 * and a reader dies, is paused and goes on from where it stood; then peace, and the question whether it has seen each committed record once
 * and in order.
 */
import { Prng } from '../../../../runtime/kernel/prng.ts'
import type { LogReader } from '../../../../runtime/ports/log.ts'
import type { BrokerFault } from '../../../../simulations/broker/faults.ts'
import type { BrokerError, CallKind, NewRecord } from '../../../../simulations/broker/requests.ts'
import type { SimHost, SimProcess } from '../../../../simulations/world/process.ts'
import { makeScene, type Scene } from '../../../simulations/broker/scene.ts'
import { directReader, type Made } from './simulated-lab.ts'

export interface ReaderRun {
  /** What is wrong, or undefined. */
  readonly wrong: string | undefined
  readonly events: number
  readonly hits: ReadonlyMap<string, number>
}

const troubleMs = 4000
/** The patience of a short run. */
const options = { bufferedBytes: 100_000, requestTimeoutMs: 500 }
const encoder = new TextEncoder()
const decoder = new TextDecoder()
const pause = (process: SimProcess, ms: number): Promise<void> =>
  new Promise(resolve => process.clock.after(ms, resolve))

class Run {
  readonly scene: Scene
  readonly host: SimHost
  readonly partitions: number
  /** Of each partition: what was seen, and where the next read begins; as a checkpoint would hold it. */
  readonly seen: { readonly records: { offset: number; text: string }[]; position: number }[]
  wrong: string | undefined
  peace = false
  private readonly made: Made
  private written = 0
  private producers = 1000

  constructor(scene: Scene, made: Made, partitions: number) {
    this.scene = scene
    this.host = scene.host('reader')
    this.made = made
    this.partitions = partitions
    this.seen = Array.from({ length: partitions }, () => ({ records: [], position: 0 }))
  }

  say(wrong: string): void {
    this.wrong ??= wrong
  }

  /** One life of the reader. */
  live(process: SimProcess, random: Prng): void {
    const reader = directReader(this.made, this.scene, process, { topic: 'in' }, options)
    for (let partition = 0; partition < this.partitions; partition++)
      void this.read(reader, process, partition, random.fork(`partition ${partition}`)).catch((error: unknown) =>
        this.say(`partition ${partition}: ${String(error)}`)
      )
  }

  private async read(reader: LogReader, process: SimProcess, partition: number, random: Prng): Promise<void> {
    const own = this.seen[partition] as Run['seen'][number]
    for (;;) {
      const from = own.position
      const got = await reader
        .fetch(partition, from, 1 + random.int(200), random.int(3) * 100)
        .catch((error: unknown) => {
          // By its code: the reader of a patched build has a class of errors of its own.
          if ((error as { code?: string }).code === 'SOURCE_UNREACHABLE') return undefined
          throw error
        })
      if (got === undefined) {
        await pause(process, 100)
        continue
      }
      if (got.kind === 'out-of-range' || got.kind === 'finished')
        return this.say(`partition ${partition}: ${got.kind} at ${from}: ${JSON.stringify(got)}`)
      if (got.next < from) return this.say(`partition ${partition}: back from ${from} to ${got.next}`)
      if (got.kind === 'records') {
        for (let i = 0; i < got.batch.count; i++)
          own.records.push({ offset: got.batch.offset(i), text: decoder.decode(got.batch.value(i)) })
        const last = own.records.at(-1)?.offset ?? -1
        if (got.batch.offset(0) < from || last >= got.next)
          return this.say(`partition ${partition}: ${got.batch.offset(0)} to ${last} for ${from} to ${got.next}`)
      }
      own.position = got.next
      if (random.int(3) === 0) await pause(process, random.int(50))
    }
  }

  /** Some records in one batch, outside transactions or in one that ends some time. */
  write(random: Prng): void {
    const { cluster, time } = this.scene
    const partition = random.int(this.partitions)
    const found = cluster.partition({ topic: 'in', partition })
    if (found === undefined || found.leaderlessUntil > cluster.now) return
    const transactional = random.int(2) === 0
    const producerId = transactional ? this.producers++ : -1
    const records: NewRecord[] = Array.from({ length: 1 + random.int(6) }, () => {
      const value = encoder.encode(`${this.written++} ${'x'.repeat(random.int(60))}`)
      return { timestamp: 1, key: undefined, value }
    })
    const sizeBytes = records.reduce((sum, { value }) => sum + 20 + (value?.length ?? 0), 61)
    const batch = { topic: 'in', partition, producerId, producerEpoch: 0, baseSequence: 0, sizeBytes, records }
    found.append({ ...batch, transactional }, undefined, () => undefined)
    if (!transactional) return
    const commit = random.int(2) === 0
    const end = (): void =>
      found.mark({ producerId, producerEpoch: 0, coordinatorEpoch: 0, commit }, error => {
        if (error !== 'NONE') time.schedule(50, end)
      })
    time.schedule(random.int(600), end)
  }

  isDone(): boolean {
    return this.seen.every(
      ({ position }, partition) =>
        position >= (this.scene.cluster.partition({ topic: 'in', partition })?.lastStable ?? 0)
    )
  }

  check(): void {
    const truth = this.scene.cluster.committed('in')
    for (const [partition, { records }] of this.seen.entries()) {
      const expected = truth.filter(each => each.partition === partition)
      const wanted = expected.map(({ offset, value }) => `${offset}: ${decoder.decode(value)}`)
      const had = records.map(({ offset, text }) => `${offset}: ${text}`)
      const at = wanted.findIndex((each, i) => each !== had[i])
      if (at >= 0) return this.say(`partition ${partition}: "${had[at]}" instead of "${wanted[at]}"`)
      if (had.length > wanted.length) return this.say(`partition ${partition}: "${had[wanted.length]}", too`)
    }
  }
}

const kinds: readonly CallKind[] = ['Fetch', 'ListOffsets', 'Metadata']
const errors: readonly BrokerError[] = [
  'UNKNOWN_SERVER_ERROR',
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'REQUEST_TIMED_OUT',
  'KAFKA_STORAGE_ERROR',
  'OFFSET_NOT_AVAILABLE'
]

function drawFault(random: Prng, partitions: number): BrokerFault {
  const rate = 0.2 + 0.8 * random.next()
  const pick = <T>(list: readonly T[]): T => list[random.int(list.length)] as T
  const request = pick(kinds)
  const partition = random.int(partitions)
  switch (random.int(9)) {
    case 0:
      return { kind: 'lost-reply', request, rate }
    case 1:
      return { kind: 'late-request', request, rate, delayMs: random.int(2500) }
    case 2:
    case 3:
      return { kind: 'error', request: random.int(2) === 0 ? 'Fetch' : request, rate, error: pick(errors) }
    case 4:
      return { kind: 'slow', rate, delayMs: random.int(300) }
    case 5:
      return { kind: 'leader-change', topic: 'in', partition }
    case 6:
      return { kind: 'deposed-leader', topic: 'in', partition }
    case 7:
      return { kind: 'outage', broker: random.int(3) }
    default:
      return { kind: 'hanging-transaction', topic: 'in', partition }
  }
}

export async function runReader(seed: number, made: Made): Promise<ReaderRun> {
  const random = new Prng(`reader ${seed}`)
  const scene = await makeScene(
    random,
    { replicationMs: random.int(2) === 0 ? 2 : 50 },
    {
      dialect: random.int(2) === 0 ? 'new' : 'old'
    }
  )
  const { cluster, time } = scene
  const partitions = 1 + random.int(4)
  cluster.createTopic('in', { partitions })
  const run = new Run(scene, made, partitions)
  plan(run, random.fork('plan'))
  await time.run({ untilMs: time.now() + troubleMs })
  run.peace = true
  cluster.heal()
  const reader = run.host
  if (reader.process?.state !== 'alive' || random.int(2) === 0) {
    if (reader.process !== undefined && reader.process.state !== 'dead') reader.kill()
    run.live(reader.start(), random.fork('last'))
  }
  // What was begun ends, and what is late comes.
  await time.run({ untilMs: time.now() + 2_000 })
  const end = await time.run({ until: () => run.wrong !== undefined || run.isDone(), untilMs: time.now() + 60_000 })
  if (end !== 'until') run.say(`stuck at ${run.seen.map(({ position }) => position).join()}`)
  run.check()
  if (cluster.malformed.length > 0) run.say(`malformed: ${cluster.malformed[0]}`)
  return { wrong: run.wrong, events: time.events, hits: cluster.faults.hits }
}

/** Writes, lives of the reader, faults. */
function plan(run: Run, random: Prng): void {
  const { time, cluster, network } = run.scene
  for (let i = 10 + random.int(40); i > 0; i--) time.schedule(random.int(troubleMs), () => run.write(random))
  const reader = run.host
  for (let life = 1 + random.int(3); life > 0; life--)
    time.schedule(random.int(troubleMs / 2), () => {
      if (reader.process !== undefined && reader.process.state !== 'dead') reader.kill()
      const process = reader.start()
      run.live(process, random.fork(process.name))
      if (random.int(3) > 0) return
      const upset = random.int(1000)
      time.schedule(upset, () => process.pause())
      time.schedule(upset + random.int(2000), () => process.resume())
    })
  for (let i = random.int(3); i > 0; i--) {
    const broker = `kafka${random.int(3)}`
    const [length, kind] = [random.int(1500), random.int(4)]
    time.schedule(random.int(troubleMs - 500), () => {
      if (kind === 0) network.breakConnections('reader', broker, random.int(2) === 0 ? 'both' : 'half-open')
      else
        time.schedule(
          length,
          kind === 1
            ? network.cut('reader', broker)
            : kind === 2
              ? network.cut(broker, 'reader')
              : network.stall('reader', broker)
        )
    })
  }
  for (let i = random.int(6); i > 0; i--) {
    const fault = drawFault(random, run.partitions)
    time.schedule(random.int(troubleMs - 200), () => cluster.inject(fault, 50 + random.int(1500)))
  }
}
