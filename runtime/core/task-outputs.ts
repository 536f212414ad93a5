/**
 * Everything a task gives away: fused steps compiled to functions once, outbox for exactly-once sinks, loose records for
 * at-least-once sinks, channels to other tasks.
 *
 * Invariants
 * 1. A value is taken at the call: encoded for a sink, copied for a channel when anything else could still hold it.
 * 2. Nothing leaves the process from here: the worker ships outboxes and loose records.
 */
import { copyValue } from '../../actors/copy-value.ts'
import type { SinkNode } from '../../actors/plan.ts'
import { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import { ByteWriter } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { checkKey, encodeKey, keyGroupOf, keyText, type Key } from '../kernel/keys.ts'
import { murmur2 } from '../kernel/murmur2.ts'
import { headersSizeBytes } from '../kernel/record-header.ts'
import { withTrace } from '../kernel/trace-context.ts'
import type { OutputRecord } from '../ports/log.ts'
import type { SinkTarget } from '../ports/publisher.ts'
import { taskOfKeyGroup } from './assignment.ts'
import type { ControlElement, Outlet } from './channel.ts'
import { sinkHeaders } from './sink-headers.ts'
import type { Stage, Step } from './stage-graph.ts'

export type Push = (value: unknown, time: number, origin: string, offset: number, path: string) => void

export interface OutputSettings {
  readonly stage: Stage
  readonly keyGroups: number
  /** Task of each slot. */
  readonly owners: readonly number[]
  /** Channels of this task by edge, one per task of the target stage. */
  readonly channels: ReadonlyMap<number, readonly Outlet[]>
  readonly limits: ReadonlyMap<string, SinkTarget>
  readonly now: () => number
  /** Values read by `take()` of a stream handle; only the driver asks for them. */
  readonly onTap: ((handle: string, value: unknown) => void) | undefined
}

/** An output of a handler that may still fail: final, and given away only when it has succeeded. */
export type StagedOutput =
  | { readonly kind: 'sink'; readonly sink: SinkNode; readonly slot: number; readonly record: OutputRecord }
  | { readonly kind: 'tap'; readonly handle: string; readonly value: unknown }
  | {
      readonly kind: 'exchange'
      readonly channel: Outlet
      readonly key: Key
      readonly value: unknown
      readonly time: number
      readonly origin: string
      readonly offset: number
      readonly path: string
      readonly trace: string
    }

const utf8 = new TextEncoder()
/** Bytes of memory for the value that is being written; what needs more gets it for that time. */
const mostKept = 16 * 1024

export class TaskOutputs {
  /** Slot of the event being handled; set by the task before it pushes. */
  slot = 0
  /** Trace context of the same, or ''. */
  trace = ''
  /** Set while a handler gives something away that may have to be taken back. */
  staged: StagedOutput[] | undefined
  outbox = new OutboxFileWriter()
  /** Records of at-least-once sinks not handed to the worker yet. */
  loose = new Map<string, OutputRecord[]>()
  /** Something was emitted to an exactly-once sink since the last barrier. */
  outboxUsed = false
  /** Records given to sinks and to other stages. */
  emitted = 0
  private readonly settings: OutputSettings
  /** Of the record that is being written. */
  private readonly key = new ByteWriter(64)
  private value = new ByteWriter(mostKept)
  private readonly pushes = new Map<string, Push>()

  constructor(settings: OutputSettings) {
    this.settings = settings
    for (const [name, steps] of settings.stage.outputs) {
      const leaves = countLeaves(steps)
      const fresh = settings.stage.kind === 'source' && leaves === 1 && !transforms(steps)
      this.pushes.set(name, this.compileAll(steps, fresh))
    }
  }

  /** Whether anything behind the output asks where a value came from; sinks do not. */
  tracksIds(output: string): boolean {
    return hasExchange(this.settings.stage.outputs.get(output) ?? [])
  }

  push(output: string): Push | undefined {
    return this.pushes.get(output)
  }

  /** Any channel of this task is full: the task must wait. */
  get blocked(): boolean {
    for (const channels of this.settings.channels.values())
      for (const channel of channels) if (channel.full) return true
    return false
  }

  broadcast(element: ControlElement): void {
    for (const channels of this.settings.channels.values()) for (const channel of channels) channel.control(element)
  }

  send(edge: number, key: Key, value: unknown, time: number, origin: string, offset: number, path: string): void {
    this.route(edge, key, value, time, origin, offset, path)
  }

  /** Takes what was written to exactly-once sinks since the last call. */
  sealOutbox(): OutboxFileWriter | undefined {
    if (!this.outboxUsed) return undefined
    const sealed = this.outbox
    this.outbox = new OutboxFileWriter()
    this.outboxUsed = false
    return sealed
  }

  /** The outputs of an abandoned epoch come before what was written since. */
  unseal(sealed: OutboxFileWriter): void {
    sealed.absorb(this.outbox)
    this.outbox = sealed
    this.outboxUsed = true
  }

  takeLoose(): Map<string, OutputRecord[]> | undefined {
    if (this.loose.size === 0) return undefined
    const taken = this.loose
    this.loose = new Map()
    return taken
  }

  write(sink: SinkNode, value: unknown, time: number): void {
    const { encodeTo } = sink.sink.codec
    if (encodeTo !== undefined && this.staged === undefined && sink.delivery === 'exactly-once') {
      this.value.reset()
      encodeTo(value, this.value)
      this.writeEncoded(sink, value, time)
      return
    }
    const record = this.encode(sink, value, time)
    if (this.staged === undefined) this.deliver(sink, this.slot, record)
    else this.staged.push({ kind: 'sink', sink, slot: this.slot, record })
  }

  /** Bytes as they are: without the codec, the key and the headers of the sink. */
  writeRecord(
    sink: SinkNode,
    { key, value, headers }: Required<Pick<OutputRecord, 'key' | 'value' | 'headers'>>,
    time: number
  ): void {
    const limits = this.limitsOf(sink)
    this.refuse(sink, limits, key, time)
    const limit = limits.maxRecordBytes - (key?.length ?? 0) - headersSizeBytes(headers)
    const size = value?.length ?? 0
    if (size > limit) throw tooLarge(sink, size, limit)
    const partition = partitionOf(key, this.slot, limits.partitions)
    this.deliver(sink, this.slot, { partition, timestamp: timestampOf(time), key, value, headers })
  }

  /** The value was just encoded. */
  private writeEncoded(sink: SinkNode, value: unknown, time: number): void {
    const limits = this.limitsOf(sink)
    const text = keyTextOf(sink, value)
    const key = text === undefined ? undefined : this.key
    key?.reset()
    key?.utf8(text as string)
    this.refuse(sink, limits, key, time)
    const { slot } = this
    const partition = partitionOf(key?.raw, slot, limits.partitions, key?.length)
    const own = sinkHeaders(sink, value)
    const limit = limits.maxRecordBytes - (key?.length ?? 0) - (own === undefined ? 0 : headersSizeBytes(own))
    const { length } = this.value
    if (length > limit) throw tooLarge(sink, length, limit)
    const headers = this.trace === '' ? own : withTrace(own, this.trace, limit - length)
    this.outbox.appendWritten(sink.name, slot, partition, timestampOf(time), key, this.value, headers)
    // Room for a large value would be kept for ever.
    if (this.value.raw.length > mostKept) this.value = new ByteWriter(mostKept)
    this.emitted++
    this.outboxUsed = true
  }

  private tap(handle: string, value: unknown): void {
    if (this.settings.onTap === undefined) return
    const copy = copyValue(value, handle)
    if (this.staged === undefined) this.settings.onTap(handle, copy)
    else this.staged.push({ kind: 'tap', handle, value: copy })
  }

  /** The handler has succeeded: what it staged is given away, in its order. */
  release(staged: readonly StagedOutput[]): void {
    for (const output of staged)
      if (output.kind === 'sink') this.deliver(output.sink, output.slot, output.record)
      else if (output.kind === 'tap') this.settings.onTap?.(output.handle, output.value)
      else {
        const { channel, key, value, time, origin, offset, path, trace } = output
        this.emitted++
        channel.push(key, value, time, origin, offset, path, trace)
      }
  }

  private deliver(sink: SinkNode, slot: number, record: OutputRecord): void {
    this.emitted++
    if (sink.delivery === 'exactly-once') {
      this.outbox.append(sink.name, slot, record)
      this.outboxUsed = true
      return
    }
    const records = this.loose.get(sink.name)
    if (records === undefined) this.loose.set(sink.name, [record])
    else records.push(record)
  }

  private encode(sink: SinkNode, value: unknown, time: number): OutputRecord {
    const limits = this.limitsOf(sink)
    const bytes = sink.sink.codec.encode(value)
    const key = keyOf(sink, value)
    this.refuse(sink, limits, key, time)
    const own = sinkHeaders(sink, value)
    const limit = limits.maxRecordBytes - (key?.length ?? 0) - (own === undefined ? 0 : headersSizeBytes(own))
    if (bytes.length > limit) throw tooLarge(sink, bytes.length, limit)
    const partition = partitionOf(key, this.slot, limits.partitions)
    const record = { partition, timestamp: timestampOf(time), key, value: bytes }
    const headers = this.trace === '' ? own : withTrace(own, this.trace, limit - bytes.length)
    return headers === undefined ? record : { ...record, headers }
  }

  /** What the target would refuse later, when it is decided and nothing can be done about it. */
  private refuse(sink: SinkNode, limits: SinkTarget, key: object | undefined, time: number): void {
    const { needsKey, mostAheadMs, mostBehindMs } = limits
    if (needsKey === true && key === undefined)
      throw refused(sink, 'a record without a key; its topic is compacted and takes none')
    if (mostAheadMs === undefined && mostBehindMs === undefined) return
    const aheadMs = timestampOf(time) - this.settings.now()
    const at = (): string => `a record of ${new Date(timestampOf(time)).toISOString()}`
    if (mostAheadMs !== undefined && aheadMs > mostAheadMs)
      throw refused(sink, `${at()}; its topic takes none more than ${mostAheadMs} ms ahead of the clock`)
    if (mostBehindMs !== undefined && -aheadMs > mostBehindMs)
      throw refused(sink, `${at()}; its topic takes none more than ${mostBehindMs} ms behind the clock`)
  }

  private limitsOf(sink: SinkNode): SinkTarget {
    return this.settings.limits.get(sink.name) ?? unlimited
  }

  private route(
    edge: number,
    key: Key,
    value: unknown,
    time: number,
    origin: string,
    offset: number,
    path: string
  ): void {
    const channels = this.settings.channels.get(edge) as readonly Outlet[]
    const channel = (channels.length === 1 ? channels[0] : channels[this.taskOf(key)]) as Outlet
    if (this.staged === undefined) {
      this.emitted++
      channel.push(key, value, time, origin, offset, path, this.trace)
    } else this.staged.push({ kind: 'exchange', channel, key, value, time, origin, offset, path, trace: this.trace })
  }

  private taskOf(key: Key): number {
    return taskOfKeyGroup(keyGroupOf(encodeKey(key), this.settings.keyGroups), this.settings.owners)
  }

  /** The event's slot is that of the partition it was read from. */
  private refuseStray(key: Key): void {
    const slots = this.settings.owners.length
    const slot = keyGroupOf(encodeKey(key), this.settings.keyGroups) % slots
    if (slot !== this.slot)
      throw new CodedError(
        'ALIGNMENT_BROKEN',
        `key ${keyText(key)} belongs to partitions ${slot} + n × ${slots}, of which its own is none`
      )
  }

  private compileAll(steps: readonly Step[], fresh: boolean): Push {
    const pushes = steps.map(step => this.compile(step, fresh))
    if (pushes.length === 1) return pushes[0] as Push
    return (value, time, origin, offset, path) => {
      for (const push of pushes) push(value, time, origin, offset, path)
    }
  }

  private compile(step: Step, fresh: boolean): Push {
    switch (step.kind) {
      case 'map': {
        const next = this.compileAll(step.next, false)
        return (value, time, origin, offset, path) => next(step.f(value), time, origin, offset, path)
      }
      case 'filter': {
        const next = this.compileAll(step.next, fresh)
        return (value, time, origin, offset, path) => {
          if (step.f(value)) next(value, time, origin, offset, path)
        }
      }
      case 'flatMap': {
        const next = this.compileAll(step.next, false)
        return (value, time, origin, offset, path) => {
          let index = 0
          for (const each of step.f(value)) next(each, time, origin, offset, `${path}.${index++}`)
        }
      }
      case 'exchange':
        return (value, time, origin, offset, path) => {
          const key = step.f(value)
          checkKey(key)
          if (step.aligned) this.refuseStray(key)
          this.route(step.edge, key, fresh ? value : copyValue(value, 'event'), time, origin, offset, path)
        }
      case 'sink':
        return (value, time) => this.write(step.sink, value, time)
      case 'tap':
        return value => this.tap(step.handle, value)
    }
  }
}

const unlimited: SinkTarget = { partitions: 1, maxRecordBytes: Infinity }

function keyTextOf(node: SinkNode, value: unknown): string | undefined {
  const of = 'key' in node.sink ? (node.sink.key as ((value: unknown) => unknown) | undefined) : undefined
  if (of === undefined) return undefined
  const text = of(value)
  if (typeof text !== 'string')
    throw refused(node, `a record whose key is of type ${text === null ? 'null' : typeof text}; it must be a string`)
  return text
}

function keyOf(sink: SinkNode, value: unknown): Uint8Array | undefined {
  const text = keyTextOf(sink, value)
  return text === undefined ? undefined : utf8.encode(text)
}

/** Kafka's default partitioning; records without a key stay together by slot. */
function partitionOf(key: Uint8Array | undefined, slot: number, partitions: number, keyLength = key?.length): number {
  return key === undefined ? slot % partitions : (murmur2(key, keyLength) & 0x7fffffff) % partitions
}

function timestampOf(time: number): number {
  return Number.isFinite(time) ? Math.max(0, time) : 0
}

function refused(sink: SinkNode, why: string): CodedError {
  return new CodedError('RECORD_REFUSED', `sink "${sink.name}" cannot take ${why}`)
}

function tooLarge(sink: SinkNode, bytes: number, limit: number): CodedError {
  return new CodedError(
    'RECORD_REFUSED',
    `a record of ${bytes} bytes for sink "${sink.name}", which takes at most ${limit}`
  )
}

function hasExchange(steps: readonly Step[]): boolean {
  return steps.some(step => step.kind === 'exchange' || ('next' in step && hasExchange(step.next)))
}

function countLeaves(steps: readonly Step[]): number {
  let leaves = 0
  for (const step of steps) leaves += 'next' in step ? countLeaves(step.next) : 1
  return leaves
}

function transforms(steps: readonly Step[]): boolean {
  return steps.some(step => 'next' in step && (step.kind !== 'filter' || transforms(step.next)))
}
