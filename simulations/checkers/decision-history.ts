/**
 * The decision log is one line of history (S3, S15): no gap; generations and epochs grow; nothing is completed by a generation after a
 * newer one leads or begins; each generation begins from the newest checkpoint; manifests form one chain of hashes.
 */
import type { Completed, Decision } from '../../checkpoint/decision-log.ts'
import type { CheckpointStep, CheckpointVisitor } from './checkpoint-walk.ts'
import { few, type Evidence, type Violation } from './evidence.ts'

export function decisionHistory({ decisions }: Pick<Evidence, 'decisions'>): Violation[] {
  const found: Violation[] = []
  let newest = 0
  let began = 0
  let head: Completed | undefined
  decisions.forEach(({ sequence, decision }, i) => {
    const where = `decision ${sequence} (${describe(decision)})`
    if (sequence !== i) found.push(`${where} is number ${i} of those that were made: there is a gap or a repetition`)
    if (decision.kind === 'completed') {
      if (decision.epoch <= (head?.epoch ?? -1)) found.push(`${where} comes after epoch ${head?.epoch}`)
      if (decision.generation < newest) found.push(`${where} comes after generation ${newest} took over`)
      if (began > 0 && decision.generation !== began)
        found.push(`${where} is of a generation that did not begin; the newest that did is ${began}`)
      head = decision
      return
    }
    if (decision.generation <= newest) found.push(`${where} comes after generation ${newest}`)
    newest = Math.max(newest, decision.generation)
    if (decision.kind === 'leads') return
    began = decision.generation
    const parent = decision.parent
    if (parent?.epoch !== head?.epoch || parent?.hash !== head?.manifest.hash)
      found.push(
        `${where} begins from ${place(parent)}; the newest checkpoint is ${place(head && { epoch: head.epoch, hash: head.manifest.hash })}`
      )
  })
  return few(found)
}

export class ManifestChain implements CheckpointVisitor {
  private readonly violations: Violation[] = []
  private before: { readonly epoch: number; readonly hash: string } | undefined

  visit({ manifest, completed }: CheckpointStep): void {
    const { epoch, generation } = completed
    if (manifest.epoch !== epoch || manifest.generation !== generation)
      this.violations.push(
        `the manifest of epoch ${epoch}, generation ${generation} says that it is of epoch ${manifest.epoch}, generation ${manifest.generation}`
      )
    if (manifest.previous?.epoch !== this.before?.epoch || manifest.previous?.hash !== this.before?.hash)
      this.violations.push(
        `the manifest of epoch ${epoch} follows ${place(manifest.previous)}; decided before it is ${place(this.before)}`
      )
    this.before = { epoch, hash: completed.manifest.hash }
  }

  end(): Violation[] {
    return few(this.violations)
  }
}

function place(at: { readonly epoch: number; readonly hash: string } | null | undefined): string {
  return at === null || at === undefined ? 'nothing' : `epoch ${at.epoch} (${at.hash.slice(0, 8)})`
}

function describe(decision: Decision): string {
  return decision.kind === 'completed'
    ? `epoch ${decision.epoch} completed by generation ${decision.generation}`
    : `generation ${decision.generation} ${decision.kind}`
}
