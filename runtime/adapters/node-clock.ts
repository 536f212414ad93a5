/** The machine's clock and event loop. */
import type { Clock } from '../ports/clock.ts'

export const nodeClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(delayMs, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
  yield: callback => void setImmediate(callback)
}
