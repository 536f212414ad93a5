/** How much of the input lies before a checkpoint. */
import type { Manifest } from '../../checkpoint/manifest.ts'
import type { Evidence } from './evidence.ts'

export function recordsBefore(evidence: Evidence, manifest: Manifest): (source: number, partition: number) => number {
  const { sources } = evidence.workload.shape
  return (source, partition) => {
    const name = sources[source]?.name ?? ''
    const stored = manifest.sources.find(each => each.name === name)
    const position = stored?.partitions.find(each => each.partition === partition)?.position
    if (position === undefined) return 0
    return evidence.recordsBefore?.(name, partition, position) ?? position
  }
}
