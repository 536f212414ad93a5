/**
 * Random schedules, small: two slots, several owners of each at the same time (any of them may believe that it owns), crashes, pauses and
 * everything the log can do to them; then peace, one owner a slot, and the question whether each record is there exactly once.
 */
import type { KafkaPublisher } from '../../../runtime/adapters/kafka/kafka-publisher.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { OutputRecord } from '../../../runtime/ports/log.ts'
import type { LedgerEntry, Publisher, SlotName } from '../../../runtime/ports/publisher.ts'
import type { BrokerFault } from '../../../simulations/broker/faults.ts'
import type { BrokerError, CallKind } from '../../../simulations/broker/requests.ts'
import type { SimProcess } from '../../../simulations/world/process.ts'
import type { BrokerOptions } from '../../../simulations/broker/world.ts'
import { makeScene, publisherOptions, type Scene } from './scene.ts'

interface Chunk {
  readonly records: readonly OutputRecord[]
  readonly entry: LedgerEntry
}

export type MakePublisher = (scene: Scene, process: SimProcess) => Publisher

/** A publisher as in production, with the patience of a short run. */
export const makingPublisher =
  (Made: typeof KafkaPublisher): MakePublisher =>
  (scene, process) =>
    new Made(
      publisherOptions(scene, process, { requestTimeoutMs: 300, transactionTimeoutMs: 1500, initialiseMs: 3000 })
    )

export interface RunResult {
  /** What is wrong, or undefined. */
  readonly wrong: string | undefined
  readonly events: number
  readonly hits: ReadonlyMap<string, number>
}

const slots: readonly SlotName[] = [0, 1].map(slot => ({ job: 'j', lineage: 1, sink: 'out', stage: 'S', slot }))
const troubleMs = 4000
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What is to be published for a slot, in order; entry 0 is written before anything else. */
function outboxOf(slot: number, random: Prng): Chunk[] {
  const chunks: Chunk[] = []
  let epoch = 0
  for (let i = 1 + random.int(4); i > 0; i--) {
    epoch += 1 + random.int(2)
    const count = 1 + random.int(2)
    for (let chunk = 0; chunk < count; chunk++) {
      const records = Array.from({ length: 1 + random.int(3) }, (_, at) => ({
        partition: random.int(2),
        timestamp: 1,
        key: undefined,
        value: encoder.encode(`${slot}/${epoch}/${chunk}/${at}`)
      }))
      const entry = { epoch, chunk, last: chunk === count - 1, generation: 1, manifestHash: 'h', owner: 'o' }
      chunks.push({ records, entry })
    }
  }
  return chunks
}

const isAfter = (a: LedgerEntry, b: LedgerEntry): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.chunk > b.chunk)

const firstEntry: LedgerEntry = { epoch: 0, chunk: 0, last: true, generation: 0, manifestHash: '', owner: '' }

class Run {
  readonly scene: Scene
  readonly outboxes: readonly Chunk[][]
  /** How many chunks of each slot are decided. */
  readonly decided = [0, 0]
  wrong: string | undefined
  peace = false
  readonly finished = [false, false]
  readonly make: MakePublisher

  constructor(scene: Scene, make: MakePublisher) {
    this.scene = scene
    this.make = make
    this.outboxes = slots.map((_, i) => outboxOf(i, scene.random.fork(`outbox ${i}`)))
  }

  say(wrong: string): void {
    this.wrong ??= wrong
  }

  /** The life of one owner: page one of RELIABILITY.md, over and over. */
  async own(
    process: SimProcess,
    slotNumber: number,
    random: Prng,
    until: () => boolean,
    publisher = this.make(this.scene, process)
  ): Promise<void> {
    const slot = slots[slotNumber] as SlotName
    const outbox = this.outboxes[slotNumber] as Chunk[]
    while (!until()) {
      try {
        const producer = await publisher.initialise(slot)
        const entry = await producer.readLedger()
        if (entry === undefined) return this.say(`slot ${slotNumber} has no entry`)
        let at = outbox.findIndex(chunk => isAfter(chunk.entry, entry))
        if (at < 0) at = outbox.length
        if (at > (this.decided[slotNumber] ?? 0)) return this.say(`slot ${slotNumber} is ahead of what is decided`)
        for (let alive = true; alive && !until();) {
          const chunk = at < (this.decided[slotNumber] ?? 0) ? outbox[at] : undefined
          if (chunk === undefined) {
            if (at === outbox.length && this.peace) this.finished[slotNumber] = true
            await pause(process, 20)
            continue
          }
          const outcome = await producer.publish(chunk.records, chunk.entry)
          if (outcome.kind === 'published') at++
          else if (outcome.kind === 'refused') return this.say(`refused: ${outcome.error.message}`)
          else alive = false
        }
        await producer.close()
      } catch (error) {
        // By its code: the publisher of a patched build has a class of errors of its own.
        if (!(error instanceof Error && 'code' in error)) throw error
        if (error.code !== 'SINK_UNREACHABLE') return this.say(error.message)
      }
      await pause(process, 5 + random.int(300))
    }
  }

  /** Entry 0 of both slots, before any trouble. */
  async begin(process: SimProcess): Promise<void> {
    const publisher = this.make(this.scene, process)
    for (const slot of slots) {
      const producer = await publisher.initialise(slot)
      if ((await producer.readLedger()) !== undefined) this.say('a new slot has an entry')
      const { kind } = await producer.publish([], firstEntry)
      if (kind !== 'published') this.say(`entry 0: ${kind}`)
    }
    await publisher.close()
  }

  check(): void {
    const seen = this.scene.cluster.committed('out')
    for (const [slot, outbox] of this.outboxes.entries())
      for (const partition of [0, 1]) {
        const expected = outbox.flatMap(({ records }) =>
          records.filter(each => each.partition === partition).map(({ value }) => decoder.decode(value))
        )
        const mine = seen.filter(each => each.partition === partition && decoder.decode(each.value)[0] === String(slot))
        const values = mine.map(({ value }) => decoder.decode(value))
        if (values.join() !== expected.join())
          this.say(`slot ${slot} partition ${partition}: [${values.join(' ')}] instead of [${expected.join(' ')}]`)
        for (const { value, entries } of mine) {
          const [, epoch, chunk] = decoder.decode(value).split('/')
          const named = entries.map(each => (JSON.parse(each.value) as unknown[]).slice(1, 3).join('/'))
          if (named.join() !== `${epoch}/${chunk}`)
            this.say(`${decoder.decode(value)} is in a transaction with entries [${named.join()}]`)
        }
      }
  }
}

const pause = (process: SimProcess, ms: number): Promise<void> =>
  new Promise(resolve => process.clock.after(ms, resolve))

const kinds: readonly CallKind[] = ['InitProducerId', 'AddPartitionsToTxn', 'Produce', 'EndTxn', 'ListOffsets', 'Fetch']
const errors: readonly BrokerError[] = [
  'UNKNOWN_SERVER_ERROR',
  'NOT_LEADER_OR_FOLLOWER',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'REQUEST_TIMED_OUT',
  'CONCURRENT_TRANSACTIONS',
  'INVALID_TXN_STATE',
  'INVALID_PRODUCER_EPOCH'
]

function drawFault(random: Prng, partitions: number): BrokerFault {
  const rate = 0.2 + 0.8 * random.next()
  const pick = <T>(list: readonly T[]): T => list[random.int(list.length)] as T
  const request = pick(kinds)
  const topic = pick(['out', 'ledger'])
  const partition = random.int(partitions)
  switch (random.int(10)) {
    case 0:
    case 1:
      return { kind: 'lost-reply', request: random.int(2) === 0 ? 'EndTxn' : request, rate }
    case 2:
    case 3:
      return {
        kind: 'late-request',
        request: random.int(2) === 0 ? 'EndTxn' : request,
        rate,
        delayMs: random.int(2500)
      }
    case 4:
      return { kind: random.int(2) === 0 ? 'error' : 'error-after', request, rate, error: pick(errors) }
    case 5:
      return { kind: 'slow', rate, delayMs: random.int(150) }
    case 6:
      return { kind: 'slow-markers', delayMs: random.int(1500) }
    case 7:
      return random.int(2) === 0
        ? { kind: 'leader-change', topic, partition }
        : { kind: 'deposed-leader', topic: random.int(4) === 0 ? 'out' : 'ledger', partition }
    case 8:
      return random.int(2) === 0 ? { kind: 'coordinator-change' } : { kind: 'outage', broker: random.int(3) }
    default:
      return { kind: 'hanging-transaction', topic: random.int(3) === 0 ? 'out' : 'ledger', partition }
  }
}

export interface RunOptions {
  readonly version?: 1 | 2 | undefined
  /** Instead of every fault there is; more of them, and longer. */
  readonly faults?: ((random: Prng) => BrokerFault) | undefined
}

export async function runOwners(seed: number, make: MakePublisher, options: RunOptions = {}): Promise<RunResult> {
  const random = new Prng(`owners ${seed}`)
  const transactionVersion = options.version ?? (random.int(2) === 0 ? 1 : 2)
  const dialect = transactionVersion === 2 || random.int(2) === 0 ? 'new' : 'old'
  const brokerOptions: Partial<BrokerOptions> = {
    transactionVersion,
    verifiesPartitions: random.int(2) === 0,
    firstProducerEpoch: random.int(4) === 0 ? 32_764 : 0,
    markerMs: random.int(2) === 0 ? 5 : 200,
    replicationMs: random.int(2) === 0 ? 2 : 50,
    scanMs: 500
  }
  const scene = await makeScene(random, brokerOptions, { dialect })
  const { cluster, time, host } = scene
  cluster.createTopic('out', { partitions: 2, maxBatchBytes: 2_000_000 })
  cluster.createTopic('ledger', { partitions: 2, compacted: true })
  const run = new Run(scene, make)
  let begun = false
  void run.begin(host('first').start()).then(() => (begun = true))
  await time.run({ until: () => begun, untilMs: 60_000 })
  if (!begun) return { wrong: 'not begun', events: time.events, hits: cluster.faults.hits }
  plan(run, random.fork('plan'), options.faults)
  await time.run({ untilMs: time.now() + troubleMs })
  run.peace = true
  cluster.heal()
  for (const slot of [0, 1])
    void run.own(host(`last ${slot}`).start(), slot, random.fork(`last ${slot}`), () => run.finished[slot] === true)
  const until = (): boolean => run.wrong !== undefined || run.finished.every(Boolean)
  const end = await time.run({ until, untilMs: time.now() + 120_000 })
  if (end !== 'until') run.say(`stuck: ${JSON.stringify(time.pending().slice(0, 5))}`)
  // What is late still comes, and may do no harm.
  await time.run({ untilMs: time.now() + 10_000 })
  run.check()
  if (cluster.malformed.length > 0) run.say(`malformed: ${cluster.malformed[0]}`)
  return { wrong: run.wrong, events: time.events, hits: cluster.faults.hits }
}

/** Owners that come and go, decisions, faults. */
function plan(run: Run, random: Prng, faults?: (random: Prng) => BrokerFault): void {
  const { time, cluster, host } = run.scene
  for (const [slot, outbox] of run.outboxes.entries())
    for (let i = 1; i <= outbox.length; i++) {
      // In order, whatever the times are.
      const decide = (): void => void (run.decided[slot] = Math.max(run.decided[slot] ?? 0, i))
      if (outbox[i - 1]?.entry.last === true) time.schedule((troubleMs * i * random.next()) / outbox.length, decide)
    }
  for (const slot of [0, 1])
    for (let i = 1 + random.int(3); i > 0; i--) {
      const owner = host(`owner ${slot} ${i}`)
      for (let life = 1 + random.int(2); life > 0; life--)
        time.schedule(random.int(troubleMs - 500), () => {
          if (owner.process !== undefined && owner.process.state !== 'dead') owner.kill()
          const process = owner.start()
          const publisher = run.make(run.scene, process)
          void run.own(process, slot, random.fork(process.name), () => run.peace, publisher)
          const other = random.fork(`${process.name} other`)
          if (other.int(2) === 0) void run.own(process, 1 - slot, other, () => run.peace, publisher)
          const upset = random.int(1000)
          if (random.int(2) === 0) time.schedule(upset, () => process.kill())
          else if (random.int(2) === 0) {
            time.schedule(upset, () => process.pause())
            time.schedule(upset + random.int(3000), () => process.resume())
          }
        })
    }
  for (let i = random.int(3); i > 0; i--) {
    const [owner, broker] = [`owner ${random.int(2)} ${1 + random.int(3)}`, `kafka${random.int(3)}`]
    const [start, length, kind] = [random.int(troubleMs - 500), random.int(500), random.int(4)]
    time.schedule(start, () => {
      const { network } = run.scene
      if (kind === 0) network.breakConnections(owner, broker, random.int(2) === 0 ? 'both' : 'half-open')
      else
        time.schedule(
          length,
          kind === 1
            ? network.cut(owner, broker)
            : kind === 2
              ? network.cut(broker, owner)
              : network.stall(owner, broker)
        )
    })
  }
  for (let i = random.int(7) + (faults === undefined ? 0 : 6); i > 0; i--) {
    const fault = faults?.(random) ?? drawFault(random, 2)
    time.schedule(random.int(troubleMs - 200), () => cluster.inject(fault, 50 + random.int(1500)))
  }
}
