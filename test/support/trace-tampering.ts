/** Evidence in which an output carries the trace context of another event. */
import { traceHeaders, traceOf } from '../../runtime/kernel/trace-context.ts'
import type { Evidence } from '../../simulations/checkers/evidence.ts'
import { editPublication, replaceAt } from './tampering.ts'

/** An output of a random job carries a context that nothing has. undefined: none carries any. */
export function otherTrace(evidence: Evidence): Evidence | undefined {
  for (const [at, { records, slot }] of evidence.publications.entries()) {
    const i = slot.sink.startsWith('out') ? records.findIndex(({ headers }) => traceOf(headers) !== '') : -1
    const record = records[i]
    if (record === undefined) continue
    const headers = traceHeaders(traceOf(record.headers).replace(/^00-0/, '00-f'))
    return editPublication(evidence, at, () => ({ records: replaceAt(records, i, { ...record, headers }) }))
  }
  return undefined
}
