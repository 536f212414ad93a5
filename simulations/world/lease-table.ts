/**
 * The leases of the simulated bus: keys with revisions that vanish when they are not written for their time to live, and what a
 * bucket of JetStream was seen to do besides.
 */
import type { Chances } from './chances.ts'
import type { WorldTime } from './time.ts'

/** Chances per operation. */
export interface LeaseFaults {
  /** A read answers with an older revision, or one that has vanished. */
  readonly staleRead?: number
  /** A conditional write that should conflict is taken all the same: two winners. */
  readonly doubleAccept?: number
  /** Says that it was written, that the reader's own value stands, or that nobody's does: the adversarial lease (S7). */
  readonly lie?: number
  /** A lease vanishes after a part of its time. */
  readonly earlyExpiry?: number
  /** A lease stays for up to ten times its time. */
  readonly lateExpiry?: number
}

interface Lease {
  readonly value: Uint8Array
  readonly revision: number
}
export type LeaseRead = { readonly value: Uint8Array; readonly revision: number } | undefined

/** Revisions that a stale read may tell of; more would only be staler. */
const remembered = 4

export class LeaseTable {
  private readonly time: WorldTime
  private readonly chances: Chances
  private readonly ttlMs: number
  private readonly rate: (fault: keyof LeaseFaults) => number
  private readonly current = new Map<string, Lease>()
  private readonly past = new Map<string, LeaseRead[]>()
  /** What each process last tried to write, by key: what it would like to hear. */
  private readonly wishes = new Map<string, Uint8Array>()
  private readonly expiries = new Map<string, () => void>()
  private revision = 0

  constructor(time: WorldTime, chances: Chances, ttlMs: number, rate: (fault: keyof LeaseFaults) => number) {
    this.time = time
    this.chances = chances
    this.ttlMs = ttlMs
    this.rate = rate
  }

  get(key: string, who: string): LeaseRead {
    const truth = this.peek(key)
    const wish = this.wishes.get(`${who} ${key}`)
    // His own, if it is known what that would be; else free to take.
    if (this.strikes('lie'))
      return wish === undefined ? undefined : { value: wish.slice(), revision: truth?.revision ?? this.revision }
    const past = this.past.get(key) ?? []
    if (past.length > 0 && this.strikes('staleRead')) return copied(past[this.chances.of('staleRead').int(past.length)])
    return copied(truth)
  }

  put(
    key: string,
    value: Uint8Array,
    revision: number | undefined,
    who: string
  ): { readonly revision: number } | 'conflict' {
    this.wishes.set(`${who} ${key}`, value)
    if (this.strikes('lie')) return { revision: ++this.revision }
    const truth = this.current.get(key)
    if (truth?.revision !== revision && !this.strikes('doubleAccept')) return 'conflict'
    this.become(key, { value, revision: ++this.revision })
    this.expire(key)
    return { revision: this.revision }
  }

  remove(key: string, revision: number, who: string): void {
    this.wishes.delete(`${who} ${key}`)
    if (this.current.get(key)?.revision === revision) this.vanish(key)
  }

  wipe(): void {
    for (const cancel of this.expiries.values()) cancel()
    this.expiries.clear()
    this.current.clear()
    this.past.clear()
    this.revision = 0
  }

  /** The truth. */
  peek(key: string): LeaseRead {
    return this.current.get(key)
  }

  private strikes(fault: keyof LeaseFaults): boolean {
    return this.chances.strikes(fault, this.rate(fault))
  }

  private become(key: string, lease: Lease | undefined): void {
    const past = this.past.get(key) ?? []
    past.push(this.current.get(key))
    if (past.length > remembered) past.shift()
    this.past.set(key, past)
    if (lease === undefined) this.current.delete(key)
    else this.current.set(key, lease)
  }

  private vanish(key: string): void {
    this.expiries.get(key)?.()
    this.expiries.delete(key)
    this.become(key, undefined)
    // A removal has a revision too.
    this.revision++
  }

  private expire(key: string): void {
    this.expiries.get(key)?.()
    let delayMs = this.ttlMs
    if (this.strikes('earlyExpiry')) delayMs *= this.chances.of('earlyExpiry').next()
    else if (this.strikes('lateExpiry')) delayMs *= 1 + 9 * this.chances.of('lateExpiry').next()
    this.expiries.set(
      key,
      this.time.schedule(delayMs, () => this.vanish(key), 'lease expires', key)
    )
  }
}

const copied = (lease: LeaseRead): LeaseRead =>
  lease === undefined ? undefined : { value: lease.value.slice(), revision: lease.revision }
