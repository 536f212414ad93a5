/**
 * One task of a source stage: reads its partitions, decodes, keeps each partition's watermark, and puts barriers in band.
 *
 * Invariants
 * 1. The position in a snapshot lies just behind the last record pushed before the barrier.
 * 2. Watermarks are a pure function of a partition's records (DESIGN 10.1): a batch is cut where one advances.
 * 3. At most one fetch per partition is under way, and none while a batch is unread.
 */
import type { ValueCodec } from '../../actors/connectors.ts'
import type { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import { isSampled, traceOf } from '../kernel/trace-context.ts'
import type { Fetched, RecordBatch } from '../ports/log.ts'
import type { Traced, Tracing } from '../ports/telemetry.ts'
import { whatWasRead, type DeadLetter } from './dead-letter.ts'
import type { SourceStage } from './stage-graph.ts'
import type { Push, StagedOutput, TaskOutputs } from './task-outputs.ts'
import { MinWatermark, PartitionWatermark } from './watermarks.ts'

export interface PartitionProgress {
  readonly partition: number
  readonly name: string
  readonly position: number
  readonly greatestTime: number | null
  readonly watermark: number | null
  readonly finished: boolean
}

export interface SourceTaskSettings {
  readonly stage: SourceStage
  readonly task: number
  readonly partitions: readonly PartitionProgress[]
  /** More may come: without any, the task is idle instead of ended. */
  readonly grows: boolean
  readonly slots: number
  readonly outputs: TaskOutputs
  readonly now: () => number
  /** Of idleness: a clock that jumps would call a partition idle that is not, and its next events late. */
  readonly elapsed: () => number
  /** What map, filter, flatMap and keyBy behind it throw. */
  readonly onStepError: 'fail' | 'dead-letter'
  readonly deadLetter: (letter: DeadLetter, outputs: TaskOutputs) => void
  readonly job: string
  readonly tracing: Tracing | undefined
}

class Partition {
  readonly number: number
  readonly name: string
  readonly origin: string
  position: number
  finished: boolean
  batch: RecordBatch | undefined
  index = 0
  /** Where the next fetch begins, once the batch is read. */
  next: number
  fetching = false
  end: number | undefined
  /** Read to learn its time, before it is let through. */
  opened: { readonly index: number; readonly value: unknown; readonly time: number } | undefined
  readonly watermark: PartitionWatermark

  constructor(progress: PartitionProgress, stage: SourceStage) {
    this.number = progress.partition
    this.name = progress.name
    this.origin = `${stage.name}/${progress.partition}/`
    this.position = this.next = progress.position
    this.finished = progress.finished
    this.watermark = new PartitionWatermark({ boundMs: stage.node.outOfOrderMs, idleAfterMs: stage.node.idleAfterMs })
    this.watermark.restore({
      greatestTime: progress.greatestTime ?? -Infinity,
      watermark: progress.watermark ?? -Infinity
    })
  }
}

export interface SourceSnapshot {
  readonly positions: readonly PartitionProgress[]
  readonly outbox: OutboxFileWriter | undefined
  readonly finished: boolean
}

export class SourceTask {
  readonly settings: SourceTaskSettings
  readonly partitions: Partition[]
  records = 0
  deadLetters = 0
  finished = false
  /** Something was read since the last barrier. */
  changed = false
  /** Drain: read no more. */
  stopped = false
  /** Too much waits for a checkpoint: read nothing until it is decided. */
  paused = false
  private readonly minimum: MinWatermark
  private readonly main: Push | undefined
  private readonly codec: ValueCodec | undefined
  private nextPartition = 0
  private forwarded = -Infinity
  private forwardedIdle = false
  private sealed:
    | { readonly epoch: number; readonly positions: PartitionProgress[]; readonly finished: boolean; taken: boolean }
    | undefined
  private sealedOutbox: OutboxFileWriter | undefined
  private pace: { readonly wall: number; readonly time: number } | undefined

  constructor(settings: SourceTaskSettings) {
    this.settings = settings
    this.partitions = settings.partitions.map(progress => new Partition(progress, settings.stage))
    this.minimum = new MinWatermark(this.partitions.length)
    const source = settings.stage.node.source
    this.codec = 'codec' in source ? source.codec : undefined
    this.main = settings.outputs.push('main')
    this.partitions.forEach((partition, index) => {
      const { watermark } = partition.watermark.state()
      if (watermark > -Infinity) this.minimum.set(index, watermark)
      if (partition.finished) this.minimum.ended(index)
    })
  }

  /** A partition that was added while this runs. What its input may hold back is not taken back. */
  join(progress: PartitionProgress): void {
    assert(this.settings.grows, 'a source that may end reads nothing more')
    reached('source: a partition joins')
    this.partitions.push(new Partition(progress, this.settings.stage))
    this.minimum.join()
    this.changed = true
  }

  /** Partitions that want a fetch now. */
  wanted(): { readonly partition: number; readonly position: number }[] {
    if (this.finished || this.stopped || this.paused) return []
    const wanted = []
    for (const partition of this.partitions) {
      if (partition.finished || partition.fetching || partition.batch !== undefined) continue
      partition.fetching = true
      wanted.push({ partition: partition.number, position: partition.next })
    }
    return wanted
  }

  fetched(number: number, result: Fetched): void {
    const index = this.partitions.findIndex(candidate => candidate.number === number)
    const partition = this.partitions[index] as Partition
    partition.fetching = false
    const now = this.settings.elapsed()
    switch (result.kind) {
      case 'records':
        partition.watermark.fetched()
        this.minimum.setIdle(index, false)
        partition.batch = result.batch
        partition.index = 0
        partition.opened = undefined
        partition.next = result.next
        partition.end = result.end
        return
      case 'caught-up':
        // A gap at the end: whoever watches the positions would see something left to read.
        if (result.next > partition.position) this.changed = true
        partition.position = partition.next = result.next
        partition.end = result.next
        if (result.watermark !== undefined && result.watermark > partition.watermark.state().watermark) {
          const { greatestTime } = partition.watermark.state()
          partition.watermark.restore({
            greatestTime: Math.max(greatestTime, result.watermark),
            watermark: result.watermark
          })
          this.minimum.set(index, result.watermark)
          this.changed = true
        }
        partition.watermark.caughtUp(now)
        return
      case 'finished':
        partition.finished = true
        this.minimum.ended(index)
        this.changed = true
        return
      case 'out-of-range':
        throw new CodedError(
          'INPUT_REGRESSED',
          `source "${this.settings.stage.name}", partition "${partition.name}": position ${partition.next} is outside ${result.earliest}…${result.end}`
        )
    }
  }

  work(budget: number): boolean {
    if (this.finished || this.paused || this.settings.outputs.blocked) return false
    this.checkIdle()
    this.forward()
    let left = budget
    for (let tried = 0; tried < this.partitions.length && left > 0 && !this.settings.outputs.blocked; tried++) {
      const index = this.nextPartition
      this.nextPartition = (index + 1) % this.partitions.length
      const partition = this.partitions[index] as Partition
      if (partition.batch !== undefined && !this.stopped) left -= this.read(partition, index, left)
    }
    if (left < budget) return true
    if (!this.stopped && !this.settings.grows && this.partitions.every(partition => partition.finished)) {
      this.finished = true
      this.changed = true
      this.settings.outputs.broadcast({ kind: 'end' })
      return true
    }
    return false
  }

  /** Puts barrier `epoch` in band; a source that has ended only notes where it stands. */
  barrier(epoch: number): void {
    assert(this.sealed === undefined, 'one epoch in flight')
    this.changed = false
    this.sealed = { epoch, positions: this.progress(), finished: this.finished, taken: false }
    this.sealedOutbox = this.settings.outputs.sealOutbox()
    if (!this.finished) this.settings.outputs.broadcast({ kind: 'barrier', epoch })
  }

  /** Once per barrier. */
  takeSnapshot(): SourceSnapshot | undefined {
    if (this.sealed === undefined || this.sealed.taken) return undefined
    this.sealed.taken = true
    const { positions, finished } = this.sealed
    return { positions, finished, outbox: this.sealedOutbox }
  }

  decided(): void {
    this.sealed = undefined
    this.sealedOutbox = undefined
  }

  abandon(epoch: number): void {
    if (this.sealed === undefined || this.sealed.epoch > epoch) return
    if (this.sealedOutbox !== undefined) this.settings.outputs.unseal(this.sealedOutbox)
    this.decided()
    this.changed = true
  }

  /** Bytes that wait for a checkpoint. */
  get pendingBytes(): number {
    return this.settings.outputs.outbox.sizeBytes + (this.sealedOutbox?.sizeBytes ?? 0)
  }

  progress(): PartitionProgress[] {
    return this.partitions.map(partition => {
      const { greatestTime, watermark } = partition.watermark.state()
      return {
        partition: partition.number,
        name: partition.name,
        position: partition.position,
        greatestTime: Number.isFinite(greatestTime) ? greatestTime : null,
        watermark: Number.isFinite(watermark) ? watermark : null,
        finished: partition.finished
      }
    })
  }

  /** When something may happen by time alone: pacing or idleness. */
  nextDelayMs(): number | undefined {
    let delay = Infinity
    for (const partition of this.partitions) {
      if (partition.finished) continue
      const idleAt = partition.watermark.nextDeadlineMs()
      const { batch, index } = partition
      const pacedAt = batch === undefined ? undefined : this.due(partition, batch, index)
      if (idleAt !== undefined) delay = Math.min(delay, idleAt - this.settings.elapsed())
      if (pacedAt !== undefined) delay = Math.min(delay, pacedAt - this.settings.now())
    }
    return delay === Infinity ? undefined : delay
  }

  get watermark(): number {
    return this.forwarded
  }

  get lag(): number | undefined {
    let lag = 0
    for (const partition of this.partitions) {
      if (partition.finished) continue
      if (partition.end === undefined) return undefined
      lag += Math.max(0, partition.end - partition.position)
    }
    return lag
  }

  /** Answers how many records it took. */
  private read(partition: Partition, index: number, budget: number): number {
    const batch = partition.batch as RecordBatch
    const { node } = this.settings.stage
    const from = partition.index
    const end = Math.min(batch.count, from + budget)
    this.settings.outputs.slot = partition.number % this.settings.slots
    let i = from
    for (; i < end; i++) {
      const timestamp = batch.timestamp(i)
      const due = node.paceMsPerSecond === undefined ? undefined : this.due(partition, batch, i)
      if (due !== undefined && due > this.settings.now()) break
      this.record(partition, index, batch, i, timestamp)
      if (this.minimum.value > this.forwarded) this.forward()
    }
    if (i === from) return 0
    this.changed = true
    partition.index = i
    partition.position = i < batch.count ? batch.offset(i) : partition.next
    if (i === batch.count) partition.batch = undefined
    return i - from
  }

  private record(partition: Partition, index: number, batch: RecordBatch, i: number, timestamp: number): void {
    const { outputs, tracing } = this.settings
    this.records++
    const trace = traceOf(batch.headers?.(i))
    outputs.trace = trace
    if (trace === '' || tracing === undefined || !isSampled(trace)) {
      this.take(partition, index, batch, i, timestamp)
      return
    }
    const span = tracing.begin(this.traced(partition, batch, i), trace)
    outputs.trace = span.trace
    let failure: { readonly error: unknown } | undefined
    try {
      failure = span.run(() => this.take(partition, index, batch, i, timestamp))
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      span.end(failure)
    }
  }

  private traced(partition: Partition, batch: RecordBatch, i: number): Traced {
    const { job, stage } = this.settings
    const { source } = stage.node
    return {
      kind: 'record',
      job,
      stage: stage.name,
      connector: source.connector,
      topic: 'topic' in source ? String(source.topic) : undefined,
      partition: partition.name,
      offset: batch.offset(i),
      key: batch.key(i)
    }
  }

  /** Answers what was thrown, where the record was put aside for it. */
  private take(
    partition: Partition,
    index: number,
    batch: RecordBatch,
    i: number,
    timestamp: number
  ): { readonly error: unknown } | undefined {
    const offset = batch.offset(i)
    const { outputs } = this.settings
    let failure: { readonly error: unknown } | undefined
    let value: unknown
    let time: number
    try {
      ;({ value, time } = partition.opened?.index === i ? partition.opened : this.open(batch, i, timestamp))
    } catch (error) {
      this.refuse(partition, batch, i, offset, error)
      return { error }
    }
    const advanced = partition.watermark.observe(time)
    const staged: StagedOutput[] | undefined = this.settings.onStepError === 'fail' ? undefined : []
    outputs.staged = staged
    try {
      this.main?.(value, time, partition.origin, offset, '')
      outputs.staged = undefined
      if (staged !== undefined) outputs.release(staged)
    } catch (error) {
      outputs.staged = undefined
      const broken = error instanceof CodedError && error.code === 'ALIGNMENT_BROKEN'
      if (staged === undefined || broken) throw this.placed(error, partition, offset)
      this.putAside(partition, batch, i, offset, error)
      failure = { error }
    }
    if (advanced !== undefined) this.minimum.set(index, advanced)
    return failure
  }

  /** Throws what decoding throws, and where there is no time. */
  private open(batch: RecordBatch, i: number, timestamp: number): { readonly value: unknown; readonly time: number } {
    const { node } = this.settings.stage
    const value = batch.valueObject === undefined ? this.decode(batch.value(i)) : batch.valueObject(i)
    const own =
      node.time === undefined
        ? Number.isNaN(timestamp)
          ? 0
          : timestamp
        : (node.time as (value: unknown) => number | Date)(value)
    const time = own instanceof Date ? own.getTime() : own
    if (typeof time !== 'number' || Number.isNaN(time))
      throw new TypeError(`event time is ${String(own)}, not a number of ms`)
    return { value, time }
  }

  /** What map, filter, flatMap or keyBy threw, with the place of the record. */
  private placed(error: unknown, partition: Partition, offset: number): CodedError {
    const message = error instanceof Error ? error.message : String(error)
    return new CodedError(
      error instanceof CodedError ? error.code : 'HANDLER_FAILED',
      `source "${this.settings.stage.name}", partition "${partition.name}", position ${offset}: ${message}`,
      error instanceof CodedError ? { cause: error.cause, remedy: error.remedy } : { cause: error }
    )
  }

  private decode(bytes: Uint8Array | undefined): unknown {
    if (bytes === undefined) return undefined
    return this.codec === undefined ? bytes : this.codec.decode(bytes)
  }

  private refuse(partition: Partition, batch: RecordBatch, i: number, offset: number, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    if (this.settings.stage.node.onError === 'fail')
      throw new CodedError(
        'DECODE_FAILED',
        `source "${this.settings.stage.name}", partition "${partition.name}", position ${offset}: ${message}`,
        { cause: error }
      )
    this.putAside(partition, batch, i, offset, error)
  }

  private putAside(partition: Partition, batch: RecordBatch, i: number, offset: number, error: unknown): void {
    this.deadLetters++
    this.settings.outputs.trace = traceOf(batch.headers?.(i))
    const { event, record } = whatWasRead(this.settings.stage.node.source, partition, batch, i)
    this.settings.deadLetter(
      {
        stage: this.settings.stage.name,
        key: undefined,
        id: `${partition.origin}${offset}`,
        error: error instanceof Error ? error.message : String(error),
        attempts: 1,
        time: batch.timestamp(i),
        event,
        ...(record === undefined ? {} : { record })
      },
      this.settings.outputs
    )
  }

  /** When record `i` may pass, by the wall clock; undefined: at once. */
  private due(partition: Partition, batch: RecordBatch, i: number): number | undefined {
    const pace = this.settings.stage.node.paceMsPerSecond
    if (pace === undefined) return undefined
    const timestamp = this.paceTime(partition, batch, i)
    if (Number.isNaN(timestamp)) return undefined
    this.pace ??= { wall: this.settings.now(), time: timestamp }
    // Younger than this run: it comes in live and is no part of what is replayed.
    if (timestamp >= this.pace.wall) return undefined
    return this.pace.wall + ((timestamp - this.pace.time) / pace) * 1000
  }

  /** The record's timestamp; where records have none, its event time. */
  private paceTime(partition: Partition, batch: RecordBatch, i: number): number {
    const timestamp = batch.timestamp(i)
    if (!Number.isNaN(timestamp) || this.settings.stage.node.time === undefined) return timestamp
    if (partition.opened?.index !== i)
      try {
        partition.opened = { index: i, ...this.open(batch, i, timestamp) }
      } catch {
        // It is opened again when it passes, and refused there.
        return NaN
      }
    return partition.opened.time
  }

  private checkIdle(): void {
    const now = this.settings.elapsed()
    this.partitions.forEach((partition, index) => {
      if (!partition.finished && partition.watermark.isIdle(now)) this.minimum.setIdle(index, true)
    })
  }

  private forward(): void {
    const watermark = this.minimum.value
    if (watermark > this.forwarded && watermark !== Infinity) {
      this.forwarded = watermark
      this.settings.outputs.broadcast({ kind: 'watermark', time: watermark })
    }
    const idle = this.minimum.allIdle || (this.settings.grows && this.partitions.length === 0)
    if (idle === this.forwardedIdle) return
    this.forwardedIdle = idle
    this.settings.outputs.broadcast({ kind: 'idle', idle })
  }
}
