/** Runs a query in the real engine over events in memory. */
import type { Job } from '../../actors/stream.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { MemoryFiles } from '../../simulations/memory-files.ts'
import { startEngine, type EngineOptions } from '../engine.ts'
import { EventReader } from '../events.ts'
import type { Row } from './catalogue.ts'
import type { NexmarkBytes } from './generator.ts'

/** Answers how many checkpoints were taken. `take` gets what was published, in its order for each key. */
export async function runQuery(job: Job<unknown>, events: NexmarkBytes, options: EngineOptions): Promise<number> {
  const engine = await startEngine(job, new EventReader(events), options)
  try {
    engine.shell.start()
    await engine.shell.ended
    return engine.shell.lastCheckpoint?.epoch ?? 0
  } finally {
    await engine.close()
  }
}

/** All results of a query; its checkpoints are in memory. */
export async function collectResults(job: Job<unknown>, events: NexmarkBytes): Promise<Row[]> {
  const rows: Row[] = []
  const take = (records: readonly OutputRecord[]): void => {
    for (const { value } of records) rows.push(JSON.parse(Buffer.from(value as Uint8Array).toString()) as Row)
  }
  await runQuery(job, events, { take, files: new MemoryFiles() })
  return rows
}
