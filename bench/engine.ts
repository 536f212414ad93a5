/** The real engine around a job: real checkpoint storage in a temporary folder, events from memory, outputs counted and dropped. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Job } from '../actors/stream.ts'
import { DirectoryStorage } from '../checkpoint/adapters/directory-storage.ts'
import { LevelStore } from '../checkpoint/adapters/level-store.ts'
import { MemoryStore } from '../checkpoint/adapters/memory-store.ts'
import { RocksStore } from '../checkpoint/adapters/rocks-store.ts'
import { nodeFiles } from '../checkpoint/adapters/node-files.ts'
import type { StateStore } from '../checkpoint/state-store.ts'
import type { CheckpointStorage } from '../checkpoint/storage.ts'
import { nodeClock } from '../runtime/adapters/node-clock.ts'
import { deadLettersName } from '../runtime/core/topology.ts'
import type { Worker } from '../runtime/core/worker.ts'
import type { Files } from '../runtime/ports/files.ts'
import type { LogReader, OutputRecord } from '../runtime/ports/log.ts'
import type { LedgerEntry, Publisher, SlotName } from '../runtime/ports/publisher.ts'
import type { Ports } from '../runtime/shell/generation.ts'
import { beginIncarnation } from '../runtime/shell/incarnation.ts'
import type { EmbeddedShell } from '../runtime/shell/embedded-shell.ts'

class CountingPublisher implements Publisher {
  published = 0
  private readonly ledger = new Map<string, LedgerEntry>()
  private readonly take: ((records: readonly OutputRecord[]) => void) | undefined

  constructor(take?: (records: readonly OutputRecord[]) => void) {
    this.take = take
  }

  describe(): Promise<{ readonly partitions: number; readonly maxRecordBytes: number }> {
    return Promise.resolve({ partitions: 1, maxRecordBytes: 1024 * 1024 })
  }
  initialise({ stage, slot }: SlotName) {
    const name = `${stage}/${slot}`
    return Promise.resolve({
      readLedger: () => Promise.resolve(this.ledger.get(name)),
      publish: (records: readonly OutputRecord[], entry: LedgerEntry) => {
        this.published += records.length
        this.take?.(records)
        this.ledger.set(name, entry)
        return Promise.resolve({ kind: 'published' } as const)
      },
      close: () => Promise.resolve()
    })
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

export interface Engine {
  readonly worker: Worker
  readonly shell: EmbeddedShell
  readonly storage: MeasuredStorage
  readonly published: () => number
  /** Resolves when the local store has what is decided. */
  applied(): Promise<void>
  /** Resolves when neither checkpoint storage nor the local store was used for a moment: merges are over, too. */
  quiet(): Promise<void>
  /** Ends the run and deletes its folder. */
  close(): Promise<void>
}

/** A merge of a thousand records, between two uses of storage, takes less. */
const quietMs = 150

/** How many uses are under way, and since when none is. */
class Use {
  underWay = 0
  since = 0

  async of<T>(work: Promise<T>): Promise<T> {
    this.underWay++
    try {
      return await work
    } finally {
      this.underWay--
      this.since = performance.now()
    }
  }
  get isQuiet(): boolean {
    return this.underWay === 0 && performance.now() - this.since > quietMs
  }
}

/** Counts what is written. */
export class MeasuredStorage implements CheckpointStorage {
  bytes = 0
  readonly use = new Use()
  private readonly byFolder = new Map<string, number>()
  private readonly inner: CheckpointStorage

  constructor(inner: CheckpointStorage) {
    this.inner = inner
  }
  /** Written to a folder of `object-names.ts`. */
  bytesIn(folder: 'deltas' | 'bases' | 'manifests'): number {
    return this.byFolder.get(folder) ?? 0
  }
  create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    this.bytes += bytes.length
    const [folder = ''] = name.split('/')
    this.byFolder.set(folder, (this.byFolder.get(folder) ?? 0) + bytes.length)
    return this.use.of(this.inner.create(name, bytes))
  }
  read(name: string): Promise<Uint8Array | undefined> {
    return this.use.of(this.inner.read(name))
  }
  readRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    return this.use.of(this.inner.readRange(name, offset, length))
  }
  list(folder: string): Promise<readonly string[]> {
    return this.use.of(this.inner.list(folder))
  }
  remove(name: string): Promise<void> {
    return this.use.of(this.inner.remove(name))
  }
}

/** Has the changes of a store counted as its use. */
function watched(store: StateStore, use: Use): StateStore {
  const apply = store.apply.bind(store)
  store.apply = writes => use.of(apply(writes))
  return store
}

async function until(test: () => boolean): Promise<void> {
  while (!test()) await new Promise(resolve => setTimeout(resolve, 5))
}

export interface EngineOptions {
  /** Sees what is published, before it is dropped. */
  readonly take?: (records: readonly OutputRecord[]) => void
  /** Where checkpoints are; default: the real ones. */
  readonly files?: Files
  readonly limits?: Ports['limits']
}

export async function startEngine(
  job: Job<unknown>,
  reader: LogReader,
  { take, files = nodeFiles, limits }: EngineOptions = {}
): Promise<Engine> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-'))
  const publisher = new CountingPublisher(take)
  const storage = new MeasuredStorage(new DirectoryStorage(files, join(folder, 'checkpoints')))
  const storeUse = new Use()
  let nonces = 0
  const { plan } = job
  const sinks = plan.nodes.flatMap(node => (node.kind === 'sink' ? [node.name] : []))
  const begun = await beginIncarnation(plan, {
    clock: nodeClock,
    storage,
    reader: () => reader,
    publishers: new Map([...sinks, deadLettersName].map(name => [name, publisher])),
    appenders: new Map(),
    nonce: () => `n${nonces++}`,
    ...(limits === undefined ? {} : { limits }),
    measure: () => performance.now(),
    store: async () =>
      watched(
        plan.store === 'memory'
          ? new MemoryStore()
          : await (plan.store === 'level' ? LevelStore : RocksStore).create(join(folder, 'store')),
        storeUse
      )
  })
  if (begun.kind !== 'running') throw new Error('a new job had finished')
  return {
    worker: begun.worker,
    shell: begun.shell,
    storage,
    published: () => publisher.published,
    applied: () => until(() => storeUse.underWay === 0),
    quiet: () => until(() => storage.use.isQuiet && storeUse.isQuiet),
    async close() {
      await begun.shell.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Waits until so many events were handled. Throws what ended the job before that. */
export async function handled({ worker, shell }: Engine, count: number): Promise<void> {
  while (worker.counts.events < count) {
    if (shell.isOver) throw new Error(`the job ended after ${worker.counts.events} events: ${await shell.ended}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
