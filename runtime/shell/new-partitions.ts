/** Partitions of a source that were added since somebody looked. */
import type { PartitionProgress } from '../core/source-task.ts'
import type { LogReader } from '../ports/log.ts'

/** They are read from their beginning, wherever the job began. */
export async function newPartitions(reader: LogReader, known: ReadonlySet<number>): Promise<PartitionProgress[]> {
  const found: PartitionProgress[] = []
  for (const [index, { name, number: partition = index }] of (await reader.partitions()).entries())
    if (!known.has(partition))
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
