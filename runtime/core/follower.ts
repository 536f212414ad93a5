/**
 * What a worker does with the directives it hears: which generation to enter, and what to do in it.
 *
 * Invariants
 * 1. A directive of an older term, or with a number not greater than the last of its term, changes nothing.
 * 2. Generations only grow.
 * 3. Within a generation: decided n before abandoned n+1 before trigger n+2, whatever was missed in between.
 */
import { reached } from '../kernel/marks.ts'
import type { Directive } from './cluster-messages.ts'

export type FollowerAction =
  /** The generation stands in the decision log, or will: read it there before anything else. */
  | { readonly kind: 'enter'; readonly generation: number; readonly addresses: Readonly<Record<string, string>> }
  | ({ readonly kind: 'decided' } & NonNullable<Directive['decided']>)
  | { readonly kind: 'abandon'; readonly epoch: number }
  | { readonly kind: 'trigger'; readonly epoch: number; readonly last: boolean }
  | { readonly kind: 'over'; readonly how: 'finished' | 'drained' }

export class Follower {
  generation = 0
  /** Of the newest leader heard. */
  term = 0
  private sequence = 0
  private latest: Directive | undefined

  heard(directive: Directive): FollowerAction[] {
    if (directive.term < this.term || (directive.term === this.term && directive.sequence <= this.sequence)) {
      reached('follower: a directive that is repeated or late')
      return []
    }
    this.term = directive.term
    this.sequence = directive.sequence
    this.latest = directive
    if (directive.phase === 'finished' || directive.phase === 'drained') {
      const decided = this.within(directive).filter(action => action.kind === 'decided')
      return [...decided, { kind: 'over', how: directive.phase }]
    }
    if (directive.generation > this.generation) {
      this.generation = directive.generation
      return [{ kind: 'enter', generation: directive.generation, addresses: directive.addresses }]
    }
    return this.within(directive)
  }

  /** The generation runs here now: what was asked of it meanwhile. */
  entered(generation: number): FollowerAction[] {
    return this.latest === undefined || this.latest.generation !== generation ? [] : this.within(this.latest)
  }

  private within({ generation, decided, abandoned, trigger }: Directive): FollowerAction[] {
    if (generation !== this.generation) return []
    const actions: FollowerAction[] = []
    if (decided !== null) actions.push({ kind: 'decided', ...decided })
    if (abandoned > 0) actions.push({ kind: 'abandon', epoch: abandoned })
    if (trigger !== null && trigger.epoch > abandoned && trigger.epoch > (decided?.epoch ?? 0))
      actions.push({ kind: 'trigger', ...trigger })
    return actions
  }
}
