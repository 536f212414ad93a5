/**
 * The decision log: the single totally ordered list of what is true (DESIGN 5.2). Entry *s* is created conditionally, so whoever
 * loses the race for it reads it and obeys.
 *
 * Invariants
 * 1. An entry, once created, never changes; a conflict with one's own nonce is success.
 * 2. Completed epochs strictly increase (S15), asserted on append and on read.
 */
import { crc32 } from '../runtime/kernel/checksum.ts'
import { assert, CodedError } from '../runtime/kernel/errors.ts'
import { objectNames } from './object-names.ts'
import type { CheckpointStorage } from './storage.ts'

export type Decision =
  | { readonly kind: 'leads'; readonly worker: string; readonly generation: number }
  | {
      readonly kind: 'begins'
      readonly generation: number
      readonly lineage: number
      readonly parent: { readonly epoch: number; readonly hash: string } | null
    }
  | {
      readonly kind: 'completed'
      readonly epoch: number
      readonly generation: number
      readonly manifest: { readonly name: string; readonly hash: string }
      readonly final: boolean
    }

export type Completed = Extract<Decision, { kind: 'completed' }>
export type Appended = { readonly kind: 'appended' } | { readonly kind: 'lost'; readonly winner: Decision }

interface Sealed {
  readonly nonce: string
  readonly decision: Decision
  readonly crc: number
}

/** Attempts to learn the fate of one append before giving up on storage. */
const attemptLimit = 5

export class DecisionLog {
  readonly entries: Decision[] = []
  private next = 0
  private readonly storage: CheckpointStorage
  private readonly nonce: () => string

  private constructor(storage: CheckpointStorage, nonce: () => string) {
    this.storage = storage
    this.nonce = nonce
  }

  /** Lists, takes the highest, requires its predecessors, probes forward. */
  static async open(storage: CheckpointStorage, nonce: () => string): Promise<DecisionLog> {
    const log = new DecisionLog(storage, nonce)
    const listed = (await storage.list(objectNames.decisions))
      .map(name => objectNames.sequenceOf(name))
      .filter(sequence => sequence !== undefined)
    const highest = Math.max(-1, ...listed)
    log.next = 0
    while (await log.readNext());
    if (highest >= log.next)
      throw new CodedError('CORRUPT', `decision ${log.next} is missing, though decision ${highest} is there`)
    return log
  }

  get head(): Completed | undefined {
    return this.entries.findLast(entry => entry.kind === 'completed')
  }

  get generation(): number {
    return this.entries.reduce((newest, entry) => Math.max(newest, entry.generation), 0)
  }

  /** Durable when it resolves. Throws when the outcome cannot be known. */
  async append(decision: Decision): Promise<Appended> {
    if (decision.kind === 'completed')
      assert(decision.epoch > (this.head?.epoch ?? 0), `epoch ${decision.epoch} was decided before`)
    const nonce = this.nonce()
    const bytes = seal(decision, nonce)
    for (let attempt = 1; ; attempt++) {
      try {
        if ((await this.storage.create(objectNames.decision(this.next), bytes)) === 'created') break
        const winner = await this.read(this.next)
        if (winner?.nonce === nonce) break
        if (winner === undefined) continue
        await this.readNext()
        return { kind: 'lost', winner: winner.decision }
      } catch (error) {
        if (attempt >= attemptLimit) throw error
      }
    }
    this.entries.push(decision)
    this.next++
    return { kind: 'appended' }
  }

  private async readNext(): Promise<boolean> {
    const sealed = await this.read(this.next)
    if (sealed === undefined) return false
    const { decision } = sealed
    if (decision.kind === 'completed' && decision.epoch <= (this.head?.epoch ?? 0))
      throw new CodedError('CORRUPT', `decision ${this.next} completes epoch ${decision.epoch} after a newer one`)
    this.entries.push(decision)
    this.next++
    return true
  }

  private async read(sequence: number): Promise<Sealed | undefined> {
    const name = objectNames.decision(sequence)
    const bytes = await this.storage.read(name)
    if (bytes === undefined) return undefined
    try {
      const sealed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Sealed
      if (sealed.crc === checksum(sealed.decision, sealed.nonce)) return sealed
    } catch {
      // falls through: malformed is damaged
    }
    throw new CodedError('CORRUPT', `decision "${name}" fails its checksum`)
  }
}

function checksum(decision: Decision, nonce: string): number {
  return crc32(new TextEncoder().encode(JSON.stringify([decision, nonce])))
}

function seal(decision: Decision, nonce: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ nonce, decision, crc: checksum(decision, nonce) }))
}
