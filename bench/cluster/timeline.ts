/** What happens in a cluster while it is disturbed, by its own messages: when, in ms since `begin`. */
import type { Seen } from '../../deploy/cluster/look.ts'

export interface Moment {
  readonly atMs: number
  readonly what: string
}

const everyMs = 2

export class Timeline {
  readonly moments: Moment[] = []
  private readonly began = performance.now()
  private readonly timer: NodeJS.Timeout
  private readonly states = new Map<string, string>()
  private generation: number
  private triggered = 0
  private decided = 0

  /** Until `close`. */
  constructor(seen: () => Seen | undefined) {
    this.generation = seen()?.directive?.generation ?? 0
    this.triggered = this.decided = 1
    this.timer = setInterval(() => this.look(seen()), everyMs)
  }

  close(): void {
    clearInterval(this.timer)
  }

  note(what: string): void {
    this.moments.push({ atMs: performance.now() - this.began, what })
  }

  /** When that was first, undefined: never. */
  first(test: (what: string) => boolean): number | undefined {
    return this.moments.find(({ what }) => test(what))?.atMs
  }

  private look(seen: Seen | undefined): void {
    if (seen === undefined) return
    const { directive } = seen
    if (directive !== undefined && directive.generation !== this.generation) {
      this.generation = directive.generation
      this.triggered = this.decided = 0
      const workers = Object.keys(directive.addresses).length
      this.note(directive.generation === 0 ? 'nothing runs' : `generation ${directive.generation}: ${workers} workers`)
    }
    for (const [worker, { state, generation, error, leaving, report }] of seen.reports) {
      const recovered = report?.recovered === true ? ', recovered' : ''
      const now = `${state} ${generation}${recovered}${leaving ? ', leaving' : ''}`
      if (this.states.get(worker) === now) continue
      this.states.set(worker, now)
      this.note(`${worker} ${now}${state === 'failed' ? `: ${error ?? ''}` : ''}`)
    }
    const trigger = directive?.trigger?.epoch ?? 0
    if (trigger > 0 && this.triggered === 0) this.note(`epoch ${trigger} triggered`)
    this.triggered = trigger
    const epoch = directive?.decided?.epoch ?? 0
    if (epoch > 0 && this.decided === 0) this.note(`epoch ${epoch} decided`)
    this.decided = epoch
  }
}
