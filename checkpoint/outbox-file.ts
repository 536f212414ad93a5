/**
 * Outbox files: one epoch's outputs of one task, final bytes, cut into chunks small enough for one transaction each. A chunk is
 * `record* · crc32`; a record is `partition · timestamp f64 · key? · value? · headers` (0 = absent, else length + 1; headers: a length and
 * what `record-header.ts` writes).
 */
import { ByteReader, ByteWriter, unfilledBytes } from '../runtime/kernel/bytes.ts'
import { crc32 } from '../runtime/kernel/checksum.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { decodeHeaders, encodeHeaders, type RecordHeader } from '../runtime/kernel/record-header.ts'
import type { OutboxChunk, OutboxSection } from './manifest.ts'

/** A larger chunk would make a transaction long; one record may be larger. */
const chunkLimitBytes = 1024 * 1024
/** Writers kept for the next epoch, so that it need not grow its own; more would hold memory that few jobs use. */
const spareLimit = 16
const spareLimitBytes = 2 * chunkLimitBytes
const spare: ByteWriter[] = []

export interface OutboxRecord {
  readonly partition: number
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers?: readonly RecordHeader[]
}

interface OpenSection {
  readonly sink: string
  readonly slot: number
  readonly chunks: { bytes: Uint8Array; records: number }[]
  /** Of the chunk that is open. */
  writer: ByteWriter | undefined
  records: number
}

export class OutboxFileWriter {
  /** By sink, then slot. */
  private readonly sections = new Map<string, (OpenSection | undefined)[]>()

  /** What was written, about. */
  sizeBytes = 0

  /** Puts the records of a later writer behind those of this one: an abandoned epoch's outputs come before the next one's. */
  absorb(later: OutboxFileWriter): void {
    for (const section of later.all()) {
      close(section)
      const own = this.section(section.sink, section.slot)
      close(own)
      own.chunks.push(...section.chunks)
    }
    this.sizeBytes += later.sizeBytes
  }

  append(sink: string, slot: number, { partition, timestamp, key, value, headers }: OutboxRecord): void {
    const section = this.section(sink, slot)
    const writer = writerOf(section)
    begin(writer, partition, timestamp)
    writePart(writer, key)
    writePart(writer, value)
    const more = writeHeaders(writer, headers)
    this.added(section, writer, (key?.length ?? 0) + (value?.length ?? 0) + more)
  }

  /** The same for a key and a value that were just written. */
  appendWritten(
    sink: string,
    slot: number,
    partition: number,
    timestamp: number,
    key: ByteWriter | undefined,
    value: ByteWriter,
    headers: readonly RecordHeader[] | undefined
  ): void {
    const section = this.section(sink, slot)
    const writer = writerOf(section)
    begin(writer, partition, timestamp)
    if (key === undefined) writer.varuint(0)
    else copyPart(writer, key)
    copyPart(writer, value)
    const more = writeHeaders(writer, headers)
    this.added(section, writer, (key?.length ?? 0) + value.length + more)
  }

  private added(section: OpenSection, writer: ByteWriter, bytes: number): void {
    this.sizeBytes += bytes + 12
    section.records++
    if (writer.length >= chunkLimitBytes) closeChunk(section, writer)
  }

  private section(sink: string, slot: number): OpenSection {
    let slots = this.sections.get(sink)
    if (slots === undefined) this.sections.set(sink, (slots = []))
    return (slots[slot] ??= { sink, slot, chunks: [], writer: undefined, records: 0 })
  }

  private *all(): Generator<OpenSection> {
    for (const slots of this.sections.values()) for (const section of slots) if (section !== undefined) yield section
  }

  /** What was added is kept: the epoch may be abandoned. */
  finish(): { readonly bytes: Uint8Array; readonly sections: readonly OutboxSection[] } {
    const sections = [...this.all()]
    let length = 0
    for (const section of sections) {
      close(section)
      for (const chunk of section.chunks) length += chunk.bytes.length
    }
    const bytes = unfilledBytes(length)
    let offset = 0
    const place = (section: OpenSection): OutboxChunk[] =>
      section.chunks.map((chunk, i) => {
        const placed = { offset, length: chunk.bytes.length, records: chunk.records }
        bytes.set(chunk.bytes, offset)
        offset += placed.length
        return { ...placed, last: i === section.chunks.length - 1 }
      })
    return {
      bytes,
      sections: sections.map(section => ({ sink: section.sink, slot: section.slot, chunks: place(section) }))
    }
  }
}

function writerOf(section: OpenSection): ByteWriter {
  return (section.writer ??= spare.pop() ?? new ByteWriter())
}

/** Nothing is added to it for now. */
function close(section: OpenSection): void {
  const { writer } = section
  if (writer === undefined) return
  if (section.records > 0) closeChunk(section, writer)
  section.writer = undefined
  writer.reset()
  if (spare.length < spareLimit && writer.raw.length <= spareLimitBytes) spare.push(writer)
}

function closeChunk(section: OpenSection, writer: ByteWriter): void {
  writer.u32(crc32(writer.view()))
  section.chunks.push({ bytes: writer.take(), records: section.records })
  writer.reset()
  section.records = 0
}

function begin(writer: ByteWriter, partition: number, timestamp: number): void {
  writer.varuint(partition)
  writer.f64(timestamp)
}

function writePart(writer: ByteWriter, part: Uint8Array | undefined): void {
  if (part === undefined) return writer.varuint(0)
  writer.varuint(part.length + 1)
  writer.bytes(part)
}

function copyPart(writer: ByteWriter, part: ByteWriter): void {
  writer.varuint(part.length + 1)
  writer.copy(part.raw, 0, part.length)
}

/** Answers their bytes. */
function writeHeaders(writer: ByteWriter, headers: readonly RecordHeader[] | undefined): number {
  if (headers === undefined) {
    writer.u8(0)
    return 0
  }
  const bytes = encodeHeaders(headers)
  writer.block(bytes)
  return bytes.length
}

export function decodeChunk(bytes: Uint8Array, file: string): OutboxRecord[] {
  if (bytes.length < 4 || crc32(bytes.subarray(0, bytes.length - 4)) !== new ByteReader(bytes, bytes.length - 4).u32())
    throw new CodedError('CORRUPT', `outbox file "${file}": a chunk fails its checksum`)
  const reader = new ByteReader(bytes, 0, bytes.length - 4)
  const part = (): Uint8Array | undefined => {
    const length = reader.varuint()
    return length === 0 ? undefined : reader.bytes(length - 1)
  }
  const records: OutboxRecord[] = []
  while (reader.remaining > 0) {
    const record = { partition: reader.varuint(), timestamp: reader.f64(), key: part(), value: part() }
    const headerBytes = reader.varuint()
    records.push(headerBytes === 0 ? record : { ...record, headers: decodeHeaders(reader.bytes(headerBytes)) })
  }
  return records
}
