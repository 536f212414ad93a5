/** Runs a query in the real engine over events in memory. */
import type { Job } from '../../actors/stream.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { startEngine } from '../engine.ts'
import { EventReader } from '../events.ts'
import type { Row } from './catalogue.ts'
import type { NexmarkBytes } from './generator.ts'

/** Answers how many checkpoints were taken. @param take gets what was published, in its order for each key */
export async function runQuery(
  job: Job<unknown>,
  events: NexmarkBytes,
  take: (records: readonly OutputRecord[]) => void
): Promise<number> {
  const engine = await startEngine(job, new EventReader(events), take)
  try {
    engine.shell.start()
    await engine.shell.ended
    return engine.shell.lastCheckpoint?.epoch ?? 0
  } finally {
    await engine.close()
  }
}

/** All results of a query. */
export async function collectResults(job: Job<unknown>, events: NexmarkBytes): Promise<Row[]> {
  const rows: Row[] = []
  await runQuery(job, events, records => {
    for (const { value } of records) rows.push(JSON.parse(Buffer.from(value as Uint8Array).toString()) as Row)
  })
  return rows
}
