/** A log whose records come in over time: what is not there yet is waited for. Bounded: finished behind the last record. */
import type { Fetched, LogReader } from '../../runtime/ports/log.ts'
import type { SimProcess } from '../world/process.ts'
import { MemoryLog, type LogRecord } from '../workload/memory-log.ts'

export interface Pace {
  /** World time at which the first record is there. */
  readonly fromMs: number
  /** World time from the first record to the last. */
  readonly spanMs: number
  readonly batch: number
  readonly latencyMs: number
}

export class PacedLog implements LogReader {
  private readonly log: MemoryLog
  private readonly pace: Pace
  private readonly process: SimProcess
  private readonly records: readonly (readonly LogRecord[])[]

  constructor(records: readonly (readonly LogRecord[])[], pace: Pace, process: SimProcess) {
    this.records = records
    this.log = new MemoryLog(records, { batch: pace.batch })
    this.pace = pace
    this.process = process
  }

  partitions(): Promise<readonly { readonly name: string }[]> {
    return this.log.partitions()
  }
  start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    return this.log.start(partition, from)
  }

  async fetch(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    const { fromMs, spanMs, latencyMs } = this.pace
    const { time } = this.process
    const all = this.records[partition]?.length ?? 0
    const perMs = Math.max(1, all) / spanMs
    const there = (): number => Math.min(all, Math.floor((time.now() - fromMs) * perMs))
    const missing = position < all && position >= there()
    const untilThere = fromMs + (position + 1) / perMs - time.now()
    await this.pause(latencyMs + (missing ? Math.min(waitMs, Math.max(0, untilThere)) : 0))
    if (position < all && position >= there()) return { kind: 'caught-up', next: position }
    return this.log.fetch(partition, position, maxBytes)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  private pause(ms: number): Promise<void> {
    return new Promise(resolve => this.process.after(ms, resolve, 'fetched'))
  }
}
