/** Everything that must hold of a run, by name. */
import { walkCheckpoints, type CheckpointVisitor } from './checkpoint-walk.ts'
import { ConsistentCut } from './consistent-cut.ts'
import { decisionHistory, ManifestChain } from './decision-history.ts'
import type { Evidence, Violation } from './evidence.ts'
import { few } from './evidence.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { FinalState } from './final-state.ts'
import { fencedSilent, LedgerOrder } from './ledger-order.ts'
import { finishes, withinLimits } from './limits.ts'
import { OutputOnce } from './output-once.ts'
import { deadLettersRight, outputInOrder, outputRight } from './output-right.ts'
import { TimersOnce } from './timers-once.ts'
import { Weights } from './weights.ts'
import { WindowsComplete } from './windows-complete.ts'

/** Look at each decided checkpoint. */
const visitors = {
  'output exactly once': evidence => new OutputOnce(evidence),
  'consistent cut': evidence => new ConsistentCut(evidence),
  'weights conserved': evidence => new Weights(evidence),
  'final state': evidence => new FinalState(evidence),
  'manifest chain': () => new ManifestChain(),
  'ledger order': evidence => new LedgerOrder(evidence),
  'timers once': evidence => new TimersOnce(evidence),
  'windows complete': evidence => new WindowsComplete(evidence),
  'file lifetimes': evidence => new FileLifetimes(evidence)
} satisfies Record<string, (evidence: Evidence) => CheckpointVisitor>

const others = {
  'output right': outputRight,
  'output in order': outputInOrder,
  'dead letters': deadLettersRight,
  'decision history': decisionHistory,
  'fenced is silent': fencedSilent,
  'within limits': withinLimits,
  liveness: finishes
} satisfies Record<string, (evidence: Evidence) => Violation[]>

/** `readable checkpoints`: what a decision names is there, whole, and can be decoded. */
export type CheckerName = keyof typeof visitors | keyof typeof others | 'readable checkpoints'

export const checkerNames = [...Object.keys(visitors), ...Object.keys(others), 'readable checkpoints'] as CheckerName[]

export interface Finding {
  readonly checker: CheckerName
  readonly violation: Violation
}

/** [] = all is well. Pure: the same evidence gives the same answer. */
export function checkEvidence(evidence: Evidence): Finding[] {
  const made = Object.entries(visitors).map(([name, make]) => [name as CheckerName, make(evidence)] as const)
  const unreadable = walkCheckpoints(
    evidence,
    made.map(([, visitor]) => visitor)
  )
  const finding =
    (checker: CheckerName) =>
    (violation: Violation): Finding => ({ checker, violation })
  return [
    ...few(unreadable).map(finding('readable checkpoints')),
    ...made.flatMap(([name, visitor]) => visitor.end().map(finding(name))),
    ...Object.entries(others).flatMap(([name, check]) => check(evidence).map(finding(name as CheckerName)))
  ]
}
