/**
 * The decision log: the single totally ordered list of what is true (DESIGN 5.2). Entry *s* is created conditionally, so whoever
 * loses the race for it reads it and obeys.
 *
 * Invariants
 * 1. An entry, once created, never changes; a conflict with one's own nonce is success.
 * 2. Completed epochs strictly increase (S15), asserted on append and on read.
 * 3. Nothing follows the entry that ends the lineage (P6).
 */
import { crc32 } from '../runtime/kernel/checksum.ts'
import { assert, CodedError } from '../runtime/kernel/errors.ts'
import { reached } from '../runtime/kernel/marks.ts'
import { objectNames } from './object-names.ts'
import { retainedCheckpoints } from './retention.ts'
import type { CheckpointStorage } from './storage.ts'

export type Decision =
  | {
      readonly kind: 'leads'
      readonly worker: string
      readonly generation: number
      /** The job goes on in another lineage, which was made from that checkpoint: nobody leads this one any more. */
      readonly ends?: { readonly into: number; readonly lineage: number; readonly epoch: number }
    }
  | {
      readonly kind: 'begins'
      readonly generation: number
      readonly lineage: number
      readonly parent: { readonly epoch: number; readonly hash: string } | null
      /** Worker of each task, and task of each slot. */
      readonly assignment: {
        readonly tasks: readonly string[]
        readonly slots: readonly number[]
        readonly perWorker?: number
        /** By slot whose worker went away: that worker's name. */
        readonly away?: Readonly<Record<number, string>>
      }
    }
  | {
      readonly kind: 'completed'
      readonly epoch: number
      readonly generation: number
      readonly manifest: { readonly name: string; readonly hash: string }
      readonly final: boolean
      readonly savepoints: readonly string[]
    }

export type Completed = Extract<Decision, { kind: 'completed' }>
export type Appended = { readonly kind: 'appended' } | { readonly kind: 'lost'; readonly winner: Decision }

export interface Sealed {
  readonly nonce: string
  readonly decision: Decision
  readonly crc: number
}

/** What an exhaustive exploration makes small; nothing else passes other than `logLimits`. */
export interface LogLimits {
  /** Attempts to learn the fate of one append before the caller hears of it. */
  readonly attempts: number
  /** Entries read when a log is opened, at least. */
  readonly readBack: number
  /** Checkpoints read back to, however many generations began since: what they name is retained, and must not be taken for orphaned. */
  readonly checkpoints: number
  /** Pruning leaves at least so many entries: somebody may be about to probe forward from one of them. */
  readonly kept: number
}

export const logLimits: LogLimits = { attempts: 5, readBack: 64, checkpoints: retainedCheckpoints, kept: 1000 }
const firstRetryMs = 100
const longestRetryMs = 10_000

export class DecisionLog {
  /** The newest entries, oldest first; not all that were ever made. */
  readonly entries: Decision[] = []
  private next = 0
  private oldest = 0
  private readonly storage: CheckpointStorage
  private readonly nonce: () => string
  private readonly limits: LogLimits
  private attempt: { readonly text: string; readonly nonce: string } | undefined
  private appending = false

  private constructor(storage: CheckpointStorage, nonce: () => string, limits: LogLimits) {
    this.storage = storage
    this.nonce = nonce
    this.limits = limits
  }

  /**
   * Cold start (DESIGN 10.3): lists, takes the highest, requires its predecessors as far back as the newest checkpoints, probes
   * forward. A gap is damage; what is older than the newest unbroken run was pruned.
   */
  static async open(storage: CheckpointStorage, nonce: () => string, limits = logLimits): Promise<DecisionLog> {
    for (let listed = await list(storage); ;) {
      const log = new DecisionLog(storage, nonce, limits)
      const vanished = await log.load(listed)
      if (vanished === undefined) return log
      // Pruned since it was listed, if the log has grown; else lost.
      const now = await list(storage)
      if (highestOf(now) <= highestOf(listed))
        throw new CodedError('CORRUPT', `decision ${vanished} vanished while it was read`)
      listed = now
    }
  }

  /** Answers an entry that is listed and not there. */
  private async load(listed: readonly number[]): Promise<number | undefined> {
    const { limits } = this
    const highest = highestOf(listed)
    // Pruning begins only once there are many: what is missing before that was lost. A crash may undo any of its removals, so below
    // what it leaves there may be gaps.
    const unpruned = Math.max(0, highest - 2 * limits.kept + 1)
    const there = new Set(listed)
    this.oldest = highest + 1
    while (there.has(this.oldest - 1)) this.oldest--
    if (this.oldest > unpruned)
      throw new CodedError('CORRUPT', `decision ${this.oldest - 1} is missing, though decision ${highest} is there`)
    let from = highest + 1
    const newest: Decision[] = []
    let checkpoints = 0
    while (from > this.oldest && (highest - from + 1 < limits.readBack || checkpoints < limits.checkpoints)) {
      const sealed = await this.read(--from)
      if (sealed === undefined) return from
      newest.unshift(sealed.decision)
      if (sealed.decision.kind === 'completed') checkpoints++
    }
    for (const decision of newest) this.push(decision, from++)
    this.next = highest + 1
    while (await this.readNext());
    return undefined
  }

  get head(): Completed | undefined {
    return this.entries.findLast(entry => entry.kind === 'completed')
  }

  /** Newest checkpoints, newest first. */
  completed(most: number): Completed[] {
    return this.entries
      .filter(entry => entry.kind === 'completed')
      .slice(-most)
      .reverse()
  }

  /** The manifest that was decided for an epoch, as far back as the log is kept; undefined: none that is known. */
  async decided(epoch: number): Promise<string | undefined> {
    const known = this.entries.find(entry => entry.kind === 'completed' && entry.epoch === epoch)
    if (known?.kind === 'completed') return known.manifest.hash
    // Epochs increase, so that a few reads find it: between `low` and `high`, `high` excluded.
    let [low, high] = [this.oldest, this.next - this.entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      let at = middle
      let found: Completed | undefined
      for (; found === undefined && at < high; at++) {
        const entry = (await this.read(at))?.decision
        if (entry === undefined) return undefined
        if (entry.kind === 'completed') found = entry
      }
      if (found?.epoch === epoch) return found.manifest.hash
      if (found !== undefined && found.epoch < epoch) low = at
      else high = middle
    }
    return undefined
  }

  /** The newest generation. */
  get begun(): Extract<Decision, { kind: 'begins' }> | undefined {
    return this.entries.findLast(entry => entry.kind === 'begins')
  }

  /** Where the job went on, if this lineage is over. */
  get ends(): { readonly into: number; readonly lineage: number; readonly epoch: number } | undefined {
    const last = this.entries.at(-1)
    return last?.kind === 'leads' ? last.ends : undefined
  }

  /** Throws LINEAGE_ENDED. */
  refuseEnded(): void {
    if (this.ends !== undefined) throw new CodedError('LINEAGE_ENDED', `the job goes on in lineage ${this.ends.into}`)
  }

  get generation(): number {
    return this.entries.reduce((newest, entry) => Math.max(newest, entry.generation), 0)
  }

  /**
   * Durable when it resolves. When it throws the outcome is unknown: call it again with the same decision, which repeats the
   * append unchanged, until it answers.
   */
  async append(decision: Decision): Promise<Appended> {
    assert(!this.appending, 'two appends to one decision log at once')
    this.appending = true
    try {
      return await this.tryAppend(decision)
    } finally {
      this.appending = false
    }
  }

  private async tryAppend(decision: Decision): Promise<Appended> {
    this.refuseEnded()
    if (decision.kind === 'completed')
      assert(decision.epoch > (this.head?.epoch ?? -1), `epoch ${decision.epoch} was decided before`)
    const text = JSON.stringify(decision)
    if (this.attempt?.text !== text) this.attempt = { text, nonce: this.nonce() }
    const { nonce } = this.attempt
    const bytes = encodeDecision(decision, nonce)
    for (let attempt = 1; ; attempt++) {
      try {
        if ((await this.storage.create(objectNames.decision(this.next), bytes)) === 'created') break
        const winner = await this.read(this.next)
        if (winner?.nonce === nonce) break
        if (winner === undefined) continue
        this.attempt = undefined
        await this.readNext()
        return { kind: 'lost', winner: winner.decision }
      } catch (error) {
        if (attempt >= this.limits.attempts) throw error
      }
    }
    await this.requirePredecessor()
    this.attempt = undefined
    this.push(decision, this.next++)
    return { kind: 'appended' }
  }

  /**
   * Deletes old entries in ascending order; call it off the critical path. Those of the newest checkpoints stay, however many
   * generations began after them: without them the job would start from nothing.
   */
  async prune(): Promise<void> {
    const { kept, readBack } = this.limits
    const head = this.lastNeeded()
    const needed = head < 0 ? 0 : this.next - this.entries.length + head
    for (; this.oldest < Math.min(needed, this.next - 2 * kept); this.oldest++)
      await this.storage.remove(objectNames.decision(this.oldest))
    if (this.entries.length > 2 * readBack) this.entries.splice(0, Math.min(head, this.entries.length - readBack))
  }

  /** Index of the oldest of the newest checkpoints; negative: there is none. */
  private lastNeeded(): number {
    let found = -1
    let left = this.limits.checkpoints
    for (let i = this.entries.length - 1; i >= 0 && left > 0; i--)
      if (this.entries[i]?.kind === 'completed') {
        found = i
        left--
      }
    return found
  }

  /**
   * An append counts only if its predecessor still exists afterwards: else somebody pruned past a stale writer. The first entry has
   * none: it counts only if none is listed after it.
   */
  private async requirePredecessor(): Promise<void> {
    if (this.next === 0 ? highestOf(await list(this.storage)) > 0 : (await this.read(this.next - 1)) === undefined)
      throw new CodedError('FENCED', `decision ${this.next} was made before: the log has moved on without this process`)
  }

  private push(decision: Decision, sequence: number): void {
    if (decision.kind === 'completed' && decision.epoch <= (this.head?.epoch ?? -1))
      throw new CodedError('CORRUPT', `decision ${sequence} completes epoch ${decision.epoch} after a newer one`)
    this.entries.push(decision)
  }

  private async readNext(): Promise<boolean> {
    const sealed = await this.read(this.next)
    if (sealed === undefined) return false
    this.push(sealed.decision, this.next++)
    return true
  }

  private async read(sequence: number): Promise<Sealed | undefined> {
    const name = objectNames.decision(sequence)
    const bytes = await this.storage.read(name)
    return bytes === undefined ? undefined : decodeDecision(bytes, name)
  }
}

/** Repeats an append unchanged until its place in the log is known (DESIGN 5.2); rejects once nobody waits for it any more. */
export async function appendUntilKnown(
  log: DecisionLog,
  decision: Decision,
  caller: {
    readonly wait: (ms: number) => Promise<void>
    readonly given: () => boolean
    readonly troubled: (message: string | undefined) => void
  }
): Promise<Appended> {
  for (let delayMs = firstRetryMs; ; delayMs = Math.min(2 * delayMs, longestRetryMs)) {
    try {
      const outcome = await log.append(decision)
      caller.troubled(undefined)
      return outcome
    } catch (error) {
      if (caller.given() || !(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
      reached('decision log: an append whose outcome is unknown')
      caller.troubled(`the decision "${decision.kind}" cannot be stored: ${error.message}`)
      await caller.wait(delayMs)
    }
  }
}

async function list(storage: CheckpointStorage): Promise<readonly number[]> {
  const names = await storage.list(objectNames.decisions)
  return names.map(name => objectNames.sequenceOf(name)).filter(sequence => sequence !== undefined)
}

function highestOf(sequences: readonly number[]): number {
  return sequences.reduce((highest, sequence) => Math.max(highest, sequence), -1)
}

function checksum(decision: Decision, nonce: string): number {
  return crc32(new TextEncoder().encode(JSON.stringify([decision, nonce])))
}

/** Throws CORRUPT, whatever the bytes. */
export function decodeDecision(bytes: Uint8Array, name: string): Sealed {
  let sealed: Sealed
  try {
    sealed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Sealed
    // Malformed is damaged.
    if (sealed.crc !== checksum(sealed.decision, sealed.nonce)) throw new Error('checksum')
  } catch {
    throw new CodedError('CORRUPT', `decision "${name}" fails its checksum`)
  }
  if (!isDecision(sealed.decision)) throw new CodedError('CORRUPT', `"${name}" is no decision`)
  return sealed
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0

function isDecision(decision: Partial<Decision> | null): boolean {
  if (typeof decision !== 'object' || decision === null || !isCount(decision.generation)) return false
  switch (decision.kind) {
    case 'leads':
      return typeof decision.worker === 'string' && (decision.ends === undefined || isCount(decision.ends?.into))
    case 'begins':
      return Array.isArray(decision.assignment?.tasks) && Array.isArray(decision.assignment?.slots)
    case 'completed':
      return isCount(decision.epoch) && typeof decision.manifest?.name === 'string'
    default:
      return false
  }
}

export function encodeDecision(decision: Decision, nonce: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ nonce, decision, crc: checksum(decision, nonce) }))
}
