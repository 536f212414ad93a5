/**
 * Watermarks. W means: no event with time < W is expected any more.
 *
 * Invariants
 * 1. A partition's watermark is a pure function of its records (DESIGN 10.1); the wall clock enters through idleness only.
 * 2. A watermark never goes back, whatever input joins, wakes up or ends.
 */

/** Of the bound: coarser watermarks mean fewer cuts, finer ones fire windows sooner. */
const quantaPerBound = 32

export class PartitionWatermark {
  private readonly boundMs: number
  private readonly quantumMs: number
  private readonly idleAfterMs: number
  private greatestTime = -Infinity
  private current = -Infinity
  /** Since when the partition has been fetchable and caught up to its end. */
  private caughtUpSince: number | undefined

  constructor(options: { boundMs: number; idleAfterMs: number }) {
    this.boundMs = options.boundMs
    this.quantumMs = Math.max(1, options.boundMs / quantaPerBound)
    this.idleAfterMs = options.idleAfterMs
  }

  /** The new watermark, when (greatest − bound) crossed a multiple of the quantum. */
  observe(timeMs: number): number | undefined {
    if (timeMs <= this.greatestTime) return undefined
    this.greatestTime = timeMs
    const next = Math.floor((timeMs - this.boundMs) / this.quantumMs) * this.quantumMs
    if (!(next > this.current)) return undefined
    this.current = next
    return next
  }

  state(): { readonly greatestTime: number; readonly watermark: number } {
    return { greatestTime: this.greatestTime, watermark: this.current }
  }

  restore(state: { readonly greatestTime: number; readonly watermark: number }): void {
    this.greatestTime = state.greatestTime
    this.current = state.watermark
  }

  caughtUp(now: number): void {
    this.caughtUpSince ??= now
  }
  fetched(): void {
    this.caughtUpSince = undefined
  }
  isIdle(now: number): boolean {
    return this.caughtUpSince !== undefined && now >= this.caughtUpSince + this.idleAfterMs
  }
  /** When it becomes idle, if nothing comes. */
  nextDeadlineMs(): number | undefined {
    return this.caughtUpSince === undefined || this.idleAfterMs === Infinity
      ? undefined
      : this.caughtUpSince + this.idleAfterMs
  }
}

/** The least watermark over inputs; idle ones are left out; if all are idle it stays. */
export class MinWatermark {
  value = -Infinity
  private readonly inputs: { time: number; idle: boolean }[]

  constructor(inputs: number) {
    this.inputs = Array.from({ length: inputs }, () => ({ time: -Infinity, idle: false }))
  }

  /** One input more. The least stays where it is until that one has something to say. */
  join(): void {
    this.inputs.push({ time: -Infinity, idle: false })
  }

  set(index: number, time: number): void {
    const input = this.inputs[index] as { time: number; idle: boolean }
    if (time <= input.time) return
    input.time = time
    this.update()
  }
  setIdle(index: number, idle: boolean): void {
    const input = this.inputs[index] as { time: number; idle: boolean }
    if (input.idle === idle) return
    input.idle = idle
    this.update()
  }
  ended(index: number): void {
    this.set(index, Infinity)
  }
  /** Some input has not ended, and all that have not are idle. */
  get allIdle(): boolean {
    const open = this.inputs.filter(input => input.time !== Infinity)
    return open.length > 0 && open.every(input => input.idle)
  }

  private update(): void {
    let least = Infinity
    let active = false
    let open = false
    for (const input of this.inputs) {
      if (input.idle && input.time !== Infinity) {
        open = true
        continue
      }
      active = true
      if (input.time < least) least = input.time
    }
    // An idle input may wake up: only when every input has ended is nothing expected any more.
    if (active && !(open && least === Infinity) && least > this.value) this.value = least
  }
}
