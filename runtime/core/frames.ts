/**
 * Frames between workers: `length u32 · body · crc32 u32`. Whatever arrives is checked for length, checksum and type before use; malformed
 * bytes end the connection and nothing else.
 */
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import { ByteReader, ByteWriter } from '../kernel/bytes.ts'
import { crc32 } from '../kernel/checksum.ts'
import { assert, CodedError } from '../kernel/errors.ts'
import { decodeKey, encodeKey, type Key } from '../kernel/keys.ts'
import { emptyColumns, type ChannelElement, type RecordColumns } from './channel.ts'

/** Larger ones are refused before anything is allocated: a value may take 4 MiB, a batch much less. */
export const frameLimitBytes = 16 * 1024 * 1024

/** A channel between two tasks: index of the edge, task of its first and of its second stage. */
export interface ChannelName {
  readonly edge: number
  readonly from: number
  readonly to: number
}
export const channelKey = ({ edge, from, to }: ChannelName): string => `${edge}/${from}/${to}`

export type Frame =
  | {
      readonly kind: 'hello'
      readonly job: string
      readonly lineage: number
      readonly generation: number
      readonly from: string
      readonly to: string
    }
  | {
      readonly kind: 'element'
      readonly channel: ChannelName
      readonly sequence: number
      readonly element: ChannelElement
      readonly sizeBytes: number
    }
  /** So many bytes of the channel were handled: as many more may come. */
  | { readonly kind: 'credit'; readonly channel: ChannelName; readonly sizeBytes: number }
  /** The connection carries bytes. */
  | { readonly kind: 'ping' }

const kinds = { hello: 1, element: 2, credit: 3, ping: 4 } as const
const elements = { records: 1, watermark: 2, idle: 3, barrier: 4, end: 5 } as const

export function encodeHello(hello: Omit<Extract<Frame, { kind: 'hello' }>, 'kind'>): Uint8Array {
  const w = begin(kinds.hello)
  w.string(hello.job)
  w.varuint(hello.lineage)
  w.varuint(hello.generation)
  w.string(hello.from)
  w.string(hello.to)
  return finish(w)
}

export function encodeCredit(channel: ChannelName, sizeBytes: number): Uint8Array {
  const w = begin(kinds.credit)
  writeChannel(w, channel)
  w.varuint(sizeBytes)
  return finish(w)
}

export function encodePing(): Uint8Array {
  return finish(begin(kinds.ping))
}

/** Writes one record of a batch: at the call, so that an emitted value is a value. */
export function writeRecord(
  w: ByteWriter,
  key: Key,
  value: unknown,
  time: number,
  origin: string,
  offset: number,
  path: string,
  trace: string
): void {
  w.block(encodeKey(key))
  encodeValue(value, w, 'event')
  w.f64(time)
  w.string(origin)
  w.f64(offset)
  w.string(path)
  // Most records have none.
  if (trace === '') w.u8(0)
  else w.string(trace)
}

/** @param records what `writeRecord` wrote, for a batch */
export function encodeElement(
  channel: ChannelName,
  sequence: number,
  element: Exclude<ChannelElement, RecordColumns> | { readonly kind: 'records'; count: number; records: ByteWriter }
): Uint8Array {
  const w = begin(kinds.element)
  writeChannel(w, channel)
  w.varuint(sequence)
  w.u8(elements[element.kind])
  switch (element.kind) {
    case 'records':
      w.varuint(element.count)
      w.bytes(element.records.view())
      break
    case 'watermark':
      w.f64(element.time)
      break
    case 'idle':
      w.u8(element.idle ? 1 : 0)
      break
    case 'barrier':
      w.varuint(element.epoch)
      break
    case 'end':
      break
  }
  return finish(w)
}

/** One frame is written at a time, and taken from here as a copy. */
const scratch = new ByteWriter(1024)

function begin(kind: number): ByteWriter {
  const w = scratch
  w.reset()
  w.u32(0)
  w.u8(kind)
  return w
}

function finish(w: ByteWriter): Uint8Array {
  const length = w.length - 4
  assert(length <= frameLimitBytes, `a frame of ${length} bytes`)
  w.patchU32(0, length)
  w.u32(crc32(w.view().subarray(4)))
  return w.take()
}

function writeChannel(w: ByteWriter, { edge, from, to }: ChannelName): void {
  w.varuint(edge)
  w.varuint(from)
  w.varuint(to)
}

/** A batch by itself, with a checksum. */
export function encodeBatch({ keys, values, times, origins, offsets, paths, traces }: RecordColumns): Uint8Array {
  const w = new ByteWriter(1024)
  w.varuint(keys.length)
  for (const [i, key] of keys.entries())
    writeRecord(
      w,
      key,
      values[i],
      times[i] as number,
      origins[i] as string,
      offsets[i] as number,
      paths[i] as string,
      traces[i] as string
    )
  w.u32(crc32(w.view()))
  return w.take()
}

/** Throws FRAME_MALFORMED. */
export function decodeBatch(bytes: Uint8Array): RecordColumns {
  const end = bytes.length - 4
  if (end < 0 || crc32(bytes.subarray(0, end)) !== new ByteReader(bytes, end).u32())
    throw malformed('a batch fails its checksum')
  const r = new ByteReader(bytes, 0, end)
  const columns = readRecords(r)
  r.expectEnd()
  return columns
}

/** Cuts what arrives into frames, in time that grows with the bytes, however small the pieces. */
export class FrameReader {
  /** The beginning of a frame, in its first `length` bytes. */
  private waiting = new Uint8Array(0)
  private length = 0
  /** No frame is whole before there are so many. */
  private needed = 4

  /** Throws FRAME_MALFORMED; the connection is of no use then. */
  push(bytes: Uint8Array): Frame[] {
    let all = bytes
    if (this.length > 0) {
      this.append(bytes)
      if (this.length < this.needed) return []
      all = this.waiting.subarray(0, this.length)
    }
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength)
    const frames: Frame[] = []
    let at = 0
    this.needed = 4
    while (all.length - at >= 4) {
      const length = view.getUint32(at)
      if (length > frameLimitBytes) throw malformed(`a frame of ${length} bytes; the limit is ${frameLimitBytes}`)
      if (all.length - at < length + 8) {
        this.needed = length + 8
        break
      }
      const body = all.subarray(at + 4, at + 4 + length)
      if (crc32(body) !== view.getUint32(at + 4 + length)) throw malformed('a frame fails its checksum')
      frames.push(decode(body))
      at += length + 8
    }
    if (at > 0 || all === bytes) {
      this.waiting = all.slice(at)
      this.length = this.waiting.length
    }
    return frames
  }

  private append(bytes: Uint8Array): void {
    const length = this.length + bytes.length
    if (length > this.waiting.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.waiting.length))
      grown.set(this.waiting.subarray(0, this.length))
      this.waiting = grown
    }
    this.waiting.set(bytes, this.length)
    this.length = length
  }
}

function decode(body: Uint8Array): Frame {
  const r = new ByteReader(body)
  try {
    const frame = decodeFrame(r, body.length)
    r.expectEnd()
    return frame
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error))
  }
}

function decodeFrame(r: ByteReader, sizeBytes: number): Frame {
  const kind = r.u8()
  switch (kind) {
    case kinds.hello:
      return {
        kind: 'hello',
        job: r.string(),
        lineage: r.varuint(),
        generation: r.varuint(),
        from: r.string(),
        to: r.string()
      }
    case kinds.credit:
      return { kind: 'credit', channel: readChannel(r), sizeBytes: r.varuint() }
    case kinds.ping:
      return { kind: 'ping' }
    case kinds.element:
      return { kind: 'element', channel: readChannel(r), sequence: r.varuint(), element: readElement(r), sizeBytes }
    default:
      throw malformed(`a frame of unknown kind ${kind}`)
  }
}

function readChannel(r: ByteReader): ChannelName {
  return { edge: r.varuint(), from: r.varuint(), to: r.varuint() }
}

function readElement(r: ByteReader): ChannelElement {
  const kind = r.u8()
  switch (kind) {
    case elements.records:
      return readRecords(r)
    case elements.watermark:
      return { kind: 'watermark', time: r.f64() }
    case elements.idle:
      return { kind: 'idle', idle: r.u8() === 1 }
    case elements.barrier:
      return { kind: 'barrier', epoch: r.varuint() }
    case elements.end:
      return { kind: 'end' }
    default:
      throw malformed(`an element of unknown kind ${kind}`)
  }
}

function readRecords(r: ByteReader): RecordColumns {
  const count = r.varuint()
  const columns = emptyColumns()
  for (let i = 0; i < count; i++) {
    columns.keys.push(decodeKey(r.block()))
    columns.values.push(decodeValue(r))
    columns.times.push(r.f64())
    columns.origins.push(r.string())
    columns.offsets.push(r.f64())
    columns.paths.push(r.string())
    columns.traces.push(r.string())
  }
  return columns
}

function malformed(why: string): CodedError {
  return new CodedError('FRAME_MALFORMED', why)
}
