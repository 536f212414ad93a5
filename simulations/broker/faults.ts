/**
 * What can go wrong between a client and the simulated log, as data with a duration; each is counted when it really hits.
 *
 *     client ──▶ [late] [slow] ──▶ [outage] [error before] ──▶ handler ──▶ [error after] [lost reply] ──▶ client
 */
import type { Prng } from '../../runtime/kernel/prng.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import type { BrokerError, CallKind } from './requests.ts'

/** `request` undefined = any kind. `rate` in [0, 1]. */
export type RequestFault =
  /** Executed; nobody hears of it. */
  | { readonly kind: 'lost-reply'; readonly request?: CallKind; readonly rate: number }
  /** The client gives up; the request is executed later, behind later ones. */
  | { readonly kind: 'late-request'; readonly request?: CallKind; readonly rate: number; readonly delayMs: number }
  /** Not executed. */
  | { readonly kind: 'error'; readonly request?: CallKind; readonly rate: number; readonly error: BrokerError }
  /** Executed, and refused all the same: a time-out inside the cluster. */
  | { readonly kind: 'error-after'; readonly request?: CallKind; readonly rate: number; readonly error: BrokerError }
  | { readonly kind: 'slow'; readonly request?: CallKind; readonly rate: number; readonly delayMs: number }
  | { readonly kind: 'slow-markers'; readonly delayMs: number }

export type ClusterFault =
  /** The broker is gone; what it led is led by others after a while. */
  | { readonly kind: 'outage'; readonly broker: number }
  | { readonly kind: 'leader-change'; readonly topic: string; readonly partition: number }
  /** As a change of leader, but the old one does not hear of it: it goes on answering, and tells everybody that it leads. */
  | { readonly kind: 'deposed-leader'; readonly topic: string; readonly partition: number }
  | { readonly kind: 'coordinator-change'; readonly transactionalId?: string }
  /** A transaction of which no coordinator knows holds the last stable offset until somebody ends it by hand. */
  | { readonly kind: 'hanging-transaction'; readonly topic: string; readonly partition: number }

export type BrokerFault = RequestFault | ClusterFault

/** What becomes of one request. */
export interface Treatment {
  readonly delayMs: number
  readonly late: boolean
  readonly before: BrokerError | undefined
  readonly after: BrokerError | undefined
  readonly loseReply: boolean
}

export class RequestFaults {
  readonly hits = new Map<string, number>()
  private readonly prng: Prng
  private active: { readonly fault: RequestFault; readonly until: number }[] = []

  constructor(prng: Prng) {
    this.prng = prng
  }

  add(fault: RequestFault, until: number): void {
    this.active.push({ fault, until })
  }

  clear(): void {
    this.active = []
  }

  hit(kind: BrokerFault['kind']): void {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1)
  }

  treat(request: CallKind, now: number): Treatment {
    this.active = this.active.filter(({ until }) => until > now)
    let treatment: Treatment = { delayMs: 0, late: false, before: undefined, after: undefined, loseReply: false }
    for (const { fault } of this.active) {
      if (fault.kind === 'slow-markers') continue
      if (fault.request !== undefined && fault.request !== request) continue
      if (this.prng.next() >= fault.rate) continue
      this.hit(fault.kind)
      reached(`broker fault: ${fault.kind} ${request}`)
      if (fault.kind === 'lost-reply') treatment = { ...treatment, loseReply: true }
      else if (fault.kind === 'late-request')
        treatment = { ...treatment, late: true, loseReply: true, delayMs: treatment.delayMs + fault.delayMs }
      else if (fault.kind === 'error') treatment = { ...treatment, before: fault.error }
      else if (fault.kind === 'error-after') treatment = { ...treatment, after: fault.error }
      else treatment = { ...treatment, delayMs: treatment.delayMs + fault.delayMs }
    }
    return treatment
  }

  markerDelay(now: number): number {
    let delay = 0
    for (const { fault, until } of this.active)
      if (fault.kind === 'slow-markers' && until > now) {
        this.hit('slow-markers')
        delay += fault.delayMs
      }
    return delay
  }
}
