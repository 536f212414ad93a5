/**
 * Runs a job of loops in memory with checkpoints back to back, so that messages are under way at most barriers; crashes it anywhere,
 * and reads what a checkpoint holds.
 */
import type { Job } from '../../actors/index.ts'
import type { StoredActorSchema } from '../../actors/definition-types.ts'
import { decodeValue } from '../../actors/state-codec.ts'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import type { Manifest } from '../../checkpoint/manifest.ts'
import { readHead, stageRecords } from '../../checkpoint/recovery.ts'
import { isActorRecord, keyOfRecord, readEntry } from '../../runtime/core/entry.ts'
import { decodeMessage, isRecordedMessage } from '../../runtime/core/recorded-messages.ts'
import { SourceTask } from '../../runtime/core/source-task.ts'
import { deadLettersName, type Task } from '../../runtime/core/topology.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { decodeKey, keyText } from '../../runtime/kernel/keys.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Files } from '../../runtime/ports/files.ts'
import type { Ports } from '../../runtime/shell/generation.ts'
import { beginIncarnation, type Incarnation } from '../../runtime/shell/incarnation.ts'
import { DrivenReader } from '../../simulations/driver/driven-reader.ts'
import { MemoryFiles } from '../../simulations/memory-files.ts'
import { MemoryPublisher } from '../../simulations/memory-publisher.ts'
import { VirtualClock } from '../../simulations/virtual-clock.ts'

export interface LoopSettings {
  readonly parallelism: number
  readonly cacheBytes?: number | undefined
  readonly limits?: Ports['limits']
  readonly spill?: Files
  /** Says when tasks get a turn and how many events they handle in it: few, so that many are under way. */
  readonly turns?: Prng
  /** Of checkpoints; 0 = one after the other. */
  readonly intervalMs?: number
}

/** What the newest checkpoint holds. */
export interface Stored {
  readonly manifest: Manifest
  /** Fields by stage and key. */
  readonly fields: ReadonlyMap<string, ReadonlyMap<string, Record<string, unknown>>>
  /** Recorded messages by stage. */
  readonly messages: ReadonlyMap<string, readonly unknown[]>
}

/** More turns of the event loop than any of the jobs takes to come to rest. */
const turnLimit = 50_000

export const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function slowDown(task: Task, turns: Prng): void {
  const work = task.work.bind(task)
  let moved = false
  task.work = () => {
    if (moved && turns.int(3) === 0) return true
    moved = work(task instanceof SourceTask ? 1 + turns.int(20) : 1 + turns.int(3))
    return moved
  }
}

export class LoopWorld {
  readonly clock = new VirtualClock()
  readonly storage: DirectoryStorage
  readonly readers = new Map<string, DrivenReader>()
  readonly publishers = new Map<string, MemoryPublisher>()
  incarnation: Incarnation | undefined
  failure: { readonly error: unknown } | undefined
  private readonly job: Job<unknown>
  private readonly refusals: Prng | undefined
  private refuses = true
  private nonces = 0

  /** @param refusals says which files storage refuses */
  constructor(
    job: Job<unknown>,
    refusals?: Prng,
    storage: DirectoryStorage = new DirectoryStorage(new MemoryFiles(), '/checkpoints')
  ) {
    this.job = job
    this.storage = storage
    this.refusals = refusals
    if (refusals !== undefined) {
      const create = this.storage.create.bind(this.storage)
      this.storage.create = (name, bytes) =>
        /^(deltas|outbox|manifests)\/(?!0{12}-)/.test(name) && this.refuses && refusals.int(6) === 0
          ? Promise.reject(new CodedError('STORAGE_FAILED', `"${name}" is refused`))
          : create(name, bytes)
    }
    for (const node of job.plan.nodes) {
      if (node.kind === 'source') this.readers.set(node.name, new DrivenReader())
      if (node.kind === 'sink') this.publishers.set(node.name, new MemoryPublisher())
    }
    this.publishers.set(deadLettersName, new MemoryPublisher())
  }

  async begin({ parallelism, cacheBytes, limits, spill, intervalMs = 0, turns }: LoopSettings): Promise<void> {
    const plan = { ...this.job.plan, parallelism, cacheBytes, intervalMs }
    this.incarnation = await beginIncarnation(plan, {
      clock: this.clock,
      check: true,
      storage: this.storage,
      store: () => Promise.resolve(new MemoryStore()),
      reader: node => this.readers.get(node.name) as DrivenReader,
      publishers: this.publishers,
      appenders: new Map(),
      nonce: () => `n${this.nonces++}`,
      ...(spill === undefined ? {} : { spill: { files: spill, folder: '/spill' } }),
      ...(limits === undefined ? {} : { limits })
    })
    if (this.incarnation.kind !== 'running') return
    const { shell, worker } = this.incarnation
    if (turns !== undefined) for (const task of worker.tasks) slowDown(task, turns)
    shell.start()
    shell.ended.catch((error: unknown) => (this.failure = { error }))
  }

  get over(): boolean {
    return this.incarnation?.kind !== 'running' || this.incarnation.shell.isOver
  }

  push(source: string, ...values: unknown[]): void {
    this.readers.get(source)?.push(values)
  }

  end(): void {
    for (const reader of this.readers.values()) reader.end()
  }

  async turns(count: number): Promise<void> {
    for (let left = count; left > 0 && !this.over; left--) {
      await turn()
      // What was refused is tried again after a while.
      if (this.refusals !== undefined) this.clock.step(this.clock.now() + 50)
    }
    if (this.failure !== undefined) throw this.failure.error
  }

  async crash(): Promise<void> {
    if (this.incarnation?.kind === 'running') await this.incarnation.shell.stop()
    this.incarnation = undefined
  }

  /** Until the job has ended by itself, at the latest when storage refuses nothing any more: as long as it does, each checkpoint may fail. */
  async finish(): Promise<void> {
    await this.turns(turnLimit / 2)
    this.refuses = false
    await this.turns(turnLimit / 2)
    if (!this.over) throw new Error(`the job does not end: ${this.trouble}`)
  }

  async drain(): Promise<void> {
    if (this.incarnation?.kind === 'running') this.incarnation.shell.drain()
    await this.finish()
  }

  private get trouble(): string {
    if (this.incarnation?.kind !== 'running') return 'it has not begun'
    const { worker, shell } = this.incarnation
    const open = worker.tasks
      .filter(task => !task.finished)
      .map(task => `${task.settings.stage.name}/${task.settings.task}`)
    return `tasks ${open.join(', ')} go on; ${shell.trouble ?? 'no trouble'}`
  }

  /** Rows of a sink, as JSON. */
  rows(sink: string): string[] {
    const node = this.job.plan.nodes.find(each => each.kind === 'sink' && each.name === sink)
    const { codec } = node?.kind === 'sink' ? node.sink : this.job.plan.deadLetters
    return (this.publishers.get(sink)?.records ?? []).map(({ value }) =>
      JSON.stringify(value === undefined ? undefined : codec.decode(value))
    )
  }

  async stored(): Promise<Stored | undefined> {
    const { head } = await readHead(this.storage, this.job.plan.job, () => `n${this.nonces++}`)
    if (head === undefined) return undefined
    const fields = new Map<string, Map<string, Record<string, unknown>>>()
    const messages = new Map<string, unknown[]>()
    for (const stage of head.manifest.stages) {
      const byKey = new Map<string, Record<string, unknown>>()
      const recorded: unknown[] = []
      for await (const { key, value } of stageRecords(this.storage, head.manifest, stage)) {
        if (value === undefined) continue
        if (isRecordedMessage(key)) recorded.push(decodeMessage(value).value)
        if (!isActorRecord(key)) continue
        const { reader, schema } = readEntry(value, stage.schemas as StoredActorSchema[])
        byKey.set(
          keyText(decodeKey(keyOfRecord(key))),
          Object.fromEntries(schema.fields.map(({ name }) => [name, decodeValue(reader)]))
        )
      }
      fields.set(stage.name, byKey)
      messages.set(stage.name, recorded)
    }
    return { manifest: head.manifest, fields, messages }
  }
}
