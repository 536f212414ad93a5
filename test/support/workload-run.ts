/**
 * One process, its storage, its log and its sinks in memory, recorded as evidence. Dies at random points of the protocol (the shell's
 * probes) and at random moments, and begins again with other options.
 */
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import type { Decision } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { Producer, Publisher, PublishOutcome, SlotName } from '../../runtime/ports/publisher.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import { beginIncarnation, type Incarnation } from '../../runtime/shell/incarnation.ts'
import type { Evidence, Fencing, Publication, StorageEvent } from '../../simulations/checkers/evidence.ts'
import { makeWorkload, type Workload, type WorkloadOptions } from '../../simulations/workload/index.ts'
import { MemoryLog } from '../../simulations/workload/memory-log.ts'
import { MemoryFiles } from '../../simulations/memory-files.ts'
import { VirtualClock } from '../../simulations/virtual-clock.ts'

class Crash extends Error {}

export interface RunOptions extends Partial<WorkloadOptions> {
  readonly crashes?: number
}

export interface WorkloadRun {
  readonly workload: Workload
  readonly evidence: Evidence
  readonly crashes: number
  /** What ended the run though nobody wanted it to. */
  readonly failure: unknown
}

class World {
  readonly workload: Workload
  readonly clock = new VirtualClock(1)
  readonly history: StorageEvent[] = []
  readonly objects = new Map<string, Uint8Array>()
  readonly publications: Publication[] = []
  readonly fencings: Fencing[] = []
  readonly loose = new Map<string, OutputRecord[]>()
  crashes = 0
  finished = false
  private readonly random: Prng
  private readonly directory = new DirectoryStorage(new MemoryFiles(), '/checkpoints')
  private readonly owners = new Map<string, number>()
  private readonly ledger = new Map<string, Publication>()
  private crashesLeft: number
  private nonces = 0
  private generation = 0
  private happened = 0

  constructor(seed: string | number, options: RunOptions) {
    this.random = new Prng(seed).fork('run')
    const sleep = (ms: number): Promise<void> => new Promise(resolve => this.clock.after(ms, resolve))
    this.workload = makeWorkload(seed, { sleep, ...options })
    this.crashesLeft = options.crashes ?? this.random.int(6)
  }

  private readonly storage: CheckpointStorage = {
    create: async (name, bytes) => {
      const outcome = await this.directory.create(name, bytes)
      if (outcome === 'created') this.objects.set(name, bytes.slice())
      this.note('create', name, outcome)
      return outcome
    },
    read: name => this.directory.read(name),
    readRange: (name, offset, length) => this.directory.readRange(name, offset, length),
    list: folder => this.directory.list(folder),
    remove: async name => {
      await this.directory.remove(name)
      this.note('remove', name, 'removed')
    }
  }

  /** No two things happen at one time. */
  private now(): number {
    return this.clock.now() + (this.happened += 1e-6)
  }

  private note(operation: StorageEvent['operation'], name: string, outcome: StorageEvent['outcome']): void {
    this.history.push({ atMs: this.now(), who: `g${this.generation}`, operation, name, outcome })
  }

  private publisher(partitions: number): Publisher {
    return {
      describe: () => Promise.resolve({ partitions, maxRecordBytes: 1024 * 1024 }),
      initialise: slot => Promise.resolve(this.producer(slot)),
      close: () => Promise.resolve()
    }
  }

  private producer(slot: SlotName): Producer {
    const name = `${slot.lineage}/${slot.sink}/${slot.stage}/${slot.slot}`
    const owner = (this.owners.get(name) ?? 0) + 1
    this.owners.set(name, owner)
    const { generation } = this
    const order = this.fencings.length
    this.fencings.push({
      slot,
      generation,
      after: this.publications.length,
      asked: 2 * order + 1,
      answered: 2 * order + 2,
      atMs: this.now()
    })
    return {
      readLedger: () => Promise.resolve(this.ledger.get(name)?.entry),
      publish: (records, entry): Promise<PublishOutcome> => {
        if (this.owners.get(name) !== owner) return Promise.resolve({ kind: 'fenced' })
        const publication = { slot, entry, records, atMs: this.now() }
        this.publications.push(publication)
        this.ledger.set(name, publication)
        const lost = this.random.int(20) === 0
        return Promise.resolve(lost ? { kind: 'unknown', error: new Error('no reply') } : { kind: 'published' })
      },
      close: () => Promise.resolve()
    }
  }

  /** One life: until it ends, dies by its own, or is killed. */
  private async live(): Promise<void> {
    const { workload, random } = this
    const plan = { ...workload.job.plan }
    const options = {
      parallelism: 1 + random.int(Math.min(4, workload.shape.slots)),
      intervalMs: 10 + random.int(40),
      cacheBytes: random.int(2) === 0 ? undefined : random.int(4000)
    }
    const publishers = new Map<string, Publisher>([[deadLettersName, this.publisher(1)]])
    for (const node of plan.nodes)
      if (node.kind === 'sink' && node.delivery === 'exactly-once')
        publishers.set(node.name, this.publisher('partitions' in node.sink ? (node.sink.partitions ?? 1) : 1))
    const batch = 1 + random.int(40)
    const slowMs = 1 + random.int(20)
    const before = (): Promise<void> => new Promise(resolve => this.clock.after(random.int(slowMs), resolve))
    this.generation++
    let dies = -1
    if (this.crashesLeft > 0) {
      this.crashesLeft--
      dies = random.int(120)
    }
    const incarnation = await beginIncarnation(
      { ...plan, ...options },
      {
        clock: this.clock,
        check: random.int(2) === 0,
        storage: this.storage,
        store: () => Promise.resolve(new MemoryStore()),
        reader: node => {
          const source = workload.shape.sources.findIndex(({ name }) => name === node.name)
          return new MemoryLog(workload.inputs[source] ?? [], { batch, before })
        },
        publishers,
        appenders: new Map(
          workload.shape.sinks
            .filter(({ delivery }) => delivery === 'at-least-once')
            .map(({ name }) => [
              name,
              {
                append: records => {
                  this.loose.set(name, [...(this.loose.get(name) ?? []), ...records])
                  return Promise.resolve()
                },
                close: () => Promise.resolve()
              }
            ])
        ),
        nonce: () => `n${this.nonces++}`,
        probe: () => {
          if (dies >= 0 && dies-- === 0) throw new Crash()
        }
      }
    )
    if (incarnation.kind === 'finished') {
      this.finished = true
      return
    }
    await this.drive(incarnation, () => dies >= 0 && random.int(400) === 0)
  }

  private async drive(incarnation: Extract<Incarnation, { kind: 'running' }>, killed: () => boolean): Promise<void> {
    const { shell } = incarnation
    let ended: { readonly error?: unknown } | undefined
    shell.ended.then(
      () => (ended = {}),
      (error: unknown) => (ended = { error })
    )
    shell.start()
    let quiet = 0
    while (ended === undefined && quiet < 150) {
      // Large files are digested on another thread, which knows nothing of virtual time.
      if (quiet > 50) await new Promise(resolve => setTimeout(resolve, 10))
      for (let turn = 0; turn < 4 && ended === undefined; turn++) await new Promise(resolve => setImmediate(resolve))
      if (killed()) {
        this.crashes++
        return shell.stop()
      }
      if (!this.clock.step(this.clock.now() + 5)) quiet = incarnation.worker.changed ? 0 : quiet + 1
      else quiet = 0
    }
    if (ended === undefined) throw new Error('it stands still')
    await shell.stop()
    if (ended.error instanceof Crash) this.crashes++
    else if (ended.error !== undefined) throw new Error('a generation failed', { cause: ended.error })
  }

  async run(): Promise<unknown> {
    for (let lives = 0; !this.finished && lives < 40; lives++)
      try {
        await this.live()
      } catch (error) {
        return error
      }
    return this.finished ? undefined : new Error('too many lives')
  }

  async evidence(): Promise<Evidence> {
    const decisions = [...this.objects]
      .filter(([name]) => name.startsWith(`${objectNames.decisions}/`))
      .map(([name, bytes]) => ({
        sequence: objectNames.sequenceOf(name.slice(objectNames.decisions.length + 1)) ?? -1,
        decision: (JSON.parse(new TextDecoder().decode(bytes)) as { decision: Decision }).decision,
        atMs: this.history.find(event => event.name === name && event.outcome === 'created')?.atMs ?? 0
      }))
      .sort((a, b) => a.sequence - b.sequence)
    const storedAtEnd: string[] = []
    for (const folder of [...objectNames.fileFolders, objectNames.manifests, objectNames.decisions])
      storedAtEnd.push(...(await this.directory.list(folder)).map(name => `${folder}/${name}`))
    return {
      workload: this.workload,
      decisions,
      readObject: name => this.objects.get(name),
      storedAtEnd,
      storageHistory: this.history,
      publications: this.publications,
      loose: this.loose,
      fencings: this.fencings,
      limits: [],
      finished: this.finished,
      waitingFor: this.finished ? [] : ['the run to end']
    }
  }
}

export async function runWorkload(seed: string | number, options: RunOptions = {}): Promise<WorkloadRun> {
  const world = new World(seed, options)
  const failure = await world.run()
  return { workload: world.workload, evidence: await world.evidence(), crashes: world.crashes, failure }
}
