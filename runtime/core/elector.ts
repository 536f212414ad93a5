/**
 * Seeks and keeps the leader's lease. The lease is advice (DESIGN 5.2): it makes one worker likely to lead; the decision log alone
 * decides who does.
 *
 *   looking ─free or expired─► taking ─written─► holding ──renewed──┐
 *      ▲                          │ conflict          │ ▲───────────┘
 *      └──────────────────────────┴── conflict, or not renewed for its time to live
 *
 * Invariants
 * 1. Time is this worker's own; nobody else's clock is looked at.
 * 2. An outcome that is unknown is looked up, never guessed.
 * 3. The lease of a holder that is believed dead is taken once, at the revision that was read: one that lives has renewed it, and keeps it.
 * 4. Who holds it and cannot lead gives it away, and lets everybody else try before it does again.
 */
import { reached } from '../kernel/marks.ts'

export interface ElectorTiming {
  readonly leaseMs: number
  readonly renewMs: number
}

export type ElectorAction =
  | { readonly kind: 'get' }
  | { readonly kind: 'put'; readonly revision: number | undefined }
  | { readonly kind: 'remove'; readonly revision: number }
  | { readonly kind: 'elected' }
  | { readonly kind: 'deposed' }

export type ElectorCommand =
  | { readonly kind: 'tick' }
  /** The holder, if it is this one, is believed dead. */
  | { readonly kind: 'suspect'; readonly holder: string }
  /** It cannot lead, though it was elected. */
  | { readonly kind: 'yield' }
  | { readonly kind: 'got'; readonly entry: { readonly holder: string; readonly revision: number } | undefined }
  | { readonly kind: 'written'; readonly outcome: { readonly revision: number } | 'conflict' }
  /** No answer came. */
  | { readonly kind: 'unknown' }

/** Times to live of a lease that the others have to take it. Fewer: it may come back before they look; more: a job waits where nobody else is. */
const yieldLeases = 2

export class Elector {
  private readonly self: string
  private readonly timing: ElectorTiming
  private holding = false
  private revision: number | undefined
  private waiting = false
  private renewedAt = 0
  private nextAt = 0
  private suspected: string | undefined

  constructor(self: string, timing: ElectorTiming) {
    this.self = self
    this.timing = timing
  }

  get leads(): boolean {
    return this.holding
  }

  /** Revision of the lease that it holds. */
  get held(): number | undefined {
    return this.holding ? this.revision : undefined
  }

  nextDeadlineMs(): number {
    return this.nextAt
  }

  step(command: ElectorCommand, now: number): ElectorAction[] {
    switch (command.kind) {
      case 'tick':
        return this.tick(now)
      case 'suspect':
        this.suspected = command.holder
        this.nextAt = now
        return this.tick(now)
      case 'yield':
        return this.yield(now)
      case 'got':
        return this.got(command.entry, now)
      case 'written':
        return this.written(command.outcome, now)
      case 'unknown':
        reached('elector: no answer from the lease bucket')
        this.waiting = false
        this.revision = undefined
        return this.expire(now)
    }
  }

  private tick(now: number): ElectorAction[] {
    const actions = this.expire(now)
    if (this.waiting || now < this.nextAt) return actions
    this.nextAt = now + this.timing.renewMs
    this.waiting = true
    if (this.holding && this.revision !== undefined) actions.push({ kind: 'put', revision: this.revision })
    else actions.push({ kind: 'get' })
    return actions
  }

  private got(entry: { holder: string; revision: number } | undefined, now: number): ElectorAction[] {
    this.waiting = false
    if (entry === undefined) {
      this.waiting = true
      return [{ kind: 'put', revision: undefined }]
    }
    if (entry.holder === this.self) {
      reached('elector: the lease was written though no answer came')
      return this.hold(entry.revision, now)
    }
    if (entry.holder === this.suspected) {
      reached('elector: the lease of a dead holder is taken')
      this.suspected = undefined
      this.waiting = true
      return [{ kind: 'put', revision: entry.revision }]
    }
    return this.lose()
  }

  private written(outcome: { revision: number } | 'conflict', now: number): ElectorAction[] {
    this.waiting = false
    if (outcome !== 'conflict') return this.hold(outcome.revision, now)
    // It may be one's own earlier write whose answer was lost: look.
    this.revision = undefined
    this.nextAt = now
    return this.expire(now)
  }

  private hold(revision: number, now: number): ElectorAction[] {
    this.revision = revision
    this.renewedAt = now
    if (this.holding) return []
    this.holding = true
    return [{ kind: 'elected' }]
  }

  private yield(now: number): ElectorAction[] {
    if (!this.holding) return []
    const { held } = this
    this.nextAt = now + yieldLeases * this.timing.leaseMs
    if (held === undefined) {
      // Whose it is now is not known: nobody renews it meanwhile.
      reached('elector: a lease that may be lost is given up')
      return this.lose()
    }
    reached('elector: the lease is given away')
    return [{ kind: 'remove', revision: held }, ...this.lose()]
  }

  private lose(): ElectorAction[] {
    this.revision = undefined
    if (!this.holding) return []
    reached('elector: deposed')
    this.holding = false
    return [{ kind: 'deposed' }]
  }

  private expire(now: number): ElectorAction[] {
    return this.holding && now >= this.renewedAt + this.timing.leaseMs ? this.lose() : []
  }
}
