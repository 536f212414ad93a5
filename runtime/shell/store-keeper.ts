/**
 * Keeps the local state store equal to a decided checkpoint, off the critical path: decided deltas are applied in order, several
 * at once when it lags. Answers what tasks read of it.
 *
 * Invariants
 * 1. Epochs are applied in order; `applied` is told only after everything up to it can be read.
 * 2. A failed apply is repeated: applying the same writes again changes nothing.
 */
import { prefixDelete, type StateRecord } from '../../checkpoint/state-file.ts'
import type { StateStore, StorePrefixDelete, StoreWrite } from '../../checkpoint/state-store.ts'
import { isActorRecord, keyOfRecord, recordKey, timersOfRecord } from '../core/entry.ts'
import type { KeyedTask } from '../core/keyed-task.ts'
import type { StoreReader } from '../core/map-state.ts'
import type { LoadedEntry, TimerPage } from '../core/task-state.ts'
import { timerIndexKey, timerIndexRange, timerOfIndexKey } from '../core/timer-index.ts'
import { isRecordedMessage } from '../core/recorded-messages.ts'
import type { TaskSnapshot } from '../core/worker.ts'
import { CodedError } from '../kernel/errors.ts'
import type { Clock } from '../ports/clock.ts'

/** Timers brought into memory at once. */
const timerPageSize = 1024
const firstRetryMs = 100
const longestRetryMs = 10_000

type Write = StoreWrite | StorePrefixDelete
interface Decided {
  readonly epoch: number
  readonly snapshots: readonly TaskSnapshot[]
}

export class StoreKeeper {
  /** Why the store lags, undefined when all is well. */
  trouble: string | undefined
  private readonly store: StateStore
  private readonly clock: Clock
  private readonly applied: (epoch: number) => void
  private readonly failed: (error: unknown) => void
  private queue: Decided[] = []
  private pumping: Promise<void> | undefined
  private closed = false

  /** @param failed is told what no repetition can mend */
  constructor(store: StateStore, clock: Clock, applied: (epoch: number) => void, failed: (error: unknown) => void) {
    this.store = store
    this.clock = clock
    this.applied = applied
    this.failed = failed
  }

  decided(epoch: number, snapshots: readonly TaskSnapshot[]): void {
    this.queue.push({ epoch, snapshots: snapshots.filter(each => each.state !== undefined) })
    this.pumping ??= this.pump()
      .catch(this.failed)
      .finally(() => (this.pumping = undefined))
  }

  async load(task: KeyedTask, keys: readonly Uint8Array[]): Promise<LoadedEntry[]> {
    const values = await this.store.getMany(keys.map(key => storeKey(task, recordKey(key))))
    return keys.map((keyBytes, i) => ({ keyBytes, value: values[i] }))
  }

  async page(
    task: KeyedTask,
    clock: 'event' | 'wall',
    after: Uint8Array | undefined,
    upTo: number
  ): Promise<TimerPage> {
    const { from, to } = timerIndexRange(clock, after, upTo)
    const found = await this.store.scan(storeKey(task, from), storeKey(task, to), timerPageSize)
    const index = found.map(({ key }) => key.slice(taskPrefixBytes))
    const keys = new Map(
      index.map(key => {
        const { keyBytes } = timerOfIndexKey(key)
        return [keyBytes.join(), keyBytes] as const
      })
    )
    const entries = await this.load(task, [...keys.values()])
    return { clock, index, entries, exhausted: found.length < timerPageSize, upTo }
  }

  async close(): Promise<void> {
    this.closed = true
    await this.pumping
    await this.store.close()
  }

  private async pump(): Promise<void> {
    for (let delayMs = firstRetryMs; this.queue.length > 0 && !this.closed;) {
      // A copy: what is decided while the store is busy joins the queue, and was not applied.
      const taken = [...this.queue]
      try {
        await this.store.apply(writesOf(taken))
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
        this.trouble = error.message
        await new Promise<void>(resolve => this.clock.after(delayMs, resolve))
        delayMs = Math.min(2 * delayMs, longestRetryMs)
        continue
      }
      this.trouble = undefined
      delayMs = firstRetryMs
      this.queue = this.queue.slice(taken.length)
      const last = taken.at(-1)
      if (last !== undefined && !this.closed) this.applied(last.epoch)
    }
  }
}

function* writesOf(decided: readonly Decided[]): Generator<Write> {
  for (const { snapshots } of decided)
    for (const { task, state, unindexed } of snapshots) {
      // Dropped before the epoch's own are added: a timer may have come back.
      for (const key of unindexed) yield { key: storeKey(task, key), value: undefined }
      if (state !== undefined) for (const record of state.added()) yield* recordWrites(task, record)
    }
}

/** A state record as the store holds it: itself, and its timers in their order. Of recorded messages it holds none. */
export function* recordWrites(task: Place, { key, value }: StateRecord): Generator<Write> {
  if (isRecordedMessage(key)) return
  if (key[0] === prefixDelete) {
    yield { prefix: storeKey(task, key.subarray(1)) }
    return
  }
  yield { key: storeKey(task, key), value }
  if (value === undefined || !isActorRecord(key)) return
  for (const timer of timersOfRecord(value))
    yield { key: storeKey(task, timerIndexKey({ ...timer, keyBytes: keyOfRecord(key) })), value: new Uint8Array() }
}

type Place = { readonly settings: { readonly stage: { readonly index: number }; readonly task: number } }
const taskPrefixBytes = 4

/** Stage and task before every key, so that each task scans its own. */
function storeKey({ settings }: Place, key: Uint8Array): Uint8Array {
  return placed(settings.stage.index, settings.task, key)
}

function placed(stage: number, task: number, key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(taskPrefixBytes + key.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, stage)
  view.setUint16(2, task)
  bytes.set(key, taskPrefixBytes)
  return bytes
}

/** What a task reads of the store by itself, for its durable maps. */
export function storeReader(store: StateStore, stage: number, task: number): StoreReader {
  return {
    get: key => store.getSync(placed(stage, task, key)),
    async scan(from, to, limit) {
      const found = await store.scan(placed(stage, task, from), placed(stage, task, to), limit)
      return found.map(({ key, value }) => ({ key: key.subarray(taskPrefixBytes), value }))
    }
  }
}
