/** Queues stay within their limits (R1), and a healed run finishes (L1). */
import type { Evidence, RunEvidence, Violation } from './evidence.ts'

export function withinLimits({ limits }: Pick<Evidence, 'limits'>): Violation[] {
  return limits
    .filter(({ limit, greatest }) => greatest > limit)
    .map(({ name, limit, greatest }) => `${name} reached ${greatest}; its limit is ${limit}`)
}

export function finishes({
  finished,
  ended,
  waitingFor
}: Pick<RunEvidence, 'finished' | 'ended' | 'waitingFor'>): Violation[] {
  if (finished || ended === true) return []
  return waitingFor.length === 0
    ? ['it has not finished, and does not say what it waits for']
    : waitingFor.map(what => `it has not finished: it waits for ${what}`)
}
