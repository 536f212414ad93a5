/**
 * Records of the job's own log, sent again. The header of a copy is the mark of progress: what is found behind a record in its topic was redriven
 * already. So nothing is redriven twice, after a crash in the middle too.
 */
import type { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import type { OutputRecord } from '../runtime/ports/log.ts'
import { copyOf, redrivenHeader, type LogPlace, type RedriveQuery, type Tally } from './redriven-record.ts'

const fetchBytes = 1024 * 1024

export class LogTargets {
  private readonly log: EmbeddedLog | undefined
  private readonly query: RedriveQuery
  /** By topic and partition. */
  private readonly places = new Map<string, LogPlace[]>()
  /** Letters of each record: it may have several, of several stages, and is sent once. */
  private readonly letters = new Map<string, number>()

  constructor(log: EmbeddedLog | undefined, query: RedriveQuery) {
    this.log = log
    this.query = query
  }

  take(place: LogPlace): void {
    const { id, source, partition } = place
    this.letters.set(id, (this.letters.get(id) ?? 0) + 1)
    if (this.letters.get(id) !== 1) return
    const key = `${source.topic}/${partition}`
    this.places.set(key, [...(this.places.get(key) ?? []), place])
  }

  async finish(tally: Tally): Promise<void> {
    const { log, letters } = this
    const { limit, dryRun } = this.query
    for (const wanted of this.places.values()) {
      const { found, before } = await look(log, wanted)
      const records: OutputRecord[] = []
      for (const { id, offset } of wanted) {
        const record = found.get(offset)
        if (before.has(id)) tally.already += letters.get(id) ?? 0
        else if (record === undefined) tally.gone += letters.get(id) ?? 0
        else if (tally.redriven.length < limit) {
          tally.redriven.push(id)
          records.push(copyOf(id, record))
        }
      }
      const [{ source, partition }] = wanted as [LogPlace]
      if (!dryRun && records.length > 0) await log?.append(source.topic, partition, records)
    }
  }
}

/** The wanted records of one partition, and the ids of what was redriven into it. */
async function look(
  log: EmbeddedLog | undefined,
  wanted: readonly LogPlace[]
): Promise<{ readonly found: ReadonlyMap<number, OutputRecord>; readonly before: ReadonlySet<string> }> {
  const [{ source, partition }] = wanted as [LogPlace]
  const { topic } = source
  const offsets = new Set(wanted.map(({ offset }) => offset))
  const found = new Map<number, OutputRecord>()
  const before = new Set<string>()
  if (log === undefined || partition >= (log.topic(topic)?.partitions ?? 0)) return { found, before }
  const reader = log.reader(topic)
  // A record that was redriven lies behind itself.
  for (let position = Math.min(...offsets); ;) {
    const fetched = await reader.fetch(partition, position, fetchBytes, 0)
    if (fetched.kind !== 'records') break
    const { batch } = fetched
    for (let i = 0; i < batch.count; i++) {
      const headers = batch.headers?.(i) ?? []
      for (const { name, value } of headers)
        if (name === redrivenHeader && value !== undefined && value !== null)
          before.add(new TextDecoder().decode(value))
      if (!offsets.has(batch.offset(i))) continue
      const [key, value] = [batch.key(i), batch.value(i)]
      found.set(batch.offset(i), { partition, timestamp: batch.timestamp(i), key, value, headers: [...headers] })
    }
    position = fetched.next
  }
  await reader.close()
  return { found, before }
}
