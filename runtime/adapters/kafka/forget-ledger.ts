/** Starting over: what a job has published of its earlier life is forgotten, by tombstones in its ledger topic. */
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import type { Appender, LogReader, OutputRecord } from '../../ports/log.ts'

const fetchBytes = 1024 * 1024
const fetchWaitMs = 100
const decoder = new TextDecoder()

/** Of all lineages of the job. Nobody may publish for it meanwhile. Answers how many entries there were. */
export async function forgetLedger(reader: LogReader, appender: Appender, job: string): Promise<number> {
  const tombstones: OutputRecord[] = []
  for (let partition = 0, { length } = await partitionsOf(reader); partition < length; partition++) {
    const keys = new Set<string>()
    for (let position = await reader.start(partition, 'earliest'); ;) {
      const got = await reader.fetch(partition, position, fetchBytes, fetchWaitMs)
      if (got.kind !== 'records') break
      for (let i = 0; i < got.batch.count; i++) {
        const key = decoder.decode(got.batch.key(i))
        if (got.batch.value(i) === undefined) keys.delete(key)
        else if (key.startsWith(`${job}.`)) keys.add(key)
      }
      position = got.next
    }
    for (const key of keys)
      tombstones.push({ partition, timestamp: Date.now(), key: new TextEncoder().encode(key), value: undefined })
  }
  if (tombstones.length > 0) {
    reached('kafka: a ledger is forgotten')
    await appender.append(tombstones)
  }
  return tombstones.length
}

/** None where there is no ledger yet. */
async function partitionsOf(reader: LogReader): Promise<readonly unknown[]> {
  try {
    return await reader.partitions()
  } catch (error) {
    if (error instanceof CodedError && error.code === 'TOPIC_MISSING') return []
    throw error
  }
}
