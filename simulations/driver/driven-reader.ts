/** A source that tests push into. Keeps what was pushed, so that a crash can rewind. One partition. */
import type { Fetched, LogReader, RecordBatch } from '../../runtime/ports/log.ts'

export class DrivenReader implements LogReader {
  private readonly values: unknown[] = []
  private ended = false
  private promised: number | undefined
  private waiting: (() => void)[] = []

  push(values: readonly unknown[]): void {
    if (this.ended) throw new TypeError('push after end()')
    this.values.push(...values.map(value => structuredClone(value)))
    this.wake()
  }
  end(): void {
    this.ended = true
    this.wake()
  }
  watermark(at: number): void {
    this.promised = at
    this.wake()
  }

  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve([{ name: '0' }])
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  async fetch(_partition: number, position: number): Promise<Fetched> {
    for (;;) {
      if (position < this.values.length) return this.batch(position)
      if (this.promised !== undefined) {
        const watermark = this.promised
        this.promised = undefined
        return { kind: 'caught-up', next: position, watermark }
      }
      if (this.ended) return { kind: 'finished' }
      await new Promise<void>(resolve => this.waiting.push(resolve))
    }
  }
  /** Forgets who waits: the worker that asked has crashed. */
  close(): Promise<void> {
    this.waiting = []
    return Promise.resolve()
  }

  private batch(position: number): Fetched {
    const end = this.values.length
    const batch: RecordBatch = {
      count: end - position,
      sizeBytes: end - position,
      offset: i => position + i,
      timestamp: () => NaN,
      key: () => undefined,
      value: () => undefined,
      valueObject: i => structuredClone(this.values[position + i])
    }
    return { kind: 'records', batch, next: end, end }
  }
  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve()
  }
}
