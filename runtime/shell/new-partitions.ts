/** Partitions of a source that were added since somebody looked. */
import type { PartitionProgress } from '../core/source-task.ts'
import type { LogReader } from '../ports/log.ts'

/** They are read from their beginning, wherever the job began. */
export async function newPartitions(reader: LogReader, known: number): Promise<PartitionProgress[]> {
  const found: PartitionProgress[] = []
  for (const [partition, { name }] of (await reader.partitions()).entries())
    if (partition >= known)
      found.push({
        partition,
        name,
        position: await reader.start(partition, 'earliest'),
        greatestTime: null,
        watermark: null,
        finished: false
      })
  return found
}
