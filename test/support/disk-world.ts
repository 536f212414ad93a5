/** A machine whose disk forgets what was not synced: runs a job on the real core, storage and publishers, and crashes it. */
import type { Job } from '../../actors/index.ts'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../checkpoint/adapters/memory-store.ts'
import { readHead, stageRecords } from '../../checkpoint/recovery.ts'
import { FilesPublisher } from '../../runtime/adapters/files-publisher.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Fetched, LogReader } from '../../runtime/ports/log.ts'
import { beginIncarnation, type Incarnation } from '../../runtime/shell/incarnation.ts'
import type { ForgetfulFiles } from '../../simulations/forgetful-files.ts'
import { VirtualClock } from '../../simulations/virtual-clock.ts'
import type { Feed, Happening } from './life-jobs.ts'

export interface Settings {
  readonly parallelism: number
  readonly cacheBytes: number | undefined
}
/** How a run of the job ended; `down`: the machine did. */
export type Ending = 'finished' | 'down' | 'killed' | { readonly failed: unknown }

/** Lines by key of each sink, records by key of each stage. */
export type Remains = Record<string, Record<string, string[]>>

/** Small reads, so that much can happen between them. */
class FeedReader implements LogReader {
  private readonly lists: readonly (readonly Happening[])[]
  private readonly random: Prng

  constructor(lists: readonly (readonly Happening[])[], random: Prng) {
    this.lists = lists
    this.random = random
  }
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve(this.lists.map((_, i) => ({ name: String(i) })))
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  async fetch(partition: number, position: number): Promise<Fetched> {
    for (let turns = this.random.int(3); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
    const list = this.lists[partition] ?? []
    if (position >= list.length) return { kind: 'finished' }
    const next = Math.min(list.length, position + 1 + this.random.int(6))
    return {
      kind: 'records',
      next,
      end: list.length,
      batch: {
        count: next - position,
        sizeBytes: next - position,
        offset: i => position + i,
        timestamp: () => NaN,
        key: () => undefined,
        value: () => undefined,
        valueObject: i => structuredClone(list[position + i])
      }
    }
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** More turns of the event loop than a run of the jobs ever takes: a run that needs more hangs. */
const turnLimit = 20_000

export class DiskWorld {
  files: ForgetfulFiles
  private readonly job: Job<unknown>
  private readonly feed: Feed
  private readonly random: Prng
  private nonces = 0
  private now = 0

  constructor(files: ForgetfulFiles, job: Job<unknown>, feed: Feed, random: Prng) {
    this.files = files
    this.job = job
    this.feed = feed
    this.random = random
  }

  /** Runs the job until it ends, or the machine goes down, or `turns` are over: then the process is killed. */
  async run({ parallelism, cacheBytes }: Settings, turns = turnLimit): Promise<Ending> {
    const clock = new VirtualClock(this.now)
    const { files, job } = this
    const sinks = job.plan.nodes.flatMap(node => (node.kind === 'sink' ? [node.name] : []))
    let incarnation: Incarnation | undefined
    let ending: Ending | undefined
    // So many checkpoints that files are merged.
    const plan = { ...job.plan, parallelism, cacheBytes, intervalMs: 1 }
    beginIncarnation(plan, {
      clock,
      storage: this.storage(files),
      store: () => Promise.resolve(new MemoryStore()),
      reader: node => new FeedReader(this.feed[node.name] ?? [], this.random),
      publishers: new Map([...sinks, deadLettersName].map(name => [name, new FilesPublisher(files, `/out/${name}`)])),
      appenders: new Map(),
      nonce: () => `n${this.nonces++}`
    })
      .then(async begun => {
        incarnation = begun
        if (begun.kind === 'finished') return 'finished'
        begun.shell.start()
        await begun.shell.ended
        return 'finished'
      })
      .then(
        () => (ending = 'finished'),
        (error: unknown) => (ending = { failed: error })
      )
    for (let turn = 0; ending === undefined && !files.down; turn++) {
      if (turn >= turns) {
        if (turns === turnLimit) throw new Error(`the run hangs: ${troubleOf(incarnation)}`)
        ending = 'killed'
        break
      }
      await new Promise(resolve => setImmediate(resolve))
      // A run that takes so many turns waits for time.
      clock.step(clock.now() + (turn < turnLimit / 2 ? 1 : 100))
    }
    this.now = clock.now()
    // A process that is gone answers nothing: what it still waits for is of no interest.
    if (incarnation?.kind === 'running') void incarnation.shell.stop().catch(() => undefined)
    return ending ?? 'down'
  }

  /** The process is killed and the machine stays up: all that was written is there, synced or not. */
  kill(): void {
    this.files = this.files.restart()
  }

  /** The machine goes down. */
  crash(): void {
    this.files = this.files.crash(this.random)
  }

  async remains(): Promise<Remains> {
    const { files, job } = this
    const remains: Remains = {}
    const decoder = new TextDecoder()
    for (const sink of await files.list('/out')) {
      const byKey: Record<string, string[]> = (remains[sink] = {})
      for (const name of await files.list(`/out/${sink}`)) {
        if (!name.endsWith('.ndjson')) continue
        for (const line of decoder.decode(await files.read(`/out/${sink}/${name}`)).split('\n')) {
          if (line === '') continue
          const { key, id } = JSON.parse(line) as { key: string; id?: string }
          ;(byKey[`${key} ${id ?? ''}`] ??= []).push(line)
        }
      }
    }
    const storage = this.storage(files)
    const { head } = await readHead(storage, job.plan.job, () => 'reader')
    if (head?.manifest.final !== true) throw new Error('the job has not finished')
    for (const stage of head.manifest.stages) {
      const byKey: Record<string, string[]> = (remains[`state of ${stage.name}`] = {})
      for await (const { key, value } of stageRecords(storage, head.manifest, stage))
        if (value !== undefined)
          (byKey[Buffer.from(key).toString('latin1')] ??= []).push(Buffer.from(value).toString('hex'))
    }
    return remains
  }

  private storage(files: ForgetfulFiles): DirectoryStorage {
    return new DirectoryStorage(files, '/checkpoints')
  }
}

function troubleOf(incarnation: Incarnation | undefined): string {
  return incarnation?.kind === 'running' ? (incarnation.shell.trouble ?? 'no trouble is told') : 'it never began'
}

/** What an operator starts again after: the disk said no. */
export function isDiskFailure(error: unknown): boolean {
  return error instanceof CodedError
    ? error.code === 'STORAGE_FAILED'
    : ['EIO', 'ENOSPC'].includes((error as NodeJS.ErrnoException).code ?? '')
}

/** One line per key whose records differ. */
export function differences(expected: Remains, got: Remains): string[] {
  const found: string[] = []
  for (const what of new Set([...Object.keys(expected), ...Object.keys(got)]))
    for (const key of new Set([...Object.keys(expected[what] ?? {}), ...Object.keys(got[what] ?? {})])) {
      const [left, right] = [expected, got].map(remains => (remains[what]?.[key] ?? []).join('\n'))
      if (left !== right) found.push(`${what}, ${JSON.stringify(key)}:\n${right}\nexpected:\n${left}`)
    }
  return found
}
