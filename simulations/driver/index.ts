/**
 * `cairn/testing`: runs a job in this process on the real core, in virtual time, in memory.
 *
 *   const t = await drive(job)
 *   t.flights.push(…); await t.settle(); t.reports.take()
 *
 * And what a job file tells `cairn simulate`: `simulationOf`, `invariant`, `standIn`.
 */
import type { ActorClass, EventOf, Fields, KeyOf } from '../../actors/actor.ts'
import type { Delivered, Job, Origin, Stream } from '../../actors/stream.ts'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import type { Key } from '../../runtime/kernel/keys.ts'
import { parseDuration, type Duration } from '../../runtime/kernel/durations.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { ParkedLine, QuarantineAnswer, QuarantineCommand } from '../../runtime/core/quarantine.ts'
import { readLetter } from '../../runtime/core/dead-letter.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import { beginIncarnation, type Incarnation } from '../../runtime/shell/incarnation.ts'
import { MemoryFiles } from '../memory-files.ts'
import { MemoryPublisher } from '../memory-publisher.ts'
import { VirtualClock } from '../virtual-clock.ts'
import { DrivenReader } from './driven-reader.ts'

export { invariant, simulationOf, standIn } from '../user/simulation-of.ts'
export type {
  Answers,
  Call,
  Events,
  Invariant,
  Random,
  Simulation,
  SimulationOptions,
  StandIn,
  Verdict
} from '../user/simulation-of.ts'

export interface Driver {
  /** Moves the wall clock, ringing alarms on the way; event time moves by pushed events, `watermark` and `end`. Then settles. */
  advance(by: Duration): Promise<void>
  /** Everything pushed is handled, one checkpoint is decided if anything changed, its output is published. */
  settle(): Promise<void>
  /** The same as `settle`. */
  checkpoint(): Promise<void>
  /** The worker dies at once, losing what no checkpoint holds, and a new one begins from the last; with other options from now on when they are given. */
  crash(options?: DriveOptions): Promise<void>
  /** A copy of one actor's fields, undefined when there is none. */
  state<C extends ActorClass>(actor: C, key: KeyOf<C>): Readonly<Fields<InstanceType<C>>> | undefined
  /** Dead letters published since the last call. */
  deadLetters(): unknown[]
  /** Keys whose handler failed, of stages that say `onError: 'quarantine'`. */
  readonly quarantine: DrivenQuarantine
}
/** What `cairn quarantine` does; each settles, and is answered when a checkpoint holds it. Throws NOT_FOUND where the key is not parked. */
export interface DrivenQuarantine {
  /** In no order. */
  list<C extends ActorClass>(actor: C): ParkedLine[]
  /** Runs what waits, in order. */
  retry<C extends ActorClass>(actor: C, key: KeyOf<C>): Promise<QuarantineAnswer>
  /** The same, with another event in the place of the one that failed. */
  edit<C extends ActorClass>(actor: C, key: KeyOf<C>, event: EventOf<C>): Promise<QuarantineAnswer>
  /** The same, without what failed. */
  drop<C extends ActorClass>(actor: C, key: KeyOf<C>): Promise<QuarantineAnswer>
  /** Gives up all that waits. */
  dropAll<C extends ActorClass>(actor: C, key: KeyOf<C>): Promise<QuarantineAnswer>
}
export interface DrivenSource<T> {
  push(...values: T[]): void
  /** Promises that no event earlier than `at` (ms) will come. */
  watermark(at: number): void
  end(): void
}
export interface DrivenOutput<T> {
  /** What came out since the last call. */
  take(): T[]
}
export type Driven<H> = {
  [P in keyof H]: H[P] extends Origin<infer T>
    ? DrivenSource<T>
    : H[P] extends Delivered<infer T>
      ? DrivenOutput<T>
      : H[P] extends Stream<infer T>
        ? DrivenOutput<T>
        : never
}

export interface DriveOptions {
  /** Overrides the job's own. */
  readonly parallelism?: number
  /** Bytes of actors to keep as objects; a small one makes every actor leave memory now and then. */
  readonly cacheBytes?: number
}

export async function drive<H>(job: Job<H>, options: DriveOptions = {}): Promise<Driver & Driven<H>> {
  const world = new World({ ...job, plan: { ...job.plan, ...options } })
  await world.begin()
  const driver: Driver = {
    advance: by => world.advance(parseDuration(by, 'advance')),
    settle: () => world.settle(),
    checkpoint: () => world.settle(),
    crash: (options = {}) => world.crash(options),
    state: (actor, key) => world.state(nameOf(actor), key as Key) as never,
    deadLetters: () => world.take(deadLettersName),
    quarantine: {
      list: actor => world.parked(nameOf(actor)),
      retry: (actor, key) => world.operate('retry', nameOf(actor), key as Key),
      edit: (actor, key, event) => world.operate('edit', nameOf(actor), key as Key, event),
      drop: (actor, key) => world.operate('drop', nameOf(actor), key as Key),
      dropAll: (actor, key) => world.operate('drop-all', nameOf(actor), key as Key)
    }
  }
  return Object.assign(driver, world.handles()) as Driver & Driven<H>
}

function nameOf(actor: ActorClass): string {
  return actor.actorName ?? actor.name
}

class World {
  private job: Job<unknown>
  private readonly clock = new VirtualClock()
  private readonly storage = new DirectoryStorage(new MemoryFiles(), '/checkpoints')
  private readonly readers = new Map<string, DrivenReader>()
  private readonly publishers = new Map<string, MemoryPublisher>()
  private readonly taken = new Map<string, number>()
  private readonly tapped = new Map<string, unknown[]>()
  private incarnation: Incarnation | undefined
  private nonces = 0

  constructor(job: Job<unknown>) {
    this.job = job
    for (const node of job.plan.nodes) {
      if (node.kind === 'source') this.readers.set(node.name, new DrivenReader())
      if (node.kind === 'sink') this.publishers.set(node.name, new MemoryPublisher())
    }
    this.publishers.set(deadLettersName, new MemoryPublisher())
  }

  async begin(): Promise<void> {
    this.incarnation = await beginIncarnation(this.job.plan, {
      clock: this.clock,
      check: true,
      storage: this.storage,
      store: () => Promise.resolve(new MemoryStore()),
      reader: node => this.readers.get(node.name) as DrivenReader,
      publishers: this.publishers,
      appenders: new Map(
        [...this.publishers].map(([name, publisher]) => [
          name,
          {
            append: records => {
              publisher.records.push(...records)
              return Promise.resolve()
            },
            close: () => Promise.resolve()
          }
        ])
      ),
      nonce: () => `n${this.nonces++}`,
      onTap: (handle, value) => {
        const values = this.tapped.get(handle)
        if (values === undefined) this.tapped.set(handle, [value])
        else values.push(value)
      }
    })
    if (this.incarnation.kind === 'running') this.incarnation.shell.start()
    await this.settle()
  }

  async settle(): Promise<void> {
    const { incarnation } = this
    if (incarnation?.kind !== 'running') return
    const { shell, worker } = incarnation
    let failure: { readonly error: unknown } | undefined
    shell.ended.catch((error: unknown) => (failure = { error }))
    for (;;) {
      await new Promise(resolve => setImmediate(resolve))
      await shell.quiet()
      await new Promise(resolve => setImmediate(resolve))
      if (failure !== undefined) throw failure.error
      if (shell.isOver || !worker.changed) return
      void shell.checkpoint().catch(() => undefined)
    }
  }

  async advance(ms: number): Promise<void> {
    const limit = this.clock.now() + ms
    await this.settle()
    while (this.clock.step(limit)) await this.settle()
    if (this.incarnation?.kind === 'running') this.incarnation.shell.tick()
    await this.settle()
  }

  async crash(options: DriveOptions): Promise<void> {
    if (this.incarnation?.kind === 'running') await this.incarnation.shell.stop()
    this.job = { ...this.job, plan: { ...this.job.plan, ...options } }
    await this.begin()
  }

  state(stage: string, key: Key): Record<string, unknown> | undefined {
    if (this.incarnation?.kind !== 'running') return undefined
    return this.incarnation.worker.stateOf(stage, key)
  }

  parked(stage: string): ParkedLine[] {
    if (this.incarnation?.kind !== 'running') return []
    return this.incarnation.worker.tasksOf(stage).flatMap(task => task.state.quarantine.lines())
  }

  async operate(
    action: QuarantineCommand['action'],
    stage: string,
    key: Key,
    value?: unknown
  ): Promise<QuarantineAnswer> {
    if (this.incarnation?.kind !== 'running') throw new CodedError('NOT_RUNNING', 'the job has finished')
    const { shell } = this.incarnation
    const answer = shell.operate({ id: `n${this.nonces++}`, action, stage, key, value })
    answer.catch(() => undefined)
    await this.settle()
    return answer
  }

  take(sink: string): unknown[] {
    const publisher = this.publishers.get(sink)
    if (publisher === undefined) throw new CodedError('OPTION_INVALID', `no sink "${sink}"`)
    const node = this.job.plan.nodes.find(each => each.kind === 'sink' && each.name === sink)
    const isLetter = node?.kind !== 'sink'
    const { codec } = isLetter ? this.job.plan.deadLetters : node.sink
    const from = this.taken.get(sink) ?? 0
    this.taken.set(sink, publisher.records.length)
    return publisher.records
      .slice(from)
      .map(record =>
        isLetter ? readLetter(record, codec) : record.value === undefined ? undefined : codec.decode(record.value)
      )
  }

  handles(): Record<string, unknown> {
    return Object.fromEntries<unknown>(
      Object.entries(this.job.plan.handles).map(([name, handle]) => {
        if (handle.kind === 'sink') return [name, { take: () => this.take(handle.name) }]
        if (handle.kind === 'stream') return [name, { take: () => this.tapped.get(handle.name)?.splice(0) ?? [] }]
        const reader = this.readers.get(handle.name) as DrivenReader
        return [
          name,
          {
            push: (...values: unknown[]) => reader.push(values),
            watermark: (at: number) => reader.watermark(at),
            end: () => reader.end()
          }
        ]
      })
    )
  }
}
