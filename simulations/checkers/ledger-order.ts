/**
 * The ledger of a slot grows, from entry 0 on, and never runs ahead of what is decided (S4, S6): entry n is committed only after epoch n
 * was decided. What a manifest takes for published was published before it was written.
 */
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, isSeal, slotText, type Fencing, type RunEvidence, type Publication, type Violation } from './evidence.ts'

export class LedgerOrder implements CheckpointVisitor {
  private readonly evidence: RunEvidence
  private readonly violations: Violation[] = []
  private readonly decidedAt = new Map<number, number>()
  private readonly bySlot = new Map<string, Publication[]>()

  constructor(evidence: RunEvidence) {
    this.evidence = evidence
    for (const { decision, atMs } of evidence.decisions)
      if (decision.kind === 'completed') this.decidedAt.set(decision.epoch, atMs)
    for (const publication of evidence.publications) {
      const name = slotText(publication.slot)
      const list = this.bySlot.get(name)
      if (list === undefined) this.bySlot.set(name, [publication])
      else list.push(publication)
    }
    for (const [name, publications] of this.bySlot) this.slot(name, publications)
  }

  visit({ manifest, completed }: CheckpointStep): void {
    const decidedAt = this.decidedAt.get(completed.epoch) ?? Infinity
    for (const floor of manifest.ledgers) {
      const known = this.bySlot
        .get(slotText(floor))
        ?.some(({ entry, atMs }) => entry.epoch === floor.epoch && entry.chunk === floor.chunk && atMs <= decidedAt)
      if (known !== true)
        this.violations.push(
          `checkpoint ${completed.epoch} takes epoch ${floor.epoch}, chunk ${floor.chunk} for published in ${slotText(floor)}, where it was not`
        )
    }
  }

  end(): Violation[] {
    return few(this.violations)
  }

  private slot(name: string, publications: readonly Publication[]): void {
    let last: Publication | undefined
    for (const publication of publications) {
      const { entry, atMs } = publication
      const before = last?.entry
      const where = `${name}: ledger entry of epoch ${entry.epoch}, chunk ${entry.chunk}`
      if (before === undefined && entry.epoch !== 0) this.violations.push(`${where} is the first; there is no entry 0`)
      if (
        before !== undefined &&
        !isSeal(last, publication) &&
        (entry.epoch < before.epoch || (entry.epoch === before.epoch && entry.chunk <= before.chunk))
      )
        this.violations.push(`${where} comes after epoch ${before.epoch}, chunk ${before.chunk}`)
      const decidedAt = entry.epoch === 0 ? -Infinity : this.decidedAt.get(entry.epoch)
      if (decidedAt === undefined)
        this.violations.push(`${where} was committed, and epoch ${entry.epoch} was never decided`)
      else if (decidedAt > atMs)
        this.violations.push(`${where} was committed at ${atMs} ms, before its epoch was decided at ${decidedAt} ms`)
      last = publication
    }
  }
}

/**
 * Fenced means silent (S8): once a newer generation has initialised a slot, nothing of an older one is committed there, unless that one has
 * initialised the slot again: a zombie that does so has read the ledger since, and publishes what was decided.
 */
export function fencedSilent({ publications, fencings }: RunEvidence): Violation[] {
  const found: Violation[] = []
  const bySlot = new Map<string, Fencing[]>()
  for (const fencing of fencings) {
    const name = slotText(fencing.slot)
    const list = bySlot.get(name) ?? []
    bySlot.set(name, list)
    list.push(fencing)
  }
  publications.forEach(({ slot, entry, atMs }, i) => {
    const before = (bySlot.get(slotText(slot)) ?? []).filter(({ after }) => after <= i)
    const own = before.findLast(({ generation }) => generation === entry.generation)?.answered ?? 0
    const by = before.find(({ generation, asked }) => generation > entry.generation && asked > own)
    if (by !== undefined)
      found.push(
        `${slotText(slot)}: generation ${entry.generation} published epoch ${entry.epoch} at ${atMs} ms, after generation ${by.generation} had fenced it`
      )
  })
  return few(found)
}
