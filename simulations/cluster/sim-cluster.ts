/**
 * A cluster in the made-up world: several workers with the real machines and shells, each on a machine of its own, around one network,
 * one control bus, one checkpoint storage and one Kafka-like log. Nothing here decides anything that Cairn decides.
 */
import { KafkaPublisher } from '../../runtime/adapters/kafka/kafka-publisher.ts'
import type { Plan, PlanNode, SinkNode, SourceNode } from '../../actors/plan.ts'
import type { Job } from '../../actors/stream.ts'
import { firstLineage, newestLineage, type OpenLineage } from '../../checkpoint/lineages.ts'
import type { ClusterTiming } from '../../runtime/core/cluster-timing.ts'
import type { Fullness } from '../../runtime/core/worker-gauges.ts'
import type { ElectorTiming } from '../../runtime/core/elector.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import { sha256Hex } from '../../runtime/kernel/checksum.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Appender, LogReader, OutputRecord } from '../../runtime/ports/log.ts'
import type { Publisher, SlotName } from '../../runtime/ports/publisher.ts'
import { ClusterWorker } from '../../runtime/shell/cluster-worker.ts'
import type { Ports } from '../../runtime/shell/generation.ts'
import type { Build } from '../workload/program-actor.ts'
import { BrokerCluster } from '../broker/broker-cluster.ts'
import { serveBrokers } from '../broker/wire.ts'
import { SimControlBus } from '../world/control-bus.ts'
import { oneAtATime } from '../../checkpoint/state-store.ts'
import { LocalStore } from '../world/local-store.ts'
import { SimNetwork } from '../world/network.ts'
import { SimHost, type SimHostOptions, type SimProcess } from '../world/process.ts'
import { SimStorage } from '../world/storage.ts'
import { type WorldTime } from '../world/time.ts'
import { decisionsIn, lineagesEver } from './gather-evidence.ts'
import { insistent, takeBack, type GoingBack } from './operator.ts'
import { lineagesIn } from './sim-lineages.ts'

export interface SimClusterOptions {
  readonly random: Prng
  readonly time: WorldTime
  /** The job as one process has loaded it; asked for each process anew. */
  readonly job: (process: SimProcess, build: Build) => Job<unknown>
  /** An upgrade brings the second build; default: the same again. */
  readonly upgrades?: boolean
  readonly plan: Plan
  /** Machines that are there from the start. */
  readonly hosts: readonly string[]
  readonly timing: ClusterTiming & ElectorTiming
  readonly transactionVersion: 1 | 2
  readonly firstProducerEpoch: number
  /** Whether the brokers are of today, or from before compact lengths. */
  readonly kafka: 'new' | 'old'
  /** Positions of the sources are told along with the first sink that is exactly once. */
  readonly tells: boolean
  readonly limits: NonNullable<Ports['limits']>
  /** Freeze events and compare state between handlers: most of the time of a run. */
  readonly check: boolean
  /** The job may go back, so every start asks where it stands. */
  readonly restores?: boolean
  readonly reader: (source: SourceNode, process: SimProcess) => LogReader
  readonly host?: (name: string) => SimHostOptions
}

/** A producer of a slot was initialised. */
export interface FencingNote {
  readonly slot: SlotName
  /** That of its process when the answer came, until what is published with it says better: an older one may be on its way out. */
  generation: number
  /** Committed transactions at that moment. */
  readonly after: number
  readonly asked: number
  readonly answered: number
  readonly atMs: number
}

const ledgerTopic = 'ledger'
const group = 'cairn'
/** Longer than most checkpoints. */
const slowAppendMs = 200
/** Of a worker that ended because the job went on in another lineage, and of a start that could not ask. */
const startedAgainMs = 300
/** Of the topics that sources seem to have: as many as any source has. */
const mostPartitions = 64

const fullnessKinds = ['pendingBytes', 'queueRecords', 'windowBytes', 'loopRecords'] as const

export class SimCluster {
  readonly time: WorldTime
  readonly network: SimNetwork
  readonly bus: SimControlBus
  readonly storage: SimStorage
  readonly broker: BrokerCluster
  readonly hosts = new Map<string, SimHost>()
  /** The newest worker of each machine. */
  readonly workers = new Map<string, ClusterWorker>()
  /** A worker whose process dies is started again after so long; undefined: faults say when. */
  restartAfterMs: number | undefined
  /** How the job ended, once a worker knows. */
  ended: 'finished' | 'drained' | undefined
  /** What at-least-once sinks got. */
  readonly loose = new Map<string, OutputRecord[]>()
  readonly fencings: FencingNote[] = []
  /** Starts and ends of processes, for people. */
  readonly notes: { readonly atMs: number; readonly text: string }[] = []
  /** What no worker should ever throw, by worker. */
  readonly crashes: string[] = []
  /** The most that `sample` saw. */
  readonly fullest: Record<keyof Fullness, number> = {
    pendingBytes: 0,
    queueRecords: 0,
    windowBytes: 0,
    loopRecords: 0
  }
  /** Topic of each source whose positions are told. */
  readonly told: ReadonlyMap<string, string>
  private readonly teller: string | undefined
  private samples = 0
  private readonly upgraded = new Set<string>()
  private operators = 0
  private readonly nonces = new WeakMap<SimProcess, () => string>()
  private readonly options: SimClusterOptions
  /** Where they listen, once they do. */
  private readonly brokers: string[] = []
  private pastEvents = 0
  private initialisations = 0
  private appends = 0
  private readonly sinks: readonly { readonly name: string; readonly partitions: number }[]

  constructor(options: SimClusterOptions) {
    this.options = options
    const { time, random, plan } = options
    this.time = time
    this.network = new SimNetwork(time, random.fork('network'))
    this.bus = new SimControlBus(time, random, { leaseTtlMs: options.timing.leaseMs })
    this.storage = new SimStorage(time, random)
    this.broker = new BrokerCluster({
      world: { now: () => time.now(), schedule: (ms, callback) => void time.schedule(ms, callback, 'broker') },
      prng: random.fork('broker'),
      transactionVersion: options.transactionVersion,
      firstProducerEpoch: options.firstProducerEpoch
    })
    this.sinks = [
      ...plan.nodes
        .filter((node): node is SinkNode => node.kind === 'sink')
        .map(({ name, sink }) => ({ name, partitions: 'partitions' in sink ? (sink.partitions ?? 1) : 1 })),
      { name: deadLettersName, partitions: 1 }
    ]
    for (const { name, partitions } of this.sinks) this.broker.createTopic(name, { partitions })
    this.broker.createTopic(ledgerTopic, { partitions: plan.slots, compacted: true })
    const isTeller = (node: PlanNode): node is SinkNode => node.kind === 'sink' && node.delivery === 'exactly-once'
    this.teller = options.tells ? plan.nodes.find(isTeller)?.name : undefined
    const sources = this.teller === undefined ? [] : plan.nodes.filter(({ kind }) => kind === 'source')
    this.told = new Map((sources as SourceNode[]).map(({ name }) => [name, `source.${name}`]))
    for (const topic of this.told.values()) this.broker.createTopic(topic, { partitions: mostPartitions })
    this.serve()
    for (const name of options.hosts) this.machine(name)
  }

  private serve(): void {
    const { time, random, kafka: dialect } = this.options
    const transports = Array.from({ length: this.broker.options.brokers }, (_, i) =>
      this.network.transport(new SimHost(time, `kafka${i}`, random.fork(`host kafka${i}`)).start())
    )
    const told = (addresses: readonly string[]): void => void this.brokers.push(...addresses)
    serveBrokers(this.broker, transports, { prng: random.fork('wire'), dialect }).then(told, (error: unknown) =>
      this.crashes.push(`the brokers: ${String(error)}`)
    )
  }

  /** Another machine, without a worker yet. */
  machine(name: string): SimHost {
    const host = new SimHost(this.time, name, this.options.random.fork(`host ${name}`), this.options.host?.(name) ?? {})
    this.hosts.set(name, host)
    return host
  }

  /** Starts a worker on a machine whose last process is dead. */
  start(name: string, why?: 'restart' | 'join' | 'upgrade'): SimProcess {
    if (why === 'upgrade' && this.options.upgrades === true) this.upgraded.add(name)
    const host = this.hosts.get(name) ?? this.machine(name)
    const process = host.start()
    this.note(`${process.name} starts`)
    process.onDeath(() => this.died(name, process))
    this.time.schedule(0, () => process.deliver(() => this.run(host, process), 'start'), 'start', process.name)
    return process
  }

  private died(name: string, process: SimProcess): void {
    this.note(`${process.name} ends`)
    if (this.restartAfterMs !== undefined && this.ended === undefined)
      this.time.schedule(this.restartAfterMs, () => void this.start(name), 'restart')
  }

  private note(text: string): void {
    this.notes.push({ atMs: this.time.now(), text })
  }

  /** Tells its worker to give away what it runs, and to end. */
  leave(name: string): void {
    const process = this.hosts.get(name)?.process
    process?.deliver(() => this.workers.get(name)?.leave(), 'told to leave')
  }

  /** Tells whoever believes to lead. False: nobody does. */
  tellLeader(label: string, tell: (worker: ClusterWorker) => void): boolean {
    const leaders = [...this.workers].filter(([, worker]) => worker.leadership?.term !== undefined)
    for (const [name, worker] of leaders) this.hosts.get(name)?.process?.deliver(() => tell(worker), label)
    return leaders.length > 0
  }

  /** Handled by actors of all workers so far. */
  get events(): number {
    return this.pastEvents + [...this.workers.values()].reduce((sum, worker) => sum + worker.events, 0)
  }

  /** Looks how full the queues of one worker are, the next one each time. */
  sample(): void {
    const workers = [...this.workers.values()]
    const full = workers[this.samples++ % workers.length]?.fullness
    if (full === undefined) return
    for (const each of fullnessKinds) this.fullest[each] = Math.max(this.fullest[each], full[each])
  }

  /** Takes the job back to an older checkpoint. Returns what ends the patience of who does. */
  takeBack(going: GoingBack, done: () => void): () => void {
    const name = `operator${++this.operators}`
    const settings = {
      host: new SimHost(this.time, name, this.options.random.fork(`host ${name}`)),
      plan: (process: SimProcess) => this.options.job(process, this.upgraded.size > 0 ? 2 : 1).plan,
      lineages: (process: SimProcess) => lineagesIn(insistent(this.storage.handle(process))),
      ports: (process: SimProcess, { lineage, storage }: OpenLineage) => ({ ...this.ports(process), lineage, storage }),
      nonce: (process: SimProcess) => this.nonceOf(process)
    }
    return takeBack(settings, going, {
      done: ({ lineage, from }) => {
        this.note(`${name} takes the job back to ${from}: it goes on in lineage ${lineage}`)
        done()
      },
      crashed: why => this.crashes.push(`${name}: ${why}`)
    })
  }

  private run(host: SimHost, process: SimProcess): void {
    if (this.options.restores !== true) return this.join(host, process)
    newestLineage(lineagesIn(this.storage.handle(process)), this.nonceOf(process)).then(
      newest => this.join(host, process, newest),
      (error: unknown) => {
        if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED')
          this.crashes.push(`${process.name}: ${String(error)}`)
        process.after(startedAgainMs, () => this.run(host, process), 'asks again')
      }
    )
  }

  private join(host: SimHost, process: SimProcess, newest?: OpenLineage): void {
    const { timing } = this.options
    const build = this.upgraded.has(host.name) ? 2 : 1
    const { plan } = this.options.job(process, build)
    const worker = new ClusterWorker({
      plan,
      planHash: build === 1 ? 'plan' : 'another plan',
      name: host.name,
      ports: {
        ...this.ports(process),
        ...(newest === undefined ? {} : { lineage: newest.lineage, storage: newest.storage })
      },
      bus: this.bus.bus(process),
      transport: this.network.transport(process),
      timing
    })
    this.pastEvents += this.workers.get(host.name)?.events ?? 0
    this.workers.set(host.name, worker)
    worker.ended.then(
      how => {
        if (how !== 'stopped' && this.goesOnAfter(newest?.lineage)) this.startAgain(host)
        else if (how !== 'stopped') this.ended = how
        process.kill()
      },
      (error: unknown) => {
        if (!(error instanceof CodedError) || error.code !== 'LINEAGE_ENDED')
          this.crashes.push(`${process.name}: ${String(error)}`)
        this.startAgain(host)
        process.kill()
      }
    )
    worker.start().catch((error: unknown) => this.crashes.push(`${process.name}: ${String(error)}`))
  }

  /** The job has gone back, so the end of its lineage is not that of the job. */
  private goesOnAfter(lineage: number = firstLineage): boolean {
    return decisionsIn(this.storage, lineage).some(({ decision }) => decision.kind === 'leads' && decision.ends)
  }

  /** Of names of objects; no two of a process are alike. */
  private nonceOf(process: SimProcess): () => string {
    let nonce = this.nonces.get(process)
    if (nonce === undefined) {
      let next = 0
      nonce = () => `${process.host.name}.${process.incarnation}.${next++}`
      this.nonces.set(process, nonce)
    }
    return nonce
  }

  private startAgain(host: SimHost): void {
    const again = (): void => {
      if (host.process?.state === 'dead') this.start(host.name)
    }
    this.time.schedule(startedAgainMs, again, 'restart')
  }

  private ports(process: SimProcess): Ports {
    const { reader, limits } = this.options
    return {
      clock: process.clock,
      storage: this.storage.handle(process),
      reader: source => reader(source, process),
      publishers: new Map(this.sinks.map(({ name }) => [name, this.publisher(name, process)])),
      appenders: new Map(this.sinks.map(({ name }) => [name, this.appender(name, process)])),
      nonce: this.nonceOf(process),
      store: oneAtATime(() => LocalStore.open(process)),
      spill: { files: process.files, folder: '/spill' },
      check: this.options.check,
      limits,
      sha256: bytes => Promise.resolve(sha256Hex(bytes))
    }
  }

  private publisher(topic: string, process: SimProcess): Publisher {
    const publisher = this.publisherOf(topic, process)
    return {
      sources: publisher.sources,
      describe: () => publisher.describe(),
      close: () => publisher.close(),
      initialise: async slot => {
        const asked = ++this.initialisations
        const producer = await publisher.initialise(slot)
        const answered = ++this.initialisations
        const after = this.broker.coordinator.commits.length
        const generation = this.workers.get(process.host.name)?.generationNumber ?? this.sealing(process)
        const note = { slot, generation, after, asked, answered, atMs: this.time.now() }
        this.fencings.push(note)
        return {
          ...producer,
          publish: (records, entry, positions) => {
            note.generation = entry.generation
            return producer.publish(records, entry, positions)
          }
        }
      }
    }
  }

  /** By which generation an operator's process seals the slots of a lineage: by that with which it took over. */
  private sealing({ host, incarnation }: SimProcess): number {
    const own = `fork-${host.name}.${incarnation}.`
    const decisions = lineagesEver(this.storage).flatMap(lineage => decisionsIn(this.storage, lineage))
    const leads = decisions.filter(({ decision }) => decision.kind === 'leads' && decision.worker.startsWith(own))
    return Math.max(0, ...leads.map(({ decision }) => decision.generation))
  }

  private publisherOf(topic: string, process: SimProcess): KafkaPublisher {
    const transport = this.network.transport(process)
    return new KafkaPublisher({
      bootstrap: this.brokers,
      connect: address => transport.connect(address),
      clock: process.clock,
      clientId: process.name,
      topic,
      ledgerTopic,
      requestTimeoutMs: 2000,
      transactionTimeoutMs: 15_000,
      initialiseMs: 20_000,
      ...(topic === this.teller ? { told: { group, topics: this.told } } : {})
    })
  }

  /** One append in eight takes long; what a process has not sent when it dies is lost. */
  private appender(sink: string, process: SimProcess): Appender {
    return {
      append: records =>
        process.ask<void>('append', answer => {
          this.time.schedule(++this.appends % 8 === 0 ? slowAppendMs : 1, () => {
            if (process.state === 'dead') return
            const known = this.loose.get(sink)
            if (known === undefined) this.loose.set(sink, [...records])
            else known.push(...records)
            this.time.schedule(1, () => answer({ value: undefined }), 'appended', process.name)
          })
        }),
      close: () => Promise.resolve()
    }
  }

  /** What everybody who is alive waits for. */
  get waitingFor(): string[] {
    return [...this.workers.values()].filter(worker => !worker.isOver).flatMap(worker => worker.waitingFor)
  }
}
