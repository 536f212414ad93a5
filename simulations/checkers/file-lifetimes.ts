/**
 * Files (S4, S14): what a decision names was stored before it; nothing is deleted while one of the newest checkpoints, a savepoint or a
 * later checkpoint names it; and nothing that no checkpoint needs stays for ever.
 */
import { filesOf } from '../../checkpoint/retention.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { retainedCheckpoints } from '../../checkpoint/retention.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type RunEvidence, type Violation } from './evidence.ts'

interface Decided {
  readonly epoch: number
  readonly names: ReadonlySet<string>
  /** Index of its decision in the history of storage. */
  readonly at: number
}

/** Pruning leaves so many decisions. */
const keptDecisions = 1000
/** What only older checkpoints named is gone when so many more were decided, and so much time has passed. */
const slack = 10
const worldSlackMs = 5_000

export class FileLifetimes implements CheckpointVisitor {
  private readonly evidence: RunEvidence
  private readonly decided: Decided[] = []
  private readonly savepoints = new Map<string, number>()
  private readonly createdAt = new Map<string, number>()

  constructor(evidence: RunEvidence) {
    this.evidence = evidence
    evidence.storageHistory.forEach(({ name, outcome }, i) => {
      if (outcome === 'created') this.createdAt.set(name, i)
    })
  }

  visit({ manifest, completed, sequence }: CheckpointStep): void {
    const names = new Set([completed.manifest.name, ...filesOf(manifest)])
    this.decided.push({ epoch: completed.epoch, names, at: this.createdAt.get(objectNames.decision(sequence)) ?? -1 })
    for (const savepoint of manifest.savepoints) this.savepoints.set(savepoint.manifest.name, savepoint.epoch)
  }

  end(): Violation[] {
    if (this.evidence.storageHistory.length === 0) return []
    return few([...this.late(), ...this.tooSoon(), ...this.leftBehind()])
  }

  /** Named before it was stored. */
  private late(): Violation[] {
    return this.decided.flatMap(({ epoch, names, at }) =>
      [...names]
        .filter(name => (this.createdAt.get(name) ?? Infinity) > at)
        .map(name => `checkpoint ${epoch} was decided before "${name}", which it names, was stored`)
    )
  }

  private tooSoon(): Violation[] {
    const found: Violation[] = []
    const { storageHistory, decisions } = this.evidence
    const madeAt = decisions.map(({ sequence }) => this.createdAt.get(objectNames.decision(sequence)) ?? -1)
    const naming = new Map<string, Decided[]>()
    for (const each of this.decided)
      for (const name of each.names) {
        const those = naming.get(name)
        if (those === undefined) naming.set(name, [each])
        else those.push(each)
      }
    storageHistory.forEach(({ name, outcome, who, atMs }, i) => {
      if (outcome !== 'removed') return
      if (name.startsWith(`${objectNames.decisions}/`)) {
        const sequence = objectNames.sequenceOf(name.slice(objectNames.decisions.length + 1)) ?? -1
        const made = madeAt.filter(at => at < i).length
        if (sequence > made - keptDecisions) found.push(`${who} deleted decision ${sequence} of ${made} at ${atMs} ms`)
        return
      }
      if ((this.createdAt.get(name) ?? -1) > i) return
      const those = naming.get(name)
      if (those === undefined) return
      const newest = this.decided.filter(({ at }) => at < i).slice(-retainedCheckpoints)
      const needing = those.find(
        each => newest.includes(each) || each.at > i || [...each.names].some(n => this.savepoints.has(n))
      )
      if (needing !== undefined)
        found.push(
          `${who} deleted "${name}" at ${atMs} ms, when ${needing.at > i ? 'a later checkpoint' : 'checkpoint'} ${needing.epoch} needed it`
        )
    })
    return found
  }

  private leftBehind(): Violation[] {
    const { storedAtEnd, storageHistory, decisions, calmFromMs = 0, finished } = this.evidence
    // Where nothing takes time there is nothing to wait for.
    const slackMs = this.evidence.calmFromMs === undefined ? 0 : worldSlackMs
    if (!finished) return []
    const kept = new Set(this.decided.slice(-retainedCheckpoints).flatMap(({ names }) => [...names]))
    for (const each of this.decided)
      if ([...each.names].some(name => this.savepoints.has(name))) for (const name of each.names) kept.add(name)
    // Whoever began a generation collected what no checkpoint named then.
    const last = decisions.findLast(({ decision, atMs }) => decision.kind === 'begins' && atMs >= calmFromMs)
    const collected = last === undefined ? -1 : (this.createdAt.get(objectNames.decision(last.sequence)) ?? -1)
    const headThen = this.decided.filter(({ at }) => at < collected)
    const keptThen = new Set(headThen.slice(-retainedCheckpoints).flatMap(({ names }) => [...names]))
    const epochThen = headThen.at(-1)?.epoch ?? -1
    const found: Violation[] = []
    const atOf = (index: number): number => storageHistory[index]?.atMs ?? 0
    const endMs = atOf(storageHistory.length - 1)
    for (const name of storedAtEnd) {
      if (kept.has(name) || name.startsWith(`${objectNames.decisions}/`)) continue
      const created = this.createdAt.get(name) ?? -1
      const orphan =
        created < collected &&
        endMs - atOf(collected) >= slackMs &&
        !keptThen.has(name) &&
        (objectNames.epochOf(name) ?? 0) <= epochThen
      const namedLast = this.decided.findLastIndex(({ names }) => names.has(name))
      const calm = this.decided.slice(namedLast + 1).filter(({ at }) => (storageHistory[at]?.atMs ?? 0) >= calmFromMs)
      const dropped = calm[retainedCheckpoints + slack]
      if (orphan || (namedLast >= 0 && dropped !== undefined && endMs - atOf(dropped.at) >= slackMs))
        found.push(
          `"${name}" is still there; ${namedLast < 0 ? 'no checkpoint ever named it' : `checkpoint ${this.decided[namedLast]?.epoch} was the last to name it`}, the newest is ${this.decided.at(-1)?.epoch}`
        )
    }
    return found
  }
}
