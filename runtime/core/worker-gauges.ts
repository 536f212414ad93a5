/** What can be counted of a worker: for people, metrics, and checks of limits. */
import type { Topology } from './topology.ts'

export interface WorkerCounts {
  readonly events: number
  readonly recordsRead: number
  readonly late: number
  readonly deadLetters: number
  /** In memory. */
  readonly keys: number
  readonly lag: number | undefined
  readonly watermark: number | undefined
}

/** How full the fullest of each kind is. */
export interface Fullness {
  /** Bytes that wait for a checkpoint. */
  readonly pendingBytes: number
  /** Records between two tasks, loops apart. */
  readonly queueRecords: number
  /** Bytes under way to one task of another worker, loops apart. */
  readonly windowBytes: number
  /** Records of one loop in memory. */
  readonly loopRecords: number
}

export function countsOf({ keyed, sources }: Topology): WorkerCounts {
  const counts = { events: 0, recordsRead: 0, late: 0, deadLetters: 0, keys: 0 }
  let lag: number | undefined = 0
  let watermark = Infinity
  for (const task of keyed) {
    counts.events += task.events
    counts.late += task.late
    counts.deadLetters += task.deadLetters
    counts.keys += task.state.entries.size
  }
  for (const task of sources) {
    counts.recordsRead += task.records
    counts.deadLetters += task.deadLetters
    lag = lag === undefined || task.lag === undefined ? undefined : lag + task.lag
    if (!task.finished) watermark = Math.min(watermark, task.watermark)
  }
  return { ...counts, lag, watermark: Number.isFinite(watermark) ? watermark : undefined }
}

export function fullnessOf({ inlets, outgoing, loops }: Topology): Omit<Fullness, 'pendingBytes'> {
  let [queueRecords, windowBytes, loopRecords] = [0, 0, 0]
  for (const channel of inlets) if (channel.place === undefined) queueRecords = Math.max(queueRecords, channel.waiting)
  for (const channel of outgoing.values()) windowBytes = Math.max(windowBytes, channel.underWay)
  for (const { backlog } of loops) loopRecords = Math.max(loopRecords, backlog.queued - backlog.spilled)
  return { queueRecords, windowBytes, loopRecords }
}
