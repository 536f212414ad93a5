/** Draws of a subsystem, one stream per kind of fault: taking one kind away never moves what the others draw. */
import type { Prng } from '../../runtime/kernel/prng.ts'

/** How often something really happened. */
export class Hits {
  readonly counts = new Map<string, number>()

  count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }
  of(name: string): number {
    return this.counts.get(name) ?? 0
  }
}

export class Chances {
  private readonly random: Prng
  private readonly hits: Hits
  private readonly streams = new Map<string, Prng>()

  constructor(random: Prng, hits: Hits) {
    this.random = random
    this.hits = hits
  }

  of(name: string): Prng {
    let stream = this.streams.get(name)
    if (stream === undefined) this.streams.set(name, (stream = this.random.fork(name)))
    return stream
  }

  /** Draws nothing when it cannot strike. */
  strikes(name: string, rate: number): boolean {
    if (rate <= 0 || this.of(name).next() >= rate) return false
    this.hits.count(name)
    return true
  }
}
