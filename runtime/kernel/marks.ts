/**
 * Coverage marks: `reached('…')` stands in each branch that exists for a fault. The simulator counts them, so that a branch that no
 * seed ever takes is known by name. Costs one comparison where nobody counts.
 */
let counts: Map<string, number> | undefined

export function reached(mark: string): void {
  if (counts !== undefined) counts.set(mark, (counts.get(mark) ?? 0) + 1)
}

/** Counts from now on, into `into`; undefined = no more. */
export function countMarks(into: Map<string, number> | undefined): void {
  counts = into
}
