/**
 * Checkpoint storage that all processes share, and that never loses what it has: an object store with everything that may go wrong on
 * the way there and back.
 *
 *   ask ─→ (way there) ─→ applied: one step, at one moment ─→ (way back) ─→ told
 *
 * Invariants
 * 1. A create is conditional at the moment at which it is applied, which may be long after its caller was told of a failure or died.
 * 2. An operation is applied at most once; a refused one never.
 * 3. `history` has an entry for each operation that was applied or refused, in the order in which that happened.
 */
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import { Chances, Hits } from './chances.ts'
import type { Outcome, SimProcess } from './process.ts'
import type { WorldTime } from './time.ts'

export interface StorageOptions {
  /** One way, at least; default 0.5. */
  readonly latencyMs?: number
  /** Mean of what comes on top, exponentially; default 1. */
  readonly jitterMs?: number
  /** Default 50,000: 50 MB/s. */
  readonly bytesPerMs?: number
  /** Until the caller of an operation whose answer was lost is told that it failed; default 3,000. */
  readonly timeoutMs?: number
  /** Chance that an operation on its way is applied although its process has died; default 0.7. */
  readonly survives?: number
}

/** Chances per operation, except where said otherwise. Several in force add up. */
export interface StorageFaults {
  /** Fails; nothing happened. */
  readonly refuse?: number
  /** Nothing happened, and the caller is told that only after a while. */
  readonly unreachable?: number
  /** Of creates and removals: the caller is told of a failure, and it is applied all the same, before or after that. */
  readonly ambiguous?: number
  /** The same for entries of the decision log alone: where everything is ambiguous, few decisions are ever attempted. */
  readonly ambiguousDecision?: number
  /** How long after it was asked for such an operation may be applied, at most; default 10,000. */
  readonly lateMs?: number
  /** A listing lacks the newest names, or has ones that were removed. */
  readonly staleList?: number
  /** How long ago a stale listing may have been true, at most; default 10,000. */
  readonly staleMs?: number
  /** 1: every create fails, as when the disk is full. */
  readonly full?: number
  /** Latency is multiplied by 1 + this. */
  readonly slow?: number
  /** Chance of taking up to `timeoutMs` longer. */
  readonly hiccup?: number
}

export type StorageOperation = 'create' | 'read' | 'read-range' | 'list' | 'remove'
export interface StorageEntry {
  readonly atMs: number
  /** Name of the process. */
  readonly who: string
  readonly operation: StorageOperation
  readonly name: string
  readonly outcome: 'created' | 'exists' | 'removed' | 'found' | 'missing' | 'refused'
  /** True: the caller is told of a failure, or of nothing, though it was applied. */
  readonly untold: boolean
}

const defaults: Required<StorageOptions> = {
  latencyMs: 0.5,
  jitterMs: 1,
  bytesPerMs: 50_000,
  timeoutMs: 3_000,
  survives: 0.7
}

export class SimStorage {
  readonly time: WorldTime
  readonly history: StorageEntry[] = []
  /** Every object ever created, removed ones too. */
  readonly archive = new Map<string, Uint8Array>()
  private readonly options: Required<StorageOptions>
  /** How often each fault struck. */
  readonly hits = new Hits()
  private readonly random: Prng
  private readonly chances: Chances
  private readonly objects = new Map<string, Uint8Array>()
  private readonly disturbances = new Set<{ readonly faults: StorageFaults; readonly host: string | undefined }>()
  /** Last changes of each name, for stale listings. */
  private readonly changes: { readonly atMs: number; readonly name: string; readonly there: boolean }[] = []

  constructor(time: WorldTime, random: Prng, options: StorageOptions = {}) {
    this.time = time
    this.random = random.fork('storage')
    this.chances = new Chances(this.random, this.hits)
    this.options = { ...defaults, ...options }
  }

  /** What one process sees. */
  handle(process: SimProcess): CheckpointStorage {
    return {
      create: (name, bytes) => {
        const copy = bytes.slice()
        return this.request(process, 'create', name, copy.length, () => this.create(name, copy))
      },
      read: name => this.request(process, 'read', name, 0, () => this.read(name)),
      readRange: (name, offset, length) =>
        this.request(process, 'read-range', name, length, () => this.readRange(name, offset, length)),
      list: folder => this.request(process, 'list', folder, 0, () => this.list(process, folder)),
      remove: name => this.request(process, 'remove', name, 0, () => this.remove(name))
    }
  }

  /** The truth now, for checkers. Not to be changed. */
  peek(name: string): Uint8Array | undefined {
    return this.objects.get(name)
  }
  /** Of all objects, sorted. */
  names(): string[] {
    return [...this.objects.keys()].sort()
  }
  /** What an operator does by hand: outside of history, at once. Undefined removes it. */
  set(name: string, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.objects.delete(name)
    else this.objects.set(name, bytes)
    this.changed(name, bytes !== undefined)
  }

  /** @param host only for processes there */
  disturb(faults: StorageFaults, host?: string): () => void {
    const entry = { faults, host }
    this.disturbances.add(entry)
    return () => void this.disturbances.delete(entry)
  }

  private request<T>(
    process: SimProcess,
    operation: StorageOperation,
    name: string,
    size: number,
    apply: () => Applied<T>
  ): Promise<T> {
    if (name.split('/').some(part => part === '' || part === '.' || part === '..'))
      return Promise.reject(new CodedError('CORRUPT', `"${name}" is not the name of a stored object`))
    const label = `storage ${operation}`
    return process.ask<T>(label, answer => {
      const host = process.host.name
      const fail = (why: string): Outcome<T> => ({
        error: new CodedError('STORAGE_FAILED', `checkpoint storage at "${name}": ${why}`)
      })
      const later = (delayMs: number, work: () => void): void =>
        void this.time.schedule(delayMs, work, label, process.name)
      const perform = (untold: boolean): Outcome<T> => {
        const applied = apply()
        const { outcome } = applied
        this.history.push({ atMs: this.time.now(), who: process.name, operation, name, outcome, untold })
        return 'error' in applied ? { error: applied.error } : { value: applied.value }
      }
      const refused = (operation === 'create' && this.strikes('full', host)) || this.strikes('refuse', host)
      if (this.strikes('unreachable', host)) {
        later(this.options.timeoutMs, () => answer(fail('no answer')))
        return
      }
      const changes = operation === 'create' || operation === 'remove'
      const thereMs = this.delay(host, size)
      const backMs = this.delay(host, 0)
      if (refused) {
        later(thereMs, () => {
          this.history.push({
            atMs: this.time.now(),
            who: process.name,
            operation,
            name,
            outcome: 'refused',
            untold: false
          })
          later(backMs, () => answer(fail('refused')))
        })
        return
      }
      const ambiguous = (changes && this.strikes('ambiguous', host)) || this.doubtsDecision(operation, name, host)
      if (ambiguous) {
        const appliedMs = this.chances.of('ambiguous').next() * (this.rate('lateMs', host) || 10_000)
        later(appliedMs, () => perform(true))
        later(this.options.timeoutMs, () => answer(fail('no answer')))
        return
      }
      later(thereMs, () => {
        const orphan = process.state === 'dead'
        if (orphan && this.chances.of('survives').next() >= this.options.survives) return
        const outcome = perform(orphan)
        later(backMs, () => answer(outcome))
      })
    })
  }

  private doubtsDecision(operation: StorageOperation, name: string, host: string): boolean {
    return (
      operation === 'create' && /^(lineages\/\d+\/)?decisions\//.test(name) && this.strikes('ambiguousDecision', host)
    )
  }

  private create(name: string, bytes: Uint8Array): Applied<'created' | 'exists'> {
    if (this.objects.has(name)) return { outcome: 'exists', value: 'exists' }
    this.objects.set(name, bytes)
    this.archive.set(name, bytes)
    this.changed(name, true)
    return { outcome: 'created', value: 'created' }
  }

  private read(name: string): Applied<Uint8Array | undefined> {
    const bytes = this.objects.get(name)
    return { outcome: bytes === undefined ? 'missing' : 'found', value: bytes?.slice() }
  }

  private readRange(name: string, offset: number, length: number): Applied<Uint8Array> {
    const bytes = this.objects.get(name)
    if (bytes === undefined) {
      const error = new CodedError('STORAGE_FAILED', `checkpoint storage at "${name}": it is not there`)
      return { outcome: 'missing', error }
    }
    const part = bytes.slice(offset, offset + length)
    if (part.length === length) return { outcome: 'found', value: part }
    const error = new CodedError('CORRUPT', `"${name}" ends at byte ${offset + part.length}; ${length} were wanted`)
    return { outcome: 'found', error }
  }

  private list(process: SimProcess, folder: string): Applied<readonly string[]> {
    const there = new Set(this.objects.keys())
    const host = process.host.name
    if (this.strikes('staleList', host)) {
      const sinceMs = this.time.now() - this.chances.of('staleList').next() * (this.rate('staleMs', host) || 10_000)
      for (let i = this.changes.length - 1; i >= 0; i--) {
        const change = this.changes[i]
        if (change === undefined || change.atMs < sinceMs) break
        if (change.there) there.delete(change.name)
        else there.add(change.name)
      }
    }
    const names = new Set<string>()
    for (const name of there)
      if (name.startsWith(`${folder}/`)) names.add(name.slice(folder.length + 1).split('/')[0] as string)
    return { outcome: 'found', value: [...names].sort() }
  }

  private remove(name: string): Applied<void> {
    const there = this.objects.delete(name)
    if (there) this.changed(name, false)
    return { outcome: there ? 'removed' : 'missing', value: undefined }
  }

  private changed(name: string, there: boolean): void {
    this.changes.push({ atMs: this.time.now(), name, there })
    // A listing that is staler than the last thousand changes teaches nothing new.
    if (this.changes.length > 2_000) this.changes.splice(0, 1_000)
  }

  private delay(host: string, size: number): number {
    const { latencyMs, jitterMs, bytesPerMs, timeoutMs } = this.options
    const jitter = -Math.log(1 - this.random.next()) * jitterMs
    const slow = this.rate('slow', host)
    if (slow > 0) this.hits.count('slow')
    const hiccup = this.strikes('hiccup', host) ? this.chances.of('hiccup').next() * timeoutMs : 0
    return (latencyMs + jitter + size / bytesPerMs) * (1 + slow) + hiccup
  }

  private rate(fault: keyof StorageFaults, host: string): number {
    let sum = 0
    for (const each of this.disturbances)
      if (each.host === undefined || each.host === host) sum += each.faults[fault] ?? 0
    return sum
  }
  private strikes(fault: keyof StorageFaults, host: string): boolean {
    return this.chances.strikes(fault, this.rate(fault, host))
  }
}

type Applied<T> =
  | { readonly outcome: StorageEntry['outcome']; readonly value: T }
  | { readonly outcome: StorageEntry['outcome']; readonly error: Error }
