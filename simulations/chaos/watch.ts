/** Listens to a cluster under attack: which generation, which checkpoint, who leads; and how long it took to get on after each fault. */
import type { Look } from '../../deploy/cluster/look.ts'

export type Phase = 'before a checkpoint' | 'within a checkpoint' | 'during recovery'
export const phases: readonly Phase[] = ['before a checkpoint', 'within a checkpoint', 'during recovery']

export interface Recovery {
  readonly kind: string
  readonly ms: number
  /** All was calm when it struck, and nothing else did until it was calm again. */
  readonly alone: boolean
}

interface Open {
  readonly kind: string
  readonly at: number
  readonly generation: number
  readonly calm: boolean
}

/** A fault after which the job went on for so long needed no recovery. */
const unharmedMs = 12_000
const lookMs = 10

export class Watch {
  /** From a fault to the first checkpoint, and so the first new output, of a generation that began after it. */
  readonly recoveries: Recovery[] = []
  generation = 0
  generations = 0
  epoch = 0
  checkpoints = 0
  /** When a checkpoint was last decided: generations that begin one after the other are no progress. */
  movedAt = performance.now()
  isOver = false
  private readonly look: Look
  private open: Open[] = []
  /** The generation of which a checkpoint must be decided until all is calm again; 0: it is calm. */
  private recoversTo = 1
  private readonly timer: NodeJS.Timeout

  constructor(look: Look) {
    this.look = look
    this.timer = setInterval(() => this.see(), lookMs)
  }

  close(): void {
    clearInterval(this.timer)
  }

  /** Name of the worker that leads, as far as is known. */
  get leader(): string | undefined {
    const leader = this.look.seen.directive?.leader
    return leader?.slice(0, leader.lastIndexOf('#'))
  }

  /** Newest of the generation that runs. */
  get decidedEpoch(): number | undefined {
    return this.look.seen.directive?.decided?.epoch
  }

  get checkpointRuns(): boolean {
    const directive = this.look.seen.directive
    if (directive === undefined || directive.trigger === null) return false
    return directive.trigger.epoch > Math.max(directive.decided?.epoch ?? 0, directive.abandoned)
  }

  get phase(): Phase {
    if (this.recoversTo > 0) return 'during recovery'
    return this.checkpointRuns ? 'within a checkpoint' : 'before a checkpoint'
  }

  /** @param ends the generation cannot survive it */
  struck(kind: string, ends: boolean): void {
    const calm = this.recoversTo === 0
    if (ends) this.recoversTo = this.generation + 1
    this.open.push({ kind, at: performance.now(), generation: this.generation, calm })
  }

  private see(): void {
    const { directive } = this.look.seen
    if (directive === undefined) return
    const now = performance.now()
    const { generation, decided, phase } = directive
    this.isOver = phase === 'finished' || phase === 'drained'
    if (generation === 0 && !this.isOver) this.recoversTo = this.generation + 1
    if (generation > this.generation) {
      this.generation = generation
      this.generations++
      this.recoversTo = Math.max(this.recoversTo, generation)
    }
    if (decided === null || generation !== this.generation || decided.epoch <= this.epoch) return
    this.epoch = decided.epoch
    this.checkpoints++
    this.movedAt = now
    if (generation >= this.recoversTo) this.recoversTo = 0
    const single = this.open.length === 1
    this.open = this.open.filter(({ kind, at, generation: before, calm }) => {
      if (generation > before) this.recoveries.push({ kind, ms: now - at, alone: single && calm })
      return generation === before && now - at < unharmedMs
    })
  }
}
