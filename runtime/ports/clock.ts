/** Wall-clock time and waiting. Never consulted for safety (invariant S17). */
export interface Clock {
  /** Milliseconds since 1970; may jump. */
  now(): number
  /** Milliseconds since some moment of this process; never jumps, never goes back. What waits and measures goes by it. */
  elapsed(): number
  /** Calls back once, not before `delayMs` have passed. Returns a function that cancels it. */
  after(delayMs: number, callback: () => void): () => void
  /** Lets pending I/O run, then calls back: how the shell yields between slices of work. */
  yield(callback: () => void): void
}
