/** A failed run as a story that a person can read: what struck whom and when, what was decided, what differed. */
import type { Decision } from '../../checkpoint/decision-log.ts'
import { firstLineage } from '../../checkpoint/lineages.ts'
import type { RunEvidence } from '../checkers/evidence.ts'
import { describeFault } from '../world/fault.ts'
import type { Scenario } from './scenario.ts'

interface Line {
  readonly atMs: number
  readonly text: string
}

/** More would hide what matters. */
const mostPublications = 40

/** @param notes what the world noted: starts and ends of processes */
export function tellStory(scenario: Scenario, evidence: RunEvidence, notes: readonly Line[]): string[] {
  const lineages = [...(evidence.past ?? []), evidence]
  const lines: Line[] = [
    ...scenario.faults.map(fault => ({
      atMs: fault.atMs,
      text: `! ${describeFault(fault).replace(/^at .*? ms: /, '')}`
    })),
    ...notes,
    ...lineages.flatMap(({ decisions, lineage = firstLineage }) =>
      decisions.map(({ atMs, sequence, decision }) => ({
        atMs,
        text: `${lineage === firstLineage ? '' : `lineage ${lineage}, `}decision ${sequence}: ${describeDecision(decision)}`
      }))
    )
  ]
  const published = lineages
    .flatMap(({ publications }) => publications)
    .filter(({ records }) => records.length > 0)
    .map(({ atMs, slot, entry, records }) => ({
      atMs,
      text: `${slot.sink}/${slot.stage}/${slot.slot} publishes epoch ${entry.epoch}, chunk ${entry.chunk} (${records.length} records, generation ${entry.generation})`
    }))
  if (published.length <= mostPublications) lines.push(...published)
  else lines.push({ atMs: 0, text: `(${published.length} publications are left out; --trace shows everything)` })
  return lines
    .map((line, order) => ({ ...line, order }))
    .sort((a, b) => a.atMs - b.atMs || a.order - b.order)
    .map(({ atMs, text }) => `${(atMs / 1000).toFixed(3).padStart(9)} s  ${text}`)
}

function describeDecision(decision: Decision): string {
  switch (decision.kind) {
    case 'leads':
      return decision.ends === undefined
        ? `${decision.worker} leads (${decision.generation})`
        : `the job goes on in lineage ${decision.ends.into}, from checkpoint ${decision.ends.epoch} (${decision.generation})`
    case 'begins': {
      const workers = [...new Set(decision.assignment.tasks)].join(', ')
      return `generation ${decision.generation} begins from checkpoint ${decision.parent?.epoch ?? 'none'} on ${workers}`
    }
    case 'completed':
      return `checkpoint ${decision.epoch} is complete (generation ${decision.generation}${decision.final ? ', final' : ''})`
  }
}
