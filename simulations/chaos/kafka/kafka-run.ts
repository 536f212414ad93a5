/**
 * Exactly-once under fire: transfers come to Kafka at a steady pace, four workers book them, and workers and brokers are killed, paused and
 * restarted meanwhile. Then everything is healed, and Kafka's own console consumer reads what is committed, for a model to judge.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { root } from '../installed.ts'
import { KafkaProcess } from '../kafka-process.ts'
import { OwnTopics } from '../own-topics.ts'
import { standStill } from '../stand-still.ts'
import { World, type Managed, type Unasked } from '../world.ts'
import { offsetsWrong } from './offsets-wrong.ts'
import { timesOf, transactionsIn, type Span, type Transaction, type TransactionTimes } from './transaction-times.ts'
import { jobText, transferOf, wrongWith, type Entry } from './transfers.ts'

export const faultKinds = ['kill-worker', 'pause-worker', 'stop-broker', 'kill-broker'] as const
export type KafkaFault = (typeof faultKinds)[number]

export interface KafkaRunOptions {
  /** Empty; what the run leaves stays there. */
  readonly folder: string
  readonly seed: number
  readonly durationMs: number
  readonly workers: number
  readonly events: number
  readonly counts: Readonly<Record<KafkaFault, number>>
  readonly natsProgram: string
  readonly kafkaProgram: string
  /** Nothing came out for so long after healing: it is stuck. Default 120 s. */
  readonly stillMs?: number
  readonly say: (text: string) => void
}

export interface KafkaRunReport {
  readonly events: number
  readonly totalMs: number
  readonly struck: Readonly<Record<KafkaFault, number>>
  /** Ends of workers that nobody asked for; they were started again. */
  readonly unasked: readonly Unasked[]
  /** Undefined: the run broke off before. */
  readonly transactions: TransactionTimes | undefined
  /** Empty: all is right. */
  readonly wrong: readonly string[]
}

const partitions = 4
const pauseMs = 8_000
const leaveMs = 30_000
/** Offsets that a broker in trouble did not take are told again within seconds. */
const toldMs = 30_000
/** What is open for longer keeps readers from what was published before it. */
const openLimitMs = 1_000
/** Of the transfers: what comes out before the first fault. Brokers that have just begun take a second for their first transactions. */
const warmShare = 1 / 200
const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export async function kafkaRun(options: KafkaRunOptions): Promise<KafkaRunReport> {
  const { folder, workers, kafkaProgram, natsProgram, say } = options
  const began = performance.now()
  mkdirSync(join(folder, 'job'), { recursive: true })
  writeFileSync(join(folder, 'job', 'job.mjs'), jobText('transfers', 'entries'))
  // Three, so that one can be away and another one takes over.
  const kafka = await KafkaProcess.launch({ program: kafkaProgram, folder: join(folder, 'kafka'), brokers: 3 })
  const topics = new OwnTopics({ brokers: kafka.addresses() })
  let world: World | undefined
  try {
    await topics.create('transfers', partitions)
    await topics.create('entries', partitions)
    world = await World.start({
      folder,
      cairn: [join(root, 'deploy', 'bin', 'cairn.cjs')],
      natsProgram,
      job: join('job', 'job.mjs'),
      lostAfter: '2s',
      flags: { '--kafka': kafka.addresses().join() },
      say
    })
    for (let i = 0; i < workers; i++) await world.add()
    const field = new Field(options, kafka, world, topics)
    const struck = await field.fight()
    const wrong = await field.finish()
    const totalMs = performance.now() - began
    const { transactions } = field
    return { events: options.events, totalMs, struck, unasked: world.unasked, transactions, wrong }
  } finally {
    topics.close()
    await world?.close()
    await kafka.stop()
  }
}

class Field {
  private readonly options: KafkaRunOptions
  private readonly kafka: KafkaProcess
  private readonly world: World
  private readonly topics: OwnTopics
  private readonly random: Prng
  private fed: Promise<string> | undefined
  /** Only one broker is away at a time: of three copies two must stand. */
  private broker: Promise<void> | undefined
  private readonly away: Span[] = []
  /** When workers were killed or stopped. */
  private readonly struckMs: number[] = []
  transactions: TransactionTimes | undefined
  private readonly pauses: Promise<void>[] = []

  constructor(options: KafkaRunOptions, kafka: KafkaProcess, world: World, topics: OwnTopics) {
    this.options = options
    this.kafka = kafka
    this.world = world
    this.topics = topics
    this.random = new Prng(`kafka chaos ${options.seed}`)
  }

  async fight(): Promise<Record<KafkaFault, number>> {
    const { durationMs, counts, say } = this.options
    const left = { ...counts }
    const struck: Record<KafkaFault, number> = {
      'kill-worker': 0,
      'pause-worker': 0,
      'stop-broker': 0,
      'kill-broker': 0
    }
    const bornMs = Date.now()
    this.fed = this.feed()
    const stuck = await this.untilOut(Math.ceil(2 * warmShare * this.options.events))
    if (stuck !== undefined) throw new Error(stuck)
    this.away.push({ fromMs: bornMs, toMs: Date.now() })
    const began = performance.now()
    const all = faultKinds.reduce((sum, kind) => sum + counts[kind], 0)
    for (let n = 0; n < all; n++) {
      await sleep(Math.max(0, began + ((n + 1) * durationMs) / (all + 1) - performance.now()))
      const kinds = faultKinds.flatMap(kind => Array.from({ length: left[kind] }, () => kind))
      const kind = kinds[this.random.int(kinds.length)] ?? 'kill-worker'
      left[kind]--
      const what = await this.strike(kind)
      struck[kind]++
      say(`${Math.round((performance.now() - began) / 1000)} s: ${kind} ${what}`)
    }
    await sleep(Math.max(0, began + durationMs - performance.now()))
    return struck
  }

  private async strike(kind: KafkaFault): Promise<string> {
    if (kind === 'stop-broker' || kind === 'kill-broker') {
      await this.broker
      const id = 1 + this.random.int(3)
      const awayMs = this.random.int(3_000)
      this.broker = this.restart(id, kind === 'stop-broker' ? 'SIGTERM' : 'SIGKILL', awayMs)
      return String(id)
    }
    const up = this.world.up()
    const worker = up[this.random.int(Math.max(1, up.length))]
    if (worker === undefined) return 'nobody'
    this.struckMs.push(Date.now())
    if (kind === 'pause-worker') this.pauses.push(this.pause(worker))
    else {
      await this.world.kill(worker)
      setTimeout(() => worker.state === 'down' && this.world.begin(worker), this.random.int(3_000))
    }
    return worker.name
  }

  private async restart(id: number, signal: 'SIGTERM' | 'SIGKILL', awayMs: number): Promise<void> {
    const fromMs = Date.now()
    await this.kafka.stopBroker(id, signal)
    await sleep(awayMs)
    await this.kafka.startBroker(id)
    this.away.push({ fromMs, toMs: Date.now() })
  }

  /** Longer than anybody waits for it: others have taken over when it goes on. */
  private async pause(worker: Managed): Promise<void> {
    const { child } = worker
    if (child === undefined) return
    worker.state = 'paused'
    await standStill(child.pid)
    await sleep(pauseMs)
    child.signal('SIGCONT')
    if (worker.child === child && worker.state === 'paused') worker.state = 'up'
  }

  /** By Kafka's own producer, over the time of the fight. */
  private feed(): Promise<string> {
    const { seed, events, durationMs, folder } = this.options
    const began = performance.now()
    async function* lines(): AsyncGenerator<string> {
      for (let id = 0; id < events;) {
        const due = Math.min(events, Math.ceil(((performance.now() - began + 100) / durationMs) * events))
        let text = ''
        for (; id < due; id++) {
          const transfer = transferOf(seed, id)
          text += `${transfer.from}\t${JSON.stringify(transfer)}\n`
        }
        if (text !== '') yield text
        await sleep(50)
      }
    }
    const reliable = [
      'acks=all',
      'enable.idempotence=true',
      'retries=2147483647',
      'delivery.timeout.ms=600000',
      'max.block.ms=600000'
    ]
    return this.kafka.tool(
      'org.apache.kafka.tools.ConsoleProducer',
      [
        ...['--topic', 'transfers', '--reader-property', 'parse.key=true'],
        ...reliable.flatMap(each => ['--command-property', each])
      ],
      { input: lines(), timeoutMs: durationMs + 600_000, log: join(folder, 'producer.log') }
    )
  }

  /** Heals everything, waits for the rest of the output, and judges it. */
  async finish(): Promise<string[]> {
    const { seed, events, say } = this.options
    await this.broker
    await Promise.all(this.pauses)
    await this.fed
    say('everything is healed, and all of the input is there')
    const sent = (await this.topics.read('transfers')).map(({ value }) => idOf(value))
    // What Kafka's producer has given up is not in the input, and no fault of the job's.
    if (sent.length < events) say(`Kafka's producer gave up ${events - sent.length} transfers: see producer.log`)
    if (new Set(sent).size < sent.length) return ["Kafka's producer wrote transfers twice: this run proves nothing"]
    if (sent.length < events / 2) return ['most of the input is missing: this run proves nothing; see producer.log']
    const stuck = await this.untilOut(2 * sent.length)
    if (stuck !== undefined) return [stuck]
    const behind = await this.untilTold()
    await Promise.all(this.world.up().map(worker => this.world.leave(worker, leaveMs)))
    const wrong = wrongWith(seed, sent, await this.consume())
    wrong.push(...behind)
    this.transactions = timesOf(await this.endedTransactions(), this.away, this.struckMs, openLimitMs)
    for (const open of await this.openTransactions()) wrong.push(`a transaction is open: ${open}`)
    return wrong
  }

  /** What the consumer group says of the input, as operators see it, once it says that all is read; else what it says in the end. */
  private async untilTold(): Promise<string[]> {
    const until = performance.now() + toldMs
    for (;;) {
      const text = await this.kafka.tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
        ...['--describe', '--group', 'cairn-transfers']
      ])
      const wrong = offsetsWrong(text, 'transfers', partitions)
      if (wrong.length === 0 || performance.now() > until) return wrong
    }
  }

  private async untilOut(wanted: number): Promise<string | undefined> {
    const { stillMs = 120_000, say } = this.options
    const positions = Array.from({ length: partitions }, () => 0)
    let movedAt = performance.now()
    let toldAt = 0
    for (let out = 0; ;) {
      const more = await this.topics.count('entries', positions)
      out += more
      if (out >= wanted) return undefined
      const now = performance.now()
      if (more > 0) movedAt = now
      if (now - movedAt > stillMs) return `nothing comes any more: ${out} entries of ${wanted}`
      if (now - toldAt > 15_000) {
        toldAt = now
        say(`${out} entries of ${wanted}`)
      }
      if (more === 0) await sleep(200)
    }
  }

  /** Everything that is committed, in the order of each partition; ends when nothing has come for a while. */
  private async consume(): Promise<Entry[]> {
    const text = await this.kafka.tool(
      'org.apache.kafka.tools.consumer.ConsoleConsumer',
      ['--topic', 'entries', '--from-beginning', '--isolation-level', 'read_committed', '--timeout-ms', '10000'],
      { timeoutMs: 600_000 }
    )
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Entry)
  }

  private async endedTransactions(): Promise<Transaction[]> {
    const text = await this.kafka.tool(
      'org.apache.kafka.tools.consumer.ConsoleConsumer',
      [
        ...['--topic', '__transaction_state', '--from-beginning', '--timeout-ms', '10000'],
        ...['--formatter', 'org.apache.kafka.tools.consumer.TransactionLogMessageFormatter']
      ],
      { timeoutMs: 600_000 }
    )
    return transactionsIn(text, 'transfers.')
  }

  private async openTransactions(): Promise<string[]> {
    const text = await this.kafka.tool('org.apache.kafka.tools.TransactionsCommand', ['list'])
    return text
      .split('\n')
      .slice(1)
      .filter(line => /\b(Ongoing|Prepare\w+)\b/.test(line))
  }
}

const idOf = (value: Uint8Array | undefined): number =>
  (JSON.parse(Buffer.from(value ?? []).toString()) as { readonly id: number }).id
