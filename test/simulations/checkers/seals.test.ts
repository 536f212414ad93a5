/** The end of a lineage writes a slot's entry again: that is no second publication, and nothing else passes for it. */
import t from 'tap'
import type { Publication, RunEvidence } from '../../../simulations/checkers/evidence.ts'
import { LedgerOrder } from '../../../simulations/checkers/ledger-order.ts'
import { OutputOnce } from '../../../simulations/checkers/output-once.ts'

const slot = { job: 'j', lineage: 1, sink: 'out', stage: 's', slot: 0 }
const record = { partition: 0, timestamp: 0, key: undefined, value: new Uint8Array([1]) }

function published(epoch: number, generation: number, records = 0): Publication {
  const entry = { epoch, chunk: 0, last: true, generation, manifestHash: '', owner: '' }
  return { slot, entry, records: Array.from({ length: records }, () => record), atMs: 5 }
}

function found(...publications: Publication[]): { readonly order: string[]; readonly output: string[] } {
  const decision = { kind: 'completed', epoch: 1 } as RunEvidence['decisions'][number]['decision']
  const evidence: RunEvidence = {
    decisions: [{ sequence: 0, decision, atMs: 1 }],
    readObject: () => undefined,
    storedAtEnd: [],
    storageHistory: [],
    publications,
    loose: new Map(),
    fencings: [],
    limits: [],
    finished: false,
    waitingFor: []
  }
  return { order: new LedgerOrder(evidence).end(), output: new OutputOnce(evidence).end() }
}

void t.test('a seal is no publication', t => {
  t.same(found(published(0, 1), published(0, 2)), { order: [], output: [] })
  const once = found(published(0, 1), published(1, 1, 1))
  t.same(once.order, [])
  t.same(found(published(0, 1), published(1, 1, 1), published(1, 2)), once)
  t.end()
})

void t.test('records, the same generation or an older one are no seal', t => {
  for (const again of [published(1, 2, 1), published(1, 1), published(1, 0)]) {
    const { order } = found(published(0, 1), published(1, 1, 1), again)
    t.match(order, [/comes after epoch 1, chunk 0/])
  }
  t.match(found(published(0, 1), published(1, 1, 1), published(0, 2)).order, [/comes after epoch 1/])
  t.end()
})
