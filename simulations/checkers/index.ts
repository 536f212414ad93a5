/** Everything that must hold of a run, by name. */
import { stageViews, walkCheckpoints, type CheckpointVisitor, type StageView } from './checkpoint-walk.ts'
import { ConsistentCut } from './consistent-cut.ts'
import { decisionHistory, ManifestChain } from './decision-history.ts'
import { alongTheJob, few, type Evidence, type RunEvidence, type Violation } from './evidence.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { FinalState } from './final-state.ts'
import { Forgotten } from './forgotten.ts'
import { fencedSilent, LedgerOrder } from './ledger-order.ts'
import { finishes, withinLimits } from './limits.ts'
import { OutputOnce } from './output-once.ts'
import { deadLettersRight, outputInOrder, outputRight } from './output-right.ts'
import { outputTraces } from './output-traces.ts'
import { Progress } from './progress.ts'
import { Strays } from './strays.ts'
import { ToldPositions } from './told-positions.ts'
import { TimersOnce } from './timers-once.ts'
import { Weights } from './weights.ts'
import { WindowsComplete } from './windows-complete.ts'

/** Look at each decided checkpoint; need no model. */
const plainVisitors = {
  'output exactly once': evidence => new OutputOnce(evidence),
  'manifest chain': () => new ManifestChain(),
  'ledger order': evidence => new LedgerOrder(evidence),
  progress: () => new Progress(),
  'file lifetimes': evidence => new FileLifetimes(evidence),
  'told positions': evidence => new ToldPositions(evidence)
} satisfies Record<string, (evidence: RunEvidence) => CheckpointVisitor>

const visitors = {
  'consistent cut': evidence => new ConsistentCut(evidence),
  'weights conserved': evidence => new Weights(evidence),
  'final state': evidence => new FinalState(evidence),
  'timers once': evidence => new TimersOnce(evidence),
  'windows complete': evidence => new WindowsComplete(evidence),
  'strays stay late': evidence => new Strays(evidence),
  'forgotten in time': evidence => new Forgotten(evidence)
} satisfies Record<string, (evidence: Evidence) => CheckpointVisitor>

const plainOthers = {
  'decision history': decisionHistory,
  'fenced is silent': fencedSilent,
  'within limits': withinLimits,
  liveness: finishes
} satisfies Record<string, (evidence: RunEvidence) => Violation[]>

const others = {
  'output right': outputRight,
  'output in order': outputInOrder,
  'output traces': outputTraces,
  'dead letters': deadLettersRight
} satisfies Record<string, (evidence: Evidence) => Violation[]>

/** `readable checkpoints`: what a decision names is there, whole, and can be decoded. */
export type CheckerName =
  | keyof typeof plainVisitors
  | keyof typeof visitors
  | keyof typeof plainOthers
  | keyof typeof others
  | 'readable checkpoints'
  | 'determinism'

export const checkerNames = [
  ...Object.keys({ ...plainVisitors, ...visitors, ...plainOthers, ...others }),
  'readable checkpoints'
] as CheckerName[]

export interface Finding {
  readonly checker: CheckerName
  readonly violation: Violation
}

/** [] = all is well. Pure: the same evidence gives the same answer. */
export function checkEvidence(evidence: Evidence): Finding[] {
  if (evidence.past !== undefined) {
    const went = alongTheJob(evidence)
    return [...checkRun(evidence), ...walk(went, stageViews(went), made(visitors, went)), ...ask(others, went)]
  }
  const all = [...made(plainVisitors, evidence), ...made(visitors, evidence)]
  return [...walk(evidence, stageViews(evidence), all), ...ask(plainOthers, evidence), ...ask(others, evidence)]
}

/** What can be said of any job, whatever it does: of each lineage by itself. `visitors` go along the last one. */
export function checkRun(evidence: RunEvidence, visitors: readonly CheckpointVisitor[] = []): Finding[] {
  const along = visitors.map(visitor => ['readable checkpoints', visitor] as const)
  return [
    ...(evidence.past ?? []).flatMap(past => checkRun(past)),
    ...walk(evidence, [], [...made(plainVisitors, evidence), ...along]),
    ...ask(plainOthers, evidence)
  ]
}

function made<E>(
  makers: Readonly<Record<string, (evidence: E) => CheckpointVisitor>>,
  evidence: E
): (readonly [CheckerName, CheckpointVisitor])[] {
  return Object.entries(makers).map(([name, make]) => [name as CheckerName, make(evidence)] as const)
}

function ask<E>(checks: Readonly<Record<string, (evidence: E) => Violation[]>>, evidence: E): Finding[] {
  return Object.entries(checks).flatMap(([name, check]) => check(evidence).map(finding(name as CheckerName)))
}

const finding =
  (checker: CheckerName) =>
  (violation: Violation): Finding => ({ checker, violation })

function walk(
  evidence: RunEvidence,
  stages: readonly StageView[],
  made: readonly (readonly [CheckerName, CheckpointVisitor])[]
): Finding[] {
  const unreadable = walkCheckpoints(
    evidence,
    stages,
    made.map(([, visitor]) => visitor)
  )
  return [
    ...few(unreadable).map(finding('readable checkpoints')),
    ...made.flatMap(([name, visitor]) => visitor.end().map(finding(name)))
  ]
}
