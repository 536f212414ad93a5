/**
 * Keeps the local state store equal to a decided checkpoint, off the critical path: decided deltas are applied in order, several
 * at once when it lags. Answers what tasks read of it.
 *
 * Invariants
 * 1. Epochs are applied in order; `applied` is told only after everything up to it can be read.
 * 2. A failed apply is repeated: applying the same writes again changes nothing.
 */
import type { StoreEntry } from '../../checkpoint/state-store.ts'
import { compareBytes } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { recordKey } from '../core/entry.ts'
import type { KeyedTask } from '../core/keyed-task.ts'
import type { LoadedEntry, TimerPage } from '../core/stored-timers.ts'
import { timerIndexBehind, timerIndexRange, timerOfIndexKey } from '../core/timer-index.ts'
import type { TaskSnapshot } from '../core/worker.ts'
import type { Clock } from '../ports/clock.ts'
import type { LocalState, Write } from './local-state.ts'

/** Timers brought into memory at once. */
const timerPageSize = 1024
const firstRetryMs = 100
const longestRetryMs = 10_000

interface Decided {
  readonly epoch: number
  readonly hash: string
  readonly snapshots: readonly TaskSnapshot[]
}

export class StoreKeeper {
  /** Why the store lags, undefined when all is well. */
  trouble: string | undefined
  private readonly local: LocalState
  private readonly clock: Clock
  private readonly applied: (epoch: number) => void
  private readonly failed: (error: unknown) => void
  private queue: Decided[] = []
  private pumping: Promise<void> | undefined
  private closed = false
  /** Ends the wait for another try. */
  private wake: () => void = () => undefined

  /** @param failed is told what no repetition can mend */
  constructor(local: LocalState, clock: Clock, applied: (epoch: number) => void, failed: (error: unknown) => void) {
    this.local = local
    this.clock = clock
    this.applied = applied
    this.failed = failed
  }

  /** @param hash of the manifest that was decided */
  decided(epoch: number, hash: string, snapshots: readonly TaskSnapshot[]): void {
    this.queue.push({ epoch, hash, snapshots: snapshots.filter(each => each.state !== undefined) })
    this.start()
  }

  private start(): void {
    this.pumping ??= this.pump()
      .catch((error: unknown) => {
        this.closed = true
        this.failed(error)
      })
      .finally(() => {
        this.pumping = undefined
        if (this.queue.length > 0 && !this.closed) this.start()
      })
  }

  async load({ settings }: KeyedTask, keys: readonly Uint8Array[]): Promise<LoadedEntry[]> {
    const { local } = this
    const places = keys.map(key => local.keyOfActor(settings.stage.index, key, recordKey(key)))
    const values = await local.store.getMany(places)
    return keys.map((keyBytes, i) => ({ keyBytes, value: values[i] }))
  }

  async page(
    task: KeyedTask,
    clock: 'event' | 'wall',
    after: Uint8Array | undefined,
    upTo: number
  ): Promise<TimerPage> {
    const { from, to } = timerIndexRange(clock, after, upTo)
    const { stage, owned } = task.settings
    const bySlot = await Promise.all(owned.map(slot => this.local.scan(stage.index, slot, from, to, timerPageSize)))
    const found = firstOf(bySlot, timerPageSize)
    const index = found.map(({ key }) => key.slice())
    const keys = new Map(
      index.map(key => {
        const { keyBytes } = timerOfIndexKey(key)
        return [keyBytes.join(), keyBytes] as const
      })
    )
    const entries = keys.size === 0 ? [] : await this.load(task, [...keys.values()])
    const nextAt = found.length < timerPageSize ? await this.nextAt(task, clock, upTo) : undefined
    return { clock, index, entries, nextAt, upTo }
  }

  private async nextAt({ settings }: KeyedTask, clock: 'event' | 'wall', upTo: number): Promise<number> {
    const { from, to } = timerIndexBehind(clock, upTo)
    const { stage, owned } = settings
    const bySlot = await Promise.all(owned.map(slot => this.local.scan(stage.index, slot, from, to, 1)))
    const [first] = firstOf(bySlot, 1)
    return first === undefined ? Infinity : timerOfIndexKey(first.key.slice()).at
  }

  /** What the store holds stays. */
  async close(): Promise<void> {
    this.closed = true
    this.wake()
    await this.pumping
    await this.local.store.close()
  }

  private async pump(): Promise<void> {
    for (let delayMs = firstRetryMs; !this.closed;) {
      // A copy: what is decided while the store is busy joins the queue, and was not applied.
      const taken = [...this.queue]
      const last = taken.at(-1)
      try {
        // What is of no use any more is cleared when there is nothing better to do.
        if (last === undefined && !(await this.local.clearOne())) return
        if (last !== undefined) await this.local.advance({ epoch: last.epoch, hash: last.hash }, this.writesOf(taken))
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
        this.trouble = error.message
        await new Promise<void>(resolve => {
          this.wake = resolve
          this.clock.after(delayMs, resolve)
        })
        delayMs = Math.min(2 * delayMs, longestRetryMs)
        continue
      }
      this.trouble = undefined
      delayMs = firstRetryMs
      this.queue = this.queue.slice(taken.length)
      if (last !== undefined && !this.closed) this.applied(last.epoch)
    }
  }

  private *writesOf(decided: readonly Decided[]): Generator<Write> {
    for (const { snapshots } of decided)
      for (const { task, state, unindexed } of snapshots) {
        const { index } = task.settings.stage
        // Dropped before the epoch's own are added: a timer may have come back.
        for (const key of unindexed)
          yield { key: this.local.keyOfActor(index, timerOfIndexKey(key).keyBytes, key), value: undefined }
        if (state !== undefined) for (const record of state.added()) yield* this.local.writes(index, record)
      }
  }
}

/** The least keys of several ordered lists, in order. */
function firstOf(lists: readonly (readonly StoreEntry[])[], count: number): StoreEntry[] {
  return lists
    .flat()
    .sort((a, b) => compareBytes(a.key, b.key))
    .slice(0, count)
}
